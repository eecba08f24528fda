package engine

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// TestTheWireAnswersAsRFC6455Says sends every case of the frame reader over a socket and looks at the answers.
func TestTheWireAnswersAsRFC6455Says(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, CloseTimeout: patience})
		for _, c := range frameCases {
			t.Run(c.name, func(t *testing.T) {
				steps := []int{len(c.input)}
				if len(c.input) < 1000 {
					steps = append(steps, 1, 3)
				}
				for _, step := range steps {
					conn, client := adoptLimited(t, e, 300)
					_ = client.conn.(*net.TCPConn).SetNoDelay(true)
					for rest := c.input; len(rest) > 0; {
						n := min(step, len(rest))
						_, _ = client.conn.Write(rest[:n]) // after a close the server may be gone
						rest = rest[n:]
					}
					if diff := cmp.Diff(wantAnswers(c.want, c.code), answers(conn, client)); diff != "" {
						t.Errorf("in steps of %d (-want +got):\n%s", step, diff)
					}
					client.conn.Close()
					wantDone(t, conn)
				}
			})
		}
	})
}

// adoptLimited is adopt with another limit of texts.
func adoptLimited(t *testing.T, e *Engine, maxText int) (*Conn, *wsClient) {
	t.Helper()
	near, far := tcpPair(t)
	c := newConn(e, e.workers[0], far, ConnConfig{Role: Speak, Linger: true, Dialect: testDialect{}})
	c.frames.maxText = maxText
	c.begin(nil)
	return c, &wsClient{t: t, conn: near}
}

// wantAnswers is what the server says to a client whose messages are in read.
func wantAnswers(read []string, code ws.StatusCode) []string {
	var want []string
	for _, r := range read {
		kind, _, _ := strings.Cut(r, " ")
		switch kind {
		case "text":
			want = append(want, "error")
		case "close":
			var got int
			_, _ = fmt.Sscanf(r, "close %d", &got)
			want = append(want, fmt.Sprint("close ", got))
		}
	}
	if code != 0 {
		want = append(want, fmt.Sprint("close ", int(code)))
	}
	return want
}

// answers reads what the server says, but for pongs, of which a server may leave some out. A last ping
// shows whether the connection stays open; then it is closed from this side, behind all that waits.
func answers(conn *Conn, c *wsClient) []string {
	_, _ = c.conn.Write(frame(ws.OpPing, true, "the end"))
	const last = 4999
	var got []string
	for {
		f, err := c.read()
		if err != nil {
			return append(got, err.Error())
		}
		switch f.Header.OpCode {
		case ws.OpText:
			got = append(got, "error")
		case ws.OpPong:
			if string(f.Payload) == "the end" {
				conn.Close(last, "")
			}
		case ws.OpClose:
			code := ws.StatusCode(0)
			if len(f.Payload) > 0 {
				code, _ = ws.ParseCloseFrameData(f.Payload)
			}
			if code != last {
				got = append(got, fmt.Sprint("close ", int(code)))
			}
			return got
		default:
			return append(got, fmt.Sprint("opcode ", f.Header.OpCode))
		}
	}
}
