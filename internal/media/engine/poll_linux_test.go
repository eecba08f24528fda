package engine

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"phonesocket/internal/media/session"
)

// onWorker runs f on the worker of m and waits for it.
func onWorker(t *testing.T, m *Media, f func(w *worker)) {
	t.Helper()
	done := make(chan struct{})
	m.worker.inbox.put(command(func(w *worker, _ time.Time) {
		f(w)
		close(done)
	}))
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the worker does not come")
	}
}

func (s *polledRTP) wantConnected(t *testing.T, want bool, when string) {
	t.Helper()
	for end := time.Now().Add(patience); s.connected.Load() != want; {
		if time.Now().After(end) {
			t.Fatalf("%s: connected is %v, want %v", when, !want, want)
		}
		runtime.Gosched()
	}
}

func TestTheRTPSocketIsConnectedWhileOnlyOneSourceIsHeard(t *testing.T) {
	for _, bind := range []string{"127.0.0.1", "0.0.0.0", "::"} {
		t.Run(bind, func(t *testing.T) {
			e := startEngine(t, Config{Bind: netip.MustParseAddr(bind)})
			m, p, facts := startCall(t, e, "call_1")
			s := m.rtp.(*polledRTP)
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), m.Addr().Port())
			p.packet()
			if s.connected.Load() {
				t.Error("connected before anything was heard")
			}
			p.speak(to, 0x11)
			wantFact(t, facts, FirstRTP)
			s.wantConnected(t, true, "after the first packet of the described address")
			if got := m.Addr(); got != s.local {
				t.Errorf("address %v after connecting, want %v", got, s.local)
			}
			stranger := newPeer(t)
			stranger.speak(to, 0x66)
			p.speak(to, 0x12)
			for end := time.Now().Add(patience); stats(t, m).RTPPacketsReceived < 2; {
				if time.Now().After(end) {
					t.Fatal("the connected socket hears nothing")
				}
			}
			if got := stats(t, m); got.RTPPacketsRefused != 0 || got.RTPSendErrors != 0 {
				t.Errorf("%d packets refused and %d not sent: the system should keep the stranger away", got.RTPPacketsRefused, got.RTPSendErrors)
			}
			p.packet()

			// A new description moves the sound, on the same port, and back to being connected.
			next := newPeer(t)
			m.Start(next.remote())
			next.packet()
			s.wantConnected(t, false, "after a new description")
			next.speak(to, 0x13)
			s.wantConnected(t, true, "after a packet of the new address")
			if port := s.local.Port(); port != to.Port() {
				t.Errorf("port %d, was %d", port, to.Port())
			}
			next.packet()
		})
	}
}

func TestAPacketThatCameBeforeTheConnectionIsStillGivenItsTrueSource(t *testing.T) {
	e := startEngine(t, Config{Workers: 1})
	m, p, facts := startCall(t, e, "call_1")
	stranger := newPeer(t)
	p.packet()
	onWorker(t, m, func(*worker) { // while the worker is here, all three wait in the socket
		p.speak(m.Addr(), 0x11)
		stranger.speak(m.Addr(), 0x66)
		p.speak(m.Addr(), 0x12)
	})
	wantFact(t, facts, FirstRTP)
	m.rtp.(*polledRTP).wantConnected(t, true, "after the first packet")
	for end := time.Now().Add(patience); stats(t, m).RTPPacketsReceived < 2; {
		if time.Now().After(end) {
			t.Fatal("the second packet of the far end was not heard")
		}
	}
	if got := stats(t, m); got.RTPPacketsReceived != 2 || got.RTPPacketsRefused != 1 {
		t.Errorf("%d packets heard and %d refused, want 2 and 1", got.RTPPacketsReceived, got.RTPPacketsRefused)
	}
}

