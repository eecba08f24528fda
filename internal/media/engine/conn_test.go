package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"phonesocket/internal/media/session"
)

func TestAPingIsAnswered(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		_, c := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		c.send(frame(ws.OpPing, true, "are you there"))
		if got := c.want(ws.OpPong); string(got) != "are you there" {
			t.Errorf("pong %q", got)
		}
	})
}

func TestBytesReadWithTheHandshakeCount(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		near, far := net.Pipe()
		conn := e.Adopt(far, frame(ws.OpPing, true, "early"), ConnConfig{Role: Speak, Linger: true, Dialect: testDialect{}})
		c := &wsClient{t: t, conn: near}
		if got := c.want(ws.OpPong); string(got) != "early" {
			t.Errorf("pong %q", got)
		}
		near.Close()
		wantDone(t, conn)
	})
}

func TestTheCloseFrameOfTheClientIsAnsweredWithItsCode(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		for _, role := range []Role{Speak, Listen} {
			e := startEngine(t, Config{Fed: fed})
			conn, c := adopt(t, e, ConnConfig{Role: role, Linger: true})
			c.send(frame(ws.OpClose, true, "\x0f\xa0bye"))
			code, _ := ws.ParseCloseFrameData(c.want(ws.OpClose))
			if code != 4000 {
				t.Errorf("answered with %d, want 4000", code)
			}
			c.wantEOF()
			wantDone(t, conn)
		}
	})
}

func TestCloseWaitsForTheAnswerOfTheClient(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, CloseTimeout: patience})
		conn, c := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
		conn.Close(1011, "broken")
		payload := c.want(ws.OpClose)
		if code, reason := ws.ParseCloseFrameData(payload); code != 1011 || reason != "broken" {
			t.Errorf("closed with %d %q", code, reason)
		}
		select {
		case <-conn.Done():
			t.Error("done before the client answered")
		case <-time.After(50 * time.Millisecond):
		}
		c.send(frame(ws.OpClose, true, string(payload)))
		wantDone(t, conn)
	})
}

func TestAClientThatDoesNotAnswerTheCloseIsCutOff(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, CloseTimeout: 50 * time.Millisecond})
		conn, c := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
		conn.Close(1000, "")
		c.want(ws.OpClose)
		wantDone(t, conn)
	})
}

func TestBrokenRulesCloseWithTheirCode(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		tests := []struct {
			name  string
			input []byte
			code  ws.StatusCode
		}{
			{"unmasked", ws.MustCompileFrame(ws.NewTextFrame([]byte("x"))), 1002},
			{"reserved bits", raw(ws.Header{Fin: true, Rsv: 2, OpCode: ws.OpText, Length: 1}, "x"), 1002},
			{"bad UTF-8", frame(ws.OpText, true, "\xff"), 1007},
			{"too long a text", raw(ws.Header{Fin: true, OpCode: ws.OpText, Length: maxSpeakText + 1}, ""), 1009},
		}
		for _, tc := range tests {
			t.Run(tc.name, func(t *testing.T) {
				e := startEngine(t, Config{Fed: fed})
				conn, c := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
				c.send(tc.input)
				c.wantClose(tc.code)
				wantDone(t, conn)
			})
		}
	})
}

func TestADeadSocketIsNoticedAndFreed(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, PingInterval: 20 * time.Millisecond, PongTimeout: 500 * time.Millisecond})
		m, facts := openCall(t, e, "call_1")
		conn, c := adopt(t, e, ConnConfig{Role: Speak})
		if err := conn.Attach(m); err != nil {
			t.Fatal(err)
		}
		wantFact(t, facts, SocketsPresent)
		c.want(ws.OpPing) // read, but never answered
		f := wantFact(t, facts, SpeakerGone)
		if f.Speakers != 0 || f.Listeners != 0 {
			t.Errorf("%d speakers and %d listeners left", f.Speakers, f.Listeners)
		}
		wantFact(t, facts, SocketsGone)
		wantDone(t, conn)
		if _, err := m.TakeSeat(); err != nil {
			t.Errorf("the seat is not free again: %v", err)
		}
	})
}

func TestASocketThatAnswersPingsLives(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, PingInterval: 20 * time.Millisecond, PongTimeout: time.Second})
		conn, c := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
			c.send(frame(ws.OpPong, true, string(c.want(ws.OpPing))))
		}
		select {
		case <-conn.Done():
			t.Error("a living socket was given up")
		default:
		}
	})
}

func TestStoppingTheEngineSaysGoodbye(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, stop := runEngine(t, Config{Fed: fed, CloseTimeout: patience})
		m, _ := openCall(t, e, "call_1")
		lone, c1 := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		bound, c2 := adopt(t, e, ConnConfig{Role: Listen})
		if err := bound.Attach(m); err != nil {
			t.Fatal(err)
		}
		c2.wantText("start")
		go stop()
		c1.wantClose(1001)
		c2.wantClose(1001)
		wantDone(t, lone)
		wantDone(t, bound)
		stop()
	})
}

func TestAClientThatDoesNotAnswerHoldsTheEndUpForASecondAtMost(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, stop := runEngine(t, Config{Fed: fed, CloseTimeout: time.Hour})
		conn, c := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		c.send(frame(ws.OpPing, true, ""))
		c.want(ws.OpPong)
		stop() // fails the test when it takes longer than patience
		wantDone(t, conn)
	})
}

