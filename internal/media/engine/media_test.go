package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"phonesocket/internal/media/session"
)

// ulaw is the format that needs no conversion on these calls, so that bytes can be compared.
var ulaw = session.Format{Encoding: session.ULaw, Rate: 8000}

// startCall opens a call, connects it to a peer and answers it.
func startCall(t *testing.T, e *Engine, id string) (*Media, *peer, chan Fact) {
	t.Helper()
	m, facts := openCall(t, e, id)
	p := newPeer(t)
	m.Start(p.remote())
	m.Answered()
	return m, p, facts
}

func attach(t *testing.T, c *Conn, m *Media) {
	t.Helper()
	if err := c.Attach(m); err != nil {
		t.Fatal(err)
	}
}

func TestRTPFlowsFromTheStartEvery20Milliseconds(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		m, facts := openCall(t, e, "call_1")
		p := newPeer(t)
		m.Start(p.remote())
		first := p.packet()
		seq, ts := binary.BigEndian.Uint16(first[2:]), binary.BigEndian.Uint32(first[4:])
		begin, last := time.Now(), uint32(0)
		for i := 1; i <= 25; i++ {
			b := p.packet()
			if got := binary.BigEndian.Uint16(b[2:]); got != seq+uint16(i) {
				t.Fatalf("packet %d has sequence number %d, want %d", i, got, seq+uint16(i))
			}
			if last = binary.BigEndian.Uint32(b[4:]) - ts; last%160 != 0 || last < 160*uint32(i) {
				t.Fatalf("packet %d has timestamp %d after the first, want %d", i, last, 160*i)
			}
			if !bytes.Equal(b[12:], bytes.Repeat([]byte{0xff}, 160)) {
				t.Fatalf("packet %d is not silence: % x", i, b[12:20])
			}
		}
		// A machine that stalls makes the stream skip time; nothing else may.
		if got, most := int64(last)/8, 500+stats(t, m).RTPSkippedMS; got > most {
			t.Errorf("the timestamps went on by %d ms, want %d at most", got, most)
		}
		if took := time.Since(begin); took < 450*time.Millisecond {
			t.Errorf("25 packets came within %v, want 500 ms", took)
		}
		p.speak(m.Addr(), 0x11)
		if f := wantFact(t, facts, FirstRTP); f.Addr != p.addr {
			t.Errorf("first RTP from %v, want %v", f.Addr, p.addr)
		}
	})
}

func TestSpeechReachesThePhoneAndThePhoneReachesTheListener(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 2})
		m, p, facts := startCall(t, e, "call_1")
		speak, s := adopt(t, e, ConnConfig{Role: Speak, Format: ulaw})
		listen, l := adopt(t, e, ConnConfig{Role: Listen, Format: ulaw})
		attach(t, speak, m)
		attach(t, listen, m)
		wantFact(t, facts, SocketsPresent)
		if got := s.wantText("start"); got.Call != "call_1" {
			t.Errorf("start of call %q", got.Call)
		}
		l.wantText("start")

		want := make([]byte, 160)
		for i := range want {
			want[i] = byte(i)
		}
		s.send(frame(ws.OpBinary, false, string(want[:7])))
		s.send(frame(ws.OpPing, true, ""))
		s.send(frame(ws.OpContinuation, true, string(want[7:])))
		s.send(frame(ws.OpBinary, true, string(bytes.Repeat(want, 3))))
		for range 4 {
			p.wantPayload(want)
		}
		for i := range 20 {
			p.speak(m.Addr(), byte(i))
		}
		for i := range 20 {
			if got := l.want(ws.OpBinary); !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 160)) {
				t.Fatalf("message %d is %d bytes of %#x…", i, len(got), got[0])
			}
		}
	})
}

func TestListenersGetTheirOwnFormats(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		m, p, _ := startCall(t, e, "call_1")
		formats := []session.Format{
			ulaw,
			{Encoding: session.ALaw, Rate: 8000},
			{Encoding: session.PCM16, Rate: 16000},
			{Encoding: session.PCM16, Rate: 48000},
			{Encoding: session.PCM16, Rate: 8000, WAV: true},
		}
		var clients []*wsClient
		for _, f := range formats {
			conn, c := adopt(t, e, ConnConfig{Role: Listen, Format: f})
			attach(t, conn, m)
			c.wantText("start")
			clients = append(clients, c)
		}
		for range 10 {
			p.speak(m.Addr(), 0x20)
		}
		for i, c := range clients {
			if formats[i].WAV {
				if got := c.want(ws.OpBinary); !bytes.HasPrefix(got, []byte("RIFF")) {
					t.Errorf("%v: first message begins with %q, want a WAV header", formats[i], got[:4])
				}
			}
			for range 5 {
				if got := len(c.want(ws.OpBinary)); got != formats[i].FrameBytes() {
					t.Errorf("%v: message of %d bytes, want %d", formats[i], got, formats[i].FrameBytes())
				}
			}
		}
	})
}

