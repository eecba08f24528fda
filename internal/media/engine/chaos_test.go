package engine

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"phonesocket/internal/media/session"
)

// TestNothingIsLeftAfterAllKindsOfLivesAndDeaths has calls and sockets come and go in every order, from
// many goroutines. What it proves is said by the race detector, by goleak, and by Done.
func TestNothingIsLeftAfterAllKindsOfLivesAndDeaths(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, stop := runEngine(t, Config{Fed: fed, Workers: 3, PingInterval: 5 * time.Millisecond, CloseTimeout: 50 * time.Millisecond, ListenQueue: 100 * time.Millisecond})
		var conns []*Conn
		var mu sync.Mutex
		var all sync.WaitGroup
		for seed := range 8 {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(seed), 1))
				for range 12 {
					c := liveOnce(t, e, rnd)
					mu.Lock()
					conns = append(conns, c...)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		stop()
		for _, c := range conns {
			wantDone(t, c)
		}
		for i, w := range e.workers {
			if len(w.conns) > 0 || len(w.medias) > 0 || w.wheel.count > 0 || w.placed.Load() != 0 {
				t.Errorf("worker %d keeps %d sockets, %d calls, %d ticking, load %d", i, len(w.conns), len(w.medias), w.wheel.count, w.placed.Load())
			}
		}
	})
}

// liveOnce is two calls with some sockets, and what can happen to them in any order.
func liveOnce(t *testing.T, e *Engine, rnd *rand.Rand) []*Conn {
	t.Helper()
	p := newPeer(t)
	calls := [2]*Media{}
	for i := range calls {
		m, err := e.Open(MediaConfig{Session: session.Config{CallID: "call"}, OnEvent: func(Fact) {}})
		if err != nil {
			t.Error(err)
			return nil
		}
		calls[i] = m
	}
	var conns []*Conn
	var ends []net.Conn
	for i := range 4 {
		near, far := tcpPair(t)
		if rnd.IntN(4) == 0 {
			near, far = net.Pipe() // never polled
		}
		if rnd.IntN(2) == 0 {
			go func() { _, _ = io.Copy(io.Discard, near) }() // the others never read
		}
		conns = append(conns, e.Adopt(far, nil, ConnConfig{
			Role: Role(i % 2), Format: session.Format{Rate: 16000}, Linger: rnd.IntN(2) == 0, Dialect: testDialect{},
		}))
		ends = append(ends, near)
	}
	for range 40 {
		m, c, end := calls[rnd.IntN(2)], conns[rnd.IntN(4)], ends[rnd.IntN(4)]
		_ = end.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
		switch rnd.IntN(12) {
		case 0:
			m.Start(p.remote())
		case 1:
			m.Answered()
		case 2:
			m.End(session.End{Status: "completed"})
		case 3:
			m.Close()
		case 4, 5:
			_ = c.Attach(m) // may well be refused
		case 6:
			c.Detach()
		case 7:
			c.Close(1000, "")
		case 8:
			_ = end.Close()
		case 9:
			_, _ = end.Write(frame(ws.OpBinary, true, string(make([]byte, rnd.IntN(3000)))))
		case 10:
			_, _ = end.Write(join(frame(ws.OpPing, true, "x"), frame(ws.OpText, true, `{"Type":"clear"}`)))
		default:
			p.speak(m.Addr(), byte(rnd.IntN(256)))
		}
	}
	for _, end := range ends {
		_ = end.Close()
	}
	for _, m := range calls {
		m.Close()
	}
	return conns
}