func TestAfterTheEngineEverythingIsRefusedAndFreed(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, stop := runEngine(t, Config{Fed: fed})
		m, _ := openCall(t, e, "call_1")
		stop()
		if _, err := e.Open(MediaConfig{}); !errors.Is(err, ErrStopped) {
			t.Errorf("Open: %v, want ErrStopped", err)
		}
		called := make(chan *Conn, 1)
		conn, c := adopt(t, e, ConnConfig{Role: Speak, OnDone: func(c *Conn) { called <- c }})
		wantDone(t, conn)
		c.wantEOF()
		if got := <-called; got != conn {
			t.Error("OnDone got another Conn")
		}
		if err := conn.Attach(m); err == nil {
			t.Error("Attach works after the end")
		}
		m.Close()
	})
}

func TestWhatWasAdoptedBeforeAnEngineThatNeverRanIsFreedAtItsEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, stop := runEngine(t, Config{Fed: fed})
		var conns []*Conn
		for range 20 {
			conn, _ := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
			conns = append(conns, conn)
		}
		stop() // at once: some were begun, some not
		for _, conn := range conns {
			wantDone(t, conn)
		}
	})
}

func TestUnknownTextsAreAnsweredAndTheSocketStays(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		_, c := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
		c.text(`{"Type":"dance"}`)
		if got := c.wantText("error"); got.Code != "unknown_type" {
			t.Errorf("code %q", got.Code)
		}
		c.text(`nonsense`)
		if got := c.wantText("error"); got.Code != CodeBadMessage {
			t.Errorf("code %q", got.Code)
		}
		c.send(frame(ws.OpPing, true, ""))
		c.want(ws.OpPong)
	})
}

func TestAudioOnTheListenSocketIsToldOnceAndIgnored(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		_, c := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		for range 10 {
			c.send(frame(ws.OpBinary, true, strings.Repeat("a", 3000)))
		}
		c.send(frame(ws.OpPing, true, "end"))
		errs := 0
		for {
			f, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if f.Header.OpCode == ws.OpText {
				errs++
			}
			if f.Header.OpCode == ws.OpPong {
				break
			}
		}
		if errs > 1 {
			t.Errorf("told %d times", errs)
		}
		c.send(frame(ws.OpPing, true, ""))
	})
}

func TestOnlyOneSocketSpeaks(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 2})
		m, facts := openCall(t, e, "call_1")
		first, c1 := adopt(t, e, ConnConfig{Role: Speak})
		second, _ := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
		if err := first.Attach(m); err != nil {
			t.Fatal(err)
		}
		if err := second.Attach(m); !errors.Is(err, ErrSpeakerTaken) {
			t.Errorf("second speaker: %v, want ErrSpeakerTaken", err)
		}
		c1.conn.Close()
		wantFact(t, facts, SpeakerGone)
		if err := second.Attach(m); err != nil {
			t.Errorf("after the first has gone: %v", err)
		}
		m.Close()
		if _, err := m.TakeSeat(); !errors.Is(err, ErrEnded) {
			t.Errorf("seat of a closed call: %v, want ErrEnded", err)
		}
	})
}

func TestSocketsMoveBetweenWorkersInOrder(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 4})
		var calls []*Media
		for range 4 {
			m, _ := openCall(t, e, "call")
			calls = append(calls, m)
		}
		conn, c := adopt(t, e, ConnConfig{Role: Speak, Linger: true})
		for i := range 200 {
			m := calls[i%4]
			// The seat of a call is given back on the worker, so it may still be taken for a moment.
			for end := time.Now().Add(patience); ; {
				err := conn.Attach(m)
				if err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
			}
			c.send(join(frame(ws.OpPing, true, "a"), frame(ws.OpBinary, true, strings.Repeat("x", 500)), frame(ws.OpPing, true, "b")))
			for string(c.want(ws.OpPong)) != "b" {
				continue
			}
		}
	})
}

func TestACallThatEndsAtOnceIsStillToldToTheLine(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 4})
		conn, c := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		for i := range 100 {
			id := fmt.Sprint("call_", i)
			m, _ := openCall(t, e, id)
			// Nobody waits in between, and every call is on another worker.
			if err := conn.Attach(m); err != nil {
				t.Fatal(err)
			}
			m.Ringing()
			m.End(session.End{Status: "failed", Reason: "unreachable"})
			m.Close()
			for _, kind := range []string{"start", "ringing", "end"} {
				var got testText
				if err := json.Unmarshal(c.want(ws.OpText), &got); err != nil || got.Type != kind || got.Call != id {
					t.Fatalf("call %d: told %+v, want %s of %s", i, got, kind, id)
				}
			}
		}
	})
}

func TestTheEndOfACallIsToldBeforeTheStartOfTheNext(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 2})
		conn, c := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
		var last *Media
		var want []string
		for i := range 100 {
			m, _ := openCall(t, e, fmt.Sprint("call_", i))
			c.send(frame(ws.OpPing, true, "busy"))
			if last != nil {
				last.End(session.End{Status: "completed"})
				last.Close()
				want = append(want, fmt.Sprint("end call_", i-1))
			}
			if err := conn.Attach(m); err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprint("start call_", i))
			last = m
		}
		for i, w := range want {
			var got testText
			if err := json.Unmarshal(c.want(ws.OpText), &got); err != nil || got.Type+" "+got.Call != w {
				t.Fatalf("text %d is %+v, want %s", i, got, w)
			}
		}
	})
}
