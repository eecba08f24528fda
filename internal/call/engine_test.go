package call

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/sip/dialog"
)

// TestACallWithTheRealEngineCarriesSoundAndFreesItsPort leaves out SIP only: the
// sound goes through sockets of this machine.
func TestACallWithTheRealEngineCarriesSoundAndFreesItsPort(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	e, err := engine.New(engine.Config{Bind: netip.MustParseAddr("127.0.0.1"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	leg := &fakeLeg{}
	var mu sync.Mutex
	var started *engine.Media
	x, err := New(Config{
		Dial: func(_ dialog.Invitation, on func(dialog.Event)) Leg { leg.emit = on; return leg },
		Open: e.Open, Policy: fakePolicy{}, Limits: &fakeLimits{calls: 1}, Logger: logger,
		Started: func(_ string, m *engine.Media) { mu.Lock(); started = m; mu.Unlock() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	engineCtx, stopEngine := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(engineCtx) })
	running.Go(func() { _ = x.Run(ctx); stopEngine() })
	defer running.Wait()
	defer cancel()

	phone, err := new(net.ListenConfig).ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	c, err := x.Dial(ctx, Request{To: "101"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := x.Media(c.ID)
	mu.Lock()
	if err != nil || m == nil || m != started {
		t.Fatalf("media = %p, %v; started with %p", m, err, started)
	}
	mu.Unlock()
	port := phone.LocalAddr().(*net.UDPAddr).Port
	leg.emit(dialog.Answered{SDP: answer("127.0.0.1", port, "8", "")})
	_ = phone.SetReadDeadline(time.Now().Add(5 * time.Second))
	packet := make([]byte, 2000)
	if n, _, err := phone.ReadFrom(packet); err != nil || n != 12+160 {
		t.Fatalf("read %d bytes, %v; want a packet of 20 ms", n, err)
	}
	got, err := x.Hangup(ctx, c.ID)
	if err != nil || got.Status != StatusCompleted || got.Audio == nil || got.Audio.RTPPacketsSent == 0 {
		t.Errorf("call = %+v, audio = %+v, %v; want completed with counters", briefOf(got), got.Audio, err)
	}
	_, err = x.Media(c.ID)
	wantRefusal(t, err, Conflict, CodeEnded, "")
	again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(m.Addr()))
	for deadline := time.Now().Add(5 * time.Second); err != nil && time.Now().Before(deadline); {
		again, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(m.Addr())) // closing is the worker's next task
	}
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	again.Close()
}