func TestASlowListenerDelaysNobodyAndIsToldWhatItLost(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, ListenQueue: 100 * time.Millisecond})
		m, err := e.Open(MediaConfig{Session: session.Config{CallID: "call_1", BacklogLimit: -1}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		p := newPeer(t)
		m.Start(p.remote())
		m.Answered()
		slow, sc := adopt(t, e, ConnConfig{Role: Listen, Format: session.Format{Rate: 48000}})
		fast, fc := adopt(t, e, ConnConfig{Role: Listen, Format: ulaw})
		attach(t, slow, m)
		attach(t, fast, m)
		sc.wantText("start")
		fc.wantText("start")

		// Faster than life, until the buffers of the system between us and the slow one are full.
		sent := 0
		for end := time.Now().Add(patience); slow.Dropped() < 50; sent++ {
			if time.Now().After(end) {
				t.Fatal("the slow listener loses nothing")
			}
			p.speak(m.Addr(), byte(sent))
			if got := fc.want(ws.OpBinary); len(got) != 160 || got[0] != byte(sent) {
				t.Fatalf("the fast listener got %d bytes of %#x, want packet %d", len(got), got[0], sent)
			}
		}
		if fast.Dropped() != 0 {
			t.Errorf("the fast listener lost %d messages", fast.Dropped())
		}
		if s := stats(t, m); s.ListenDroppedMS != int64(slow.Dropped())*20 {
			t.Errorf("statistics say %d ms lost, want %d", s.ListenDroppedMS, slow.Dropped()*20)
		}
		got := sc.wantText("error")
		if got.Code != CodeDropped || got.Discarded <= 0 {
			t.Errorf("told %+v, want %s with the milliseconds lost", got, CodeDropped)
		}
		sc.want(ws.OpBinary)
	})
}

func stats(t *testing.T, m *Media) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := m.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMarkAndClearMakeTheirRoundTrip(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		m, p, _ := startCall(t, e, "call_1")
		speak, s := adopt(t, e, ConnConfig{Role: Speak, Format: ulaw})
		attach(t, speak, m)
		s.send(frame(ws.OpBinary, true, string(bytes.Repeat([]byte{0x33}, 5*160))))
		s.text(`{"Type":"mark","Name":"spoken"}`)
		if got := s.wantText("mark"); got.Name != "spoken" {
			t.Errorf("mark %q", got.Name)
		}
		p.wantPayload(bytes.Repeat([]byte{0x33}, 160))
		s.send(frame(ws.OpBinary, true, string(bytes.Repeat([]byte{0x44}, 8000*10)))) // ten seconds
		s.text(`{"Type":"mark","Name":"never"}`)
		s.text(`{"Type":"clear"}`)
		if got := s.wantText("mark"); got.Name != "never" {
			t.Errorf("mark %q", got.Name)
		}
		if got := s.wantText("cleared"); got.Discarded < 9000 {
			t.Errorf("%d ms cleared, want nearly 10000", got.Discarded)
		}
		for i := 0; ; i++ {
			if bytes.Equal(p.packet()[12:], bytes.Repeat([]byte{0xff}, 160)) {
				break
			}
			if i > 50 {
				t.Fatal("no silence after clear")
			}
		}
	})
}

func TestTheEndClosesBoundSocketsAndLeavesTheLineWaiting(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 2, CloseTimeout: patience})
		m, _, _ := startCall(t, e, "call_1")
		bound, b := adopt(t, e, ConnConfig{Role: Listen, Format: ulaw})
		onLine, l := adopt(t, e, ConnConfig{Role: Listen, Format: ulaw, Linger: true})
		attach(t, bound, m)
		attach(t, onLine, m)
		l.wantText("start")
		b.wantText("start")
		m.End(session.End{Status: "completed", Reason: "remote_bye", SIPCode: 200})
		m.Close()
		b.wantText("end")
		b.wantClose(1000)
		wantDone(t, bound)
		l.wantText("end")
		if err := onLine.Attach(m); !errors.Is(err, ErrEnded) {
			t.Errorf("attach to an ended call: %v, want ErrEnded", err)
		}
		next, p, _ := startCall(t, e, "call_2")
		attach(t, onLine, next)
		if got := l.wantText("start"); got.Call != "call_2" {
			t.Errorf("start of %q, want call_2", got.Call)
		}
		p.speak(next.Addr(), 0x66)
		if got := l.want(ws.OpBinary); got[0] != 0x66 {
			t.Errorf("heard %#x, want 0x66", got[0])
		}
	})
}