func TestTheConnectionIsUndoneWhenAnotherSourceMayBeHeardAgain(t *testing.T) {
	s, err := openPolledRTP(netip.MustParseAddr("127.0.0.1"), [2]uint16{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	p := newPeer(t)
	m := &Media{session: session.New(session.Config{Port: s})}
	s.media, s.fromAddr = m, p.addr
	s.from, _ = makeRawAddr(p.addr, false)
	now := testEpoch
	m.session.Start(now, p.remote())
	m.session.Packet(now, p.addr, append([]byte{0x80, 0, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9}, make([]byte, 160)...))
	s.follow(now)
	if !s.connected.Load() {
		t.Fatal("not connected after a packet")
	}
	s.follow(now.Add(4900 * time.Millisecond))
	if !s.connected.Load() {
		t.Error("the connection is undone before the silence is long")
	}
	s.follow(now.Add(5 * time.Second))
	if s.connected.Load() {
		t.Error("still connected after a long silence: nobody else could be heard")
	}
	if got, err := localAddr(s.fd); err != nil || got != s.local {
		t.Errorf("bound to %v (%v) after the connection was undone, want %v", got, err, s.local)
	}
	other := newPeer(t)
	other.speak(s.local, 0x22)
	buf := make([]byte, 200)
	for end := time.Now().Add(patience); ; {
		if n, errno := recv(s.fd, buf); errno == 0 && n == 172 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nobody else is heard")
		}
	}
}

func TestAFarEndThatClosedItsPortForAMomentCostsNoPacketOfOurs(t *testing.T) {
	e := startEngine(t, Config{})
	m, p, facts := startCall(t, e, "call_1")
	p.speak(m.Addr(), 1)
	wantFact(t, facts, FirstRTP)
	m.rtp.(*polledRTP).wantConnected(t, true, "after a packet")
	p.conn.Close() // ICMP says so to the connected socket
	before := stats(t, m).RTPPacketsSent
	for end := time.Now().Add(patience); stats(t, m).RTPPacketsSent < before+10; {
		if time.Now().After(end) {
			t.Fatal("nothing is sent any more")
		}
	}
	again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(p.addr))
	if err != nil {
		t.Skipf("the port went to somebody else: %v", err)
	}
	defer again.Close()
	_ = again.SetReadDeadline(time.Now().Add(patience))
	if _, err := again.Read(make([]byte, 200)); err != nil {
		t.Errorf("nothing arrives after the port is open again: %v", err)
	}
}

func TestPlainTCPIsPolledAndEverythingElseIsFed(t *testing.T) {
	e := startEngine(t, Config{})
	tcp, _ := adopt(t, e, ConnConfig{Role: Listen, Linger: true})
	if _, ok := tcp.carrier.(*polledConn); !ok {
		t.Errorf("TCP is carried by %T", tcp.carrier)
	}
	near, far := net.Pipe()
	pipe := e.Adopt(far, nil, ConnConfig{Role: Listen, Linger: true, Dialect: testDialect{}})
	if _, ok := pipe.carrier.(*fedCarrier); !ok {
		t.Errorf("a pipe is carried by %T", pipe.carrier)
	}
	near.Close()
	wantDone(t, pipe)
}

// drained starts an engine whose workers wake every 2 ms from the first event on.
func drained(t *testing.T) *Engine {
	t.Helper()
	e := startEngine(t, Config{Workers: 1})
	done := make(chan struct{})
	e.workers[0].inbox.put(command(func(w *worker, _ time.Time) {
		w.meter.above, w.meter.below = -1, -1
		close(done)
	}))
	<-done
	return e
}

func TestSoundFlowsBothWaysWhileDraining(t *testing.T) {
	e := drained(t)
	m, p, facts := startCall(t, e, "call_1")
	speak, s := adopt(t, e, ConnConfig{Role: Speak, Format: ulaw})
	listen, l := adopt(t, e, ConnConfig{Role: Listen, Format: ulaw})
	attach(t, speak, m)
	attach(t, listen, m)
	wantFact(t, facts, SocketsPresent)
	for end := time.Now().Add(patience); !e.Workers()[0].Draining; {
		if time.Now().After(end) {
			t.Fatal("the worker does not drain")
		}
		p.packet()
	}
	for i := range 30 {
		p.speak(m.Addr(), byte(i))
		if got := l.want(ws.OpBinary); !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 160)) {
			t.Fatalf("message %d is %d bytes of %#x…", i, len(got), got[0])
		}
	}
	s.send(frame(ws.OpBinary, true, string(bytes.Repeat([]byte{0x33}, 320))))
	p.wantPayload(bytes.Repeat([]byte{0x33}, 160))
	m.Close()
	l.wantClose(1000)
	s.wantClose(1000)
	for end := time.Now().Add(patience); e.Workers()[0].Draining; {
		if time.Now().After(end) {
			t.Fatal("an idle worker goes on draining")
		}
		runtime.Gosched()
	}
}

