package gateway_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"phonesocket/internal/phonenet"
)

// wires carries TCP connections to a server until somebody cuts them.
type wires struct {
	listener net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex
	ends  []net.Conn
	total int
}

func startWires(t *testing.T, to string) *wires {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wires{listener: l}
	w.all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp4", to)
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			w.ends, w.total = append(w.ends, near, far), w.total+1
			w.mu.Unlock()
			w.all.Go(func() { _, _ = io.Copy(near, far); near.Close() })
			w.all.Go(func() { _, _ = io.Copy(far, near); far.Close() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.cut()
		w.all.Wait()
	})
	return w
}

// cut breaks all connections.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		c.Close()
	}
	w.ends = nil
}

func (w *wires) opened() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// TestACallOutlivesItsConnection is RFC 5626: a dead connection is replaced within 2 s, and calls do not hang on it.
func TestACallOutlivesItsConnection(t *testing.T) {
	for name, patient := range map[string]bool{
		"hung up when the new connection is there": true,
		"hung up at the moment of the break":       false,
	} {
		t.Run(name, func(t *testing.T) {
			box := startBox(t, phonenet.Config{Network: "tcp"})
			line := startWires(t, box.Addr().String())
			r := launch(t, box, slog.New(slog.DiscardHandler), "SIP_SERVER="+line.listener.Addr().String(), "SIP_TRANSPORT=tcp")
			r.eventually(t, "ready", func() bool { return r.status(t, "GET", "/ready") == http.StatusOK })
			r.dial(t, "100")
			call, err := box.WaitState(t.Context(), phonenet.StateConfirmed)
			if err != nil {
				t.Fatal(err)
			}
			registers := box.Counters().Requests["REGISTER"]
			cut := time.Now()
			line.cut()
			if patient {
				err := box.WaitCounters(t.Context(), func(c phonenet.Counters) bool { return c.Requests["REGISTER"] > registers })
				if d := time.Since(cut); err != nil || d > 2*time.Second {
					t.Errorf("REGISTER over a new connection after %v, %v, want 2 s at most", d, err)
				}
				r.eventually(t, "ready again", func() bool { return r.status(t, "GET", "/ready") == http.StatusOK })
				if now := box.Calls()[0]; now.State != phonenet.StateConfirmed {
					t.Fatalf("the call is %v after the break, want it to go on", now.State)
				}
			}
			if status := r.status(t, "POST", "/hangup"); status >= http.StatusMultipleChoices {
				t.Fatalf("POST /hangup = %d, want success", status)
			}
			ended, err := box.WaitState(t.Context(), phonenet.StateEnded)
			if err != nil || ended.ID != call.ID || box.Counters().Requests["BYE"] == 0 {
				t.Errorf("%v ended, %v, %d BYE seen; want call %s ended by a BYE", ended.ID, err, box.Counters().Requests["BYE"], call.ID)
			}
			if line.opened() < 2 {
				t.Errorf("%d connections were opened, want a second one", line.opened())
			}
			r.stop()
			r.wait(t, 10*time.Second)
		})
	}
}

// TestTheCalleeCanHangUpAfterABreak: the peer learns our new address by itself (RFC 3261 section 12.2.1.1).
func TestTheCalleeCanHangUpAfterABreak(t *testing.T) {
	var w wire
	box := startBox(t, phonenet.Config{Network: "tcp", Lose: w.listen})
	line := startWires(t, box.Addr().String())
	r := launch(t, box, slog.New(slog.DiscardHandler), "SIP_SERVER="+line.listener.Addr().String(), "SIP_TRANSPORT=tcp")
	r.eventually(t, "ready", func() bool { return r.status(t, "GET", "/ready") == http.StatusOK })
	r.dial(t, "100")
	call, err := box.WaitState(t.Context(), phonenet.StateConfirmed)
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.requests("INVITE")) + len(w.requests("UPDATE"))
	line.cut()
	r.eventually(t, "the callee told of our new address", func() bool {
		return len(w.requests("INVITE"))+len(w.requests("UPDATE")) > before
	})
	if code, err := box.Hangup(t.Context(), call.ID); err != nil || code != http.StatusOK {
		t.Errorf("BYE of the callee got %d, %v, want 200", code, err)
	}
	r.eventually(t, "the call over", func() bool {
		_, body := r.do(t, "GET", "/v1/calls", "")
		return strings.Contains(fmt.Sprint(body), "remote_bye")
	})
	r.stop()
	r.wait(t, 10*time.Second)
}