func TestSpeechOnTheLineBeforeACallIsSpokenAtTheAnswer(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 2})
		speak, s := adopt(t, e, ConnConfig{Role: Speak, Format: ulaw, Linger: true})
		for i := range 5 {
			s.send(frame(ws.OpBinary, true, string(bytes.Repeat([]byte{byte(0x40 + i)}, 160))))
		}
		s.text(`{"Type":"mark","Name":"said"}`)
		s.send(frame(ws.OpPing, true, ""))
		s.want(ws.OpPong) // now it is all here
		m, _ := openCall(t, e, "call_1")
		p := newPeer(t)
		attach(t, speak, m)
		m.Start(p.remote()) // early media: nothing is spoken yet
		for range 10 {
			if b := p.packet(); b[12] != 0xff {
				t.Fatalf("spoke %#x before the answer", b[12])
			}
		}
		m.Answered()
		for i := range 5 {
			p.wantPayload(bytes.Repeat([]byte{byte(0x40 + i)}, 160))
		}
		if got := s.wantText("mark"); got.Name != "said" {
			t.Errorf("mark %q", got.Name)
		}
	})
}

func TestSpeechBeyondTheEarlyLimitIsToldAndCounted(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed})
		_, s := adopt(t, e, ConnConfig{Role: Speak, Format: ulaw, Linger: true, EarlyLimit: 100 * time.Millisecond})
		s.send(frame(ws.OpBinary, true, string(make([]byte, 1600))))
		if got := s.wantText("error"); got.Code != session.CodeEarlyFull || got.Discarded <= 0 {
			t.Errorf("told %+v, want %s with the milliseconds lost", got, session.CodeEarlyFull)
		}
		s.text(`{"Type":"mark","Name":"m"}`)
		s.text(`{"Type":"clear"}`)
		s.wantText("mark")
		if got := s.wantText("cleared"); got.Discarded != 100 {
			t.Errorf("%d ms cleared, want 100", got.Discarded)
		}
	})
}

func TestStatisticsOutliveTheCall(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, stop := runEngine(t, Config{Fed: fed})
		m, p, facts := startCall(t, e, "call_1")
		for range 3 {
			p.packet()
		}
		p.speak(m.Addr(), 1)
		wantFact(t, facts, FirstRTP)
		check := func(when string) {
			t.Helper()
			if s := stats(t, m); s.RTPPacketsSent < 3 || s.RTPPacketsReceived != 1 {
				t.Errorf("%s: %d packets sent and %d received, want 3 or more and 1", when, s.RTPPacketsSent, s.RTPPacketsReceived)
			}
		}
		check("during the call")
		m.End(session.End{Status: "completed"})
		check("after the end")
		m.Close()
		check("after close")
		stop()
		check("after the engine")
	})
}