func TestAnIdleWorkerIsNeverWoken(t *testing.T) {
	e := startEngine(t, Config{Workers: 1})
	m, p, _ := startCall(t, e, "call_1")
	p.packet()
	m.Close()
	w := e.workers[0]
	ask := func() (armed bool, wakeups uint64) {
		done := make(chan struct{})
		w.inbox.put(command(func(w *worker, _ time.Time) {
			_, armed = w.next()
			wakeups = w.meter.wakeups
			close(done)
		}))
		<-done
		return armed, wakeups
	}
	for end := time.Now().Add(patience); ; {
		if armed, _ := ask(); !armed {
			break
		}
		if time.Now().After(end) {
			t.Fatal("there is still something to wake up for")
		}
	}
	_, before := ask()
	time.Sleep(100 * time.Millisecond)
	if _, after := ask(); after > before+2 { // one for the question; one more if it came before the worker slept
		t.Errorf("%d wake-ups in 100 ms without work", after-before)
	}
}

func TestAClientThatTakesNothingIsGivenUp(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, WriteTimeout: 200 * time.Millisecond, PingInterval: 50 * time.Millisecond})
		m, p, _ := startCall(t, e, "call_1")
		listen, l := adopt(t, e, ConnConfig{Role: Listen, Format: session.Format{Rate: 48000}})
		attach(t, listen, m)
		l.wantText("start")
		_ = l.conn.(*net.TCPConn).SetReadBuffer(4096)
		deadline := time.After(patience)
		for {
			select {
			case <-listen.Done():
				return
			case <-deadline:
				t.Fatal("the socket is kept for ever")
			default:
				for range 50 {
					p.speak(m.Addr(), 1)
				}
				p.packet()
			}
		}
	})
}

func TestRawAddressesComeBackAsTheyWere(t *testing.T) {
	tests := []struct {
		addr string
		v6   bool
	}{
		{"192.0.2.1:4000", false},
		{"192.0.2.1:4000", true},
		{"[2001:db8::1]:65535", true},
		{"[fe80::1%1]:5004", true},
	}
	for _, c := range tests {
		want := netip.MustParseAddrPort(c.addr)
		raw, err := makeRawAddr(want, c.v6)
		if err != nil {
			t.Errorf("%s: %v", c.addr, err)
			continue
		}
		if got := raw.addrPort(); got != want {
			t.Errorf("%s on a v6=%v socket comes back as %v", c.addr, c.v6, got)
		}
	}
	if _, err := makeRawAddr(netip.MustParseAddrPort("[2001:db8::1]:1"), false); err == nil {
		t.Error("an IPv6 address fits an IPv4 socket")
	}
}

func TestPolledRTPAllocatesNothing(t *testing.T) {
	for _, bind := range []string{"127.0.0.1", "::1", "0.0.0.0", "::"} {
		s, err := openPolledRTP(netip.MustParseAddr(bind), [2]uint16{})
		if err != nil {
			t.Skipf("no socket on %s: %v", bind, err)
		}
		defer s.close()
		if s.local.Port()%2 != 0 {
			t.Errorf("odd port %d", s.local.Port())
		}
		to := s.local
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		var d datagram
		d.init()
		data := make([]byte, 172)
		var n int
		var local netip.Addr
		var errno unix.Errno
		round := func() {
			s.SendRTP(to, data)
			n, local, errno = d.receiveTo(s.fd)
		}
		if allocs := testing.AllocsPerRun(100, round); allocs != 0 {
			t.Errorf("%s: %v allocations a packet, want 0", bind, allocs)
		}
		if errno != 0 || n != 172 || d.from.addrPort() != to || s.failed.Load() != 0 {
			t.Errorf("%s: %d bytes from %v, error %v, %d not sent", bind, n, d.from.addrPort(), errno, s.failed.Load())
		}
		if s.open && local != to.Addr() {
			t.Errorf("%s: sent to %v, want %v", bind, local, to.Addr())
		}
	}
}
