package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
)

func TestMain(m *testing.M) {
	if calls, err := strconv.Atoi(os.Getenv(loadEnv)); err == nil {
		if err := beLoad(calls); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// testDialect writes events as JSON of the test's own, so that these tests do not depend on front/wire.
type testDialect struct{}

type testText struct {
	Type, Name, Code, Call string
	Discarded              int64
}

func (testDialect) Parse(to Commands, message []byte) error {
	var in testText
	if err := json.Unmarshal(message, &in); err != nil {
		return errors.New("no JSON")
	}
	switch in.Type {
	case "mark":
		to.Mark(in.Name)
	case "clear":
		to.Clear()
	default:
		return &TextError{Code: "unknown_type", Message: in.Type}
	}
	return nil
}

func (testDialect) AppendEvent(dst []byte, e session.Event) ([]byte, bool) {
	b, err := json.Marshal(testText{Type: e.Kind.String(), Name: e.Name, Code: e.Code, Call: e.Call, Discarded: e.DiscardedMS})
	return append(dst, b...), err == nil
}

// eachWay runs a test with sockets that the workers poll, and with sockets that goroutines feed.
func eachWay(t *testing.T, test func(t *testing.T, fed bool)) {
	t.Helper()
	t.Run("polled", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("there is no poller here")
		}
		test(t, false)
	})
	t.Run("fed", func(t *testing.T) { test(t, true) })
}

// startEngine runs an engine until the test ends.
func startEngine(t *testing.T, cfg Config) *Engine {
	t.Helper()
	e, _ := runEngine(t, cfg)
	return e
}

// runEngine also returns what stops it and waits.
func runEngine(t *testing.T, cfg Config) (e *Engine, stop func()) {
	t.Helper()
	if !cfg.Bind.IsValid() {
		cfg.Bind = netip.MustParseAddr("127.0.0.1")
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if cfg.CloseTimeout == 0 {
		cfg.CloseTimeout = 200 * time.Millisecond
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not return")
		}
	}
	t.Cleanup(stop)
	return e, stop
}

// openCall opens a call; facts go into the returned channel.
func openCall(t *testing.T, e *Engine, id string) (*Media, chan Fact) {
	t.Helper()
	facts := make(chan Fact, 10000)
	m, err := e.Open(MediaConfig{
		Session: session.Config{CallID: id, SSRC: 1},
		OnEvent: func(f Fact) { facts <- f },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m, facts
}

func wantFact(t *testing.T, facts chan Fact, kind FactKind) Fact {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case f := <-facts:
			if f.Kind == kind {
				return f
			}
		case <-deadline:
			t.Fatalf("no fact %v", kind)
		}
	}
}

// wsClient is the other end of an adopted connection.
type wsClient struct {
	t    *testing.T
	conn net.Conn
}

// tcpPair makes a connection over loopback; the near end is closed when the test ends.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, far
}

// adopt makes a connection over loopback and hands one end to the engine.
func adopt(t *testing.T, e *Engine, cfg ConnConfig) (*Conn, *wsClient) {
	t.Helper()
	near, far := tcpPair(t)
	if cfg.Dialect == nil {
		cfg.Dialect = testDialect{}
	}
	if cfg.Format.Rate == 0 {
		cfg.Format.Rate = 8000
	}
	return e.Adopt(far, nil, cfg), &wsClient{t: t, conn: near}
}

func (c *wsClient) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *wsClient) text(s string) {
	c.t.Helper()
	c.send(frame(ws.OpText, true, s))
}

// read returns the next frame, whatever it is.
func (c *wsClient) read() (ws.Frame, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	return readFrame(c.conn)
}

// want returns the next frame with this opcode and skips others.
func (c *wsClient) want(op ws.OpCode) []byte {
	c.t.Helper()
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("waiting for opcode %d: %v", op, err)
		}
		if f.Header.OpCode == op {
			return f.Payload
		}
		if f.Header.OpCode == ws.OpClose {
			code, reason := ws.ParseCloseFrameData(f.Payload)
			c.t.Fatalf("waiting for opcode %d: closed with %d %q", op, code, reason)
		}
	}
}

// wantText returns the next text of this type and skips everything else.
func (c *wsClient) wantText(kind string) testText {
	c.t.Helper()
	for {
		var got testText
		b := c.want(ws.OpText)
		if err := json.Unmarshal(b, &got); err != nil {
			c.t.Fatalf("text %q: %v", b, err)
		}
		if got.Type == kind {
			return got
		}
	}
}

// wantClose waits for the close frame, skips everything before, and answers it.
func (c *wsClient) wantClose(code ws.StatusCode) {
	c.t.Helper()
	b := c.want(ws.OpClose)
	if got, reason := ws.ParseCloseFrameData(b); got != code {
		c.t.Errorf("closed with %d %q, want %d", got, reason, code)
	}
	c.send(ws.MustCompileFrame(ws.MaskFrameWith(ws.NewCloseFrame(b), testMask)))
	c.wantEOF()
}

// wantEOF waits until the server has closed the connection.
func (c *wsClient) wantEOF() {
	c.t.Helper()
	for {
		_, err := c.read()
		if err == nil {
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			c.t.Fatal("the server keeps the connection open")
		}
		return
	}
}

func wantDone(t *testing.T, c *Conn) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the connection is not done")
	}
}

// peer is the phone at the other end of RTP.
type peer struct {
	t    *testing.T
	conn *net.UDPConn
	addr netip.AddrPort
	seq  uint16
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t: t, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// remote is the peer as the session description names it.
func (p *peer) remote() sdp.Remote {
	return sdp.Remote{Addr: p.addr, Codec: sdp.PCMU(), PtimeMS: 20, Direction: "sendrecv"}
}

// packet returns the next RTP packet.
func (p *peer) packet() []byte {
	p.t.Helper()
	buf := make([]byte, 2000)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	n, _, err := p.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		p.t.Fatalf("no RTP: %v", err)
	}
	return buf[:n]
}

// wantPayload waits for a packet with this payload.
func (p *peer) wantPayload(want []byte) {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if b := p.packet(); len(b) > 12 && bytes.Equal(b[12:], want) {
			return
		}
	}
	p.t.Fatal("the audio did not arrive as RTP")
}

// speak sends one packet of 20 ms that holds b.
func (p *peer) speak(to netip.AddrPort, b byte) {
	p.t.Helper()
	head := []byte{0x80, 0, byte(p.seq >> 8), byte(p.seq), 0, 0, 0, 0, 9, 9, 9, 9}
	ts := uint32(p.seq) * 160
	head[4], head[5], head[6], head[7] = byte(ts>>24), byte(ts>>16), byte(ts>>8), byte(ts)
	p.seq++
	if _, err := p.conn.WriteToUDPAddrPort(append(head, bytes.Repeat([]byte{b}, 160)...), to); err != nil {
		p.t.Fatal(err)
	}
}