func TestOnlyEvenPortsOfTheRangeAreUsedAndFreedAgain(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		probe := newPeer(t)
		first := probe.addr.Port() &^ 1 // a region that the system thinks free
		probe.conn.Close()
		if first > 65500 {
			first = 40000
		}
		e := startEngine(t, Config{Fed: fed, Ports: [2]uint16{first, first + 7}})
		seen := map[uint16]bool{}
		var calls []*Media
		for {
			m, err := e.Open(MediaConfig{})
			if err != nil {
				if !errors.Is(err, ErrNoPort) {
					t.Fatal(err)
				}
				break
			}
			port := m.Addr().Port()
			if port%2 != 0 || port < first || port > first+7 || seen[port] {
				t.Errorf("port %d, want a new even one in %d-%d", port, first, first+7)
			}
			seen[port] = true
			calls = append(calls, m)
		}
		if len(calls) == 0 || len(calls) > 4 {
			t.Fatalf("%d ports of 4", len(calls))
		}
		calls[0].Close()
		for end := time.Now().Add(patience); ; {
			m, err := e.Open(MediaConfig{})
			if err == nil {
				m.Close()
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the port is not free again: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestWrongPortRangesAreRefused(t *testing.T) {
	for _, ports := range [][2]uint16{{20, 10}, {0, 100}, {21, 21}, {65535, 65535}} {
		if _, err := New(Config{Ports: ports, Logger: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("ports %v were accepted", ports)
		}
	}
	if _, err := New(Config{Ports: [2]uint16{20000, 20000}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("a range of one port: %v", err)
	}
}

func TestWhenRTPComesFasterThanItIsTakenTheOldestGoes(t *testing.T) {
	e, err := New(Config{Fed: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := e.workers[0]
	s := &fedRTP{ready: make(chan *packet, packetQueue), media: &Media{worker: w}}
	for i := range packetQueue + 5 {
		p := w.packets.get()
		p.n = i
		s.push(p)
	}
	if got, _ := s.count(); got != 5 {
		t.Errorf("%d packets dropped, want 5", got)
	}
	if p := <-s.ready; p.n != 5 {
		t.Errorf("the oldest kept is number %d, want 5", p.n)
	}
	if n := len(w.inbox.take(nil)); n != 1 {
		t.Errorf("the call is %d times in the inbox, want once", n)
	}
}

func TestSendingRTPAllocatesNothing(t *testing.T) {
	for _, bind := range []string{"127.0.0.1", "::1"} {
		addr := netip.MustParseAddr(bind)
		s, err := openFedRTP(addr, [2]uint16{})
		if err != nil {
			t.Skipf("no socket on %s: %v", bind, err)
		}
		defer s.conn.Close()
		if s.addr().Port()%2 != 0 {
			t.Errorf("odd port %d", s.addr().Port())
		}
		data := make([]byte, 172)
		if n := testing.AllocsPerRun(100, func() { s.SendRTP(s.addr(), data) }); n != 0 {
			t.Errorf("%s: %v allocations a packet, want 0", bind, n)
		}
		buf := make([]byte, 2000)
		_ = s.conn.SetReadDeadline(time.Now().Add(patience))
		if n, from, err := s.conn.ReadFromUDPAddrPort(buf); err != nil || n != 172 || from.Port() != s.addr().Port() {
			t.Errorf("%s: read %d bytes from %v: %v", bind, n, from, err)
		}
		if s.failed.Load() != 0 {
			t.Errorf("%d packets failed", s.failed.Load())
		}
	}
}

func TestADualStackSocketReachesIPv4(t *testing.T) {
	s, err := openFedRTP(netip.IPv6Unspecified(), [2]uint16{})
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	defer s.conn.Close()
	p := newPeer(t)
	s.SendRTP(p.addr, []byte("over IPv4 to it"))
	if got := p.packet(); string(got) != "over IPv4 to it" {
		t.Errorf("got %q", got)
	}
}

func TestCarryingAFrameEachWayAllocatesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e := startEngine(t, Config{Fed: fed, Workers: 1})
		m, p, _ := startCall(t, e, "call_1")
		speak, s := adopt(t, e, ConnConfig{Role: Speak, Format: session.Format{Rate: 16000}})
		listen, l := adopt(t, e, ConnConfig{Role: Listen, Format: session.Format{Rate: 16000}})
		attach(t, speak, m)
		attach(t, listen, m)
		s.wantText("start")
		l.wantText("start")
		s.wantText("answered")
		l.wantText("answered")
		head := []byte{0x80, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9}
		packet := append(head, bytes.Repeat([]byte{0x33}, 160)...)
		audio := frame(ws.OpBinary, true, string(make([]byte, 640)))
		in := make([]byte, 4096)
		_ = l.conn.SetReadDeadline(time.Now().Add(patience))
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		to, seq := m.Addr(), uint16(0)
		carry := func() {
			seq++
			binary.BigEndian.PutUint16(packet[2:], seq)
			binary.BigEndian.PutUint32(packet[4:], uint32(seq)*160)
			if _, err := p.conn.WriteToUDPAddrPort(packet, to); err != nil {
				t.Fatal(err)
			}
			if _, err := s.conn.Write(audio); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < 644; {
				n, err := l.conn.Read(in)
				if err != nil {
					t.Fatal(err)
				}
				got += n
			}
			if _, _, err := p.conn.ReadFromUDPAddrPort(in); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			carry()
		}
		if n := testing.AllocsPerRun(50, carry); n != 0 {
			t.Errorf("%v allocations for a frame each way, want 0", n)
		}
	})
}
