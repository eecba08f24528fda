// Package gateway builds every part from the configuration, starts them in order and stops them in the order in which nothing is lost.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"phonesocket/internal/call"
	"phonesocket/internal/call/policy"
	"phonesocket/internal/config"
	"phonesocket/internal/front/stream"
	"phonesocket/internal/front/webhook"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/session"
	"phonesocket/internal/sip/dialog"
)

// settleWait bounds how long the end waits for the answers to the last BYEs.
const settleWait = 4 * time.Second

// Gateway is the whole program behind the command line.
type Gateway struct {
	cfg    *config.Config
	log    *slog.Logger
	diary  diary
	sip    *signalling
	engine *engine.Engine
	calls  *call.Exchange
	stream *stream.Server
	hook   *webhook.Hook // nil unless somebody is asked about incoming calls

	userAgent string

	api, speak, listen *door
	debug              *door // nil without DEBUG_LISTEN
}

// Addresses are where a gateway can be reached.
type Addresses struct {
	// API, Speak and Listen are the three TCP ports.
	API, Speak, Listen netip.AddrPort
	// SIP is the UDP socket.
	SIP netip.AddrPort
}

// New builds a gateway and binds its ports, so that a port in use is told at
// once. Run must be called afterwards: it is what closes them again.
func New(ctx context.Context, cfg *config.Config, version string, log *slog.Logger) (*Gateway, error) {
	g := &Gateway{cfg: cfg, log: log, userAgent: "phonesocket/" + version}
	err := g.open(ctx)
	if err == nil {
		err = g.build(version)
	}
	if err != nil {
		return nil, errors.Join(err, g.close(ctx))
	}
	return g, nil
}

// open binds what has to be bound.
func (g *Gateway) open(ctx context.Context) error {
	err := g.diary.open(g.cfg.Run.StateDir, g.log)
	if err != nil {
		return err
	}
	for _, d := range []struct {
		door           **door
		name, variable string
		port           uint16
	}{
		{&g.api, "REST", "API_PORT", g.cfg.HTTP.APIPort},
		{&g.speak, "speak", "SPEAK_PORT", g.cfg.HTTP.SpeakPort},
		{&g.listen, "listen", "LISTEN_PORT", g.cfg.HTTP.ListenPort},
	} {
		if *d.door, err = openDoor(ctx, d.name, d.variable, g.cfg.HTTP.Listen(d.port), g.log); err != nil {
			return err
		}
	}
	if err := g.openDebug(ctx); err != nil {
		return err
	}
	g.sip, err = newSignalling(g.cfg, g.userAgent, &g.diary, g.incoming(), g.log)
	return err
}

// close gives back what open took; it is for gateways that never ran.
func (g *Gateway) close(ctx context.Context) error {
	var errs []error
	for _, d := range []*door{g.api, g.speak, g.listen, g.debug} {
		if d != nil {
			errs = append(errs, d.listener.Close())
		}
	}
	if g.sip != nil {
		// A transport closes its sockets when it stops running.
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		errs = append(errs, g.sip.transport.Run(stopped))
	}
	errs = append(errs, g.diary.close())
	return errors.Join(errs...)
}

// build makes the parts that need no port, from the phone line towards the doors.
func (g *Gateway) build(version string) error {
	var err error
	media := g.cfg.Media
	g.engine, err = engine.New(engine.Config{
		Bind: g.cfg.SIP.Bind.Addr(), Ports: [2]uint16{media.RTPPorts.First, media.RTPPorts.Last}, Logger: g.log,
	})
	if err != nil {
		return err
	}
	if err := g.buildCalls(); err != nil {
		return err
	}
	guard := g.newGuard()
	g.stream, err = stream.New(stream.Config{
		Engine: g.engine, Calls: g.calls, Authorize: guard.Check, EarlyLimit: limit(g.cfg.Sockets.SpeakEarlyLimit), Logger: g.log,
	})
	if err != nil {
		return err
	}
	g.speak.server.Handler, g.listen.server.Handler = g.stream.Speak(), g.stream.Listen()
	g.api.server.Handler, err = g.rest(guard, version)
	return err
}

func (g *Gateway) buildCalls() error {
	dial, sockets := g.cfg.Dial, g.cfg.Sockets
	host, err := g.sip.account.NextHop()
	if err != nil {
		return err
	}
	rules := policy.Rules{Country: dial.Country, Allow: dial.Allow, Domains: []string{g.sip.account.AOR().Host, host.Host}}
	if err := rules.Validate(); err != nil {
		return fmt.Errorf("dial policy: %w", err)
	}
	inbound, err := g.inbound()
	if err != nil {
		return err
	}
	g.calls, err = call.New(call.Config{
		Inbound: inbound,
		Dial:    func(i dialog.Invitation, on func(dialog.Event)) call.Leg { return g.sip.ua.Invite(i, on) },
		Open:    g.engine.Open, Policy: rules,
		Limits:    &policy.Limiter{PerMinute: dial.CallsPerMinute, MaxCalls: dial.MaxCalls},
		Ready:     g.ready,
		Started:   func(id string, m *engine.Media) { g.stream.CallStarted(id, m) },
		Ended:     func(id string) { g.stream.CallEnded(id) },
		MediaAddr: g.sip.reachable, Peer: g.sip.peer,
		From: g.sip.account.AOR().User, Ports: g.ports(),
		Sound: session.Config{
			EarlyLimit: limit(sockets.SpeakEarlyLimit), BacklogLimit: limit(sockets.ListenBacklog),
			QueueLimit: sockets.SpeakQueueLimit, RTPTimeout: g.cfg.Media.RTPTimeout,
		},
		RingTimeout: dial.RingTimeout, MaxDuration: dial.MaxCallDuration,
		Unattended: sockets.DisconnectTimeout, HangupWithSockets: sockets.OnDisconnect == "hangup",
		Logger: g.log,
	})
	return err
}

// ports returns what is bound beside the sound: no description may send RTP there.
func (g *Gateway) ports() []uint16 {
	ports := []uint16{g.api.address().Port(), g.speak.address().Port(), g.listen.address().Port(), g.sip.transport.Bound().Port()}
	if g.debug != nil {
		ports = append(ports, g.debug.address().Port())
	}
	return ports
}

// limit turns a setting, where zero means nothing, into a limit, where zero means the default.
func limit(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// Addresses returns where the gateway can be reached.
func (g *Gateway) Addresses() Addresses {
	return Addresses{API: g.api.address(), Speak: g.speak.address(), Listen: g.listen.address(), SIP: g.sip.transport.Bound()}
}

// Run carries the gateway until ctx ends, then stops it: new calls are refused,
// running ones get DRAIN_TIMEOUT to end by themselves (or until hurry is closed),
// the others their BYE. It returns when everything has ended, with the failure
// that ended it, if any.
func (g *Gateway) Run(ctx context.Context, hurry <-chan struct{}) error {
	// The parts outlive ctx, so that they can be stopped in order.
	life := context.WithoutCancel(ctx)
	p := newParts()
	// From the phone line towards the doors: what is started later needs what was started before.
	var disk *part
	if g.diary.journal != nil {
		disk = p.start(life, "journal", g.diary.journal.Run)
	}
	sockets := p.start(life, "SIP sockets", g.sip.transport.Run)
	loop := p.start(life, "SIP loop", g.sip.layer.Run)
	p.all.Go(func() { g.diary.end(ctx, g.log) }) // what a crash has left costs money every second
	sound := p.start(life, "media engine", g.engine.Run)
	calls := p.start(life, "calls", g.calls.Run)
	audio := p.start(life, "audio sockets", g.stream.Run)
	doors := []*part{
		p.start(life, "REST port", g.api.run),
		p.start(life, "speak port", g.speak.run),
		p.start(life, "listen port", g.listen.run),
	}
	if g.debug != nil {
		doors = append(doors, p.start(life, "debug port", g.debug.run))
	}
	g.greet()
	lease := p.start(life, "registration", g.sip.registration.Run)

	var failure error
	select {
	case <-ctx.Done():
		g.log.Info("stopping", slog.Int("calls", g.calls.Running()), slog.Duration("drain", g.cfg.Run.DrainTimeout))
	case failure = <-p.failed:
		g.log.Error("stopping because a part failed", slog.Any("error", failure))
	}

	g.drain(life, hurry)
	calls.stop()   // every leg has its BYE before the lease is given up
	g.settle(life) // and its answer, or the time for it is over
	audio.stop()   // clients learn by 1001 that it is over
	sound.stop()   // nobody is left to hear
	lease.stop()   // un-REGISTER
	loop.stop()    // no transaction is left
	sockets.stop() // what was queued has been sent
	if disk != nil {
		disk.stop() // nobody writes any more
	}
	for _, d := range doors {
		d.stop() // last, so that health and readiness could be asked all the time
	}
	p.all.Wait()
	if g.hook != nil {
		g.hook.Close()
	}
	g.log.Info("stopped")
	return failure
}

// drain refuses new calls and lets the others end, for as long as they may.
func (g *Gateway) drain(ctx context.Context, hurry <-chan struct{}) {
	bounded, cancel := context.WithTimeout(ctx, g.cfg.Run.DrainTimeout)
	defer cancel()
	go func() {
		select {
		case <-hurry:
			cancel()
		case <-bounded.Done():
		}
	}()
	if n := g.calls.Drain(bounded); n > 0 {
		g.log.Info("hung up", slog.Int("calls", n))
	}
}

// settle waits for the answers to the last BYEs.
func (g *Gateway) settle(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	if err := g.sip.ua.Settle(bounded); err != nil {
		g.log.Warn("ended without the answer to every BYE", slog.Any("error", err))
	}
}

// greet says what a newcomer and an operator want to know first.
func (g *Gateway) greet() {
	a := g.Addresses()
	g.log.Info("listening", slog.Any("api", a.API), slog.Any("speak", a.Speak), slog.Any("listen", a.Listen), slog.Any("sip", a.SIP))
	if g.diary.journal == nil {
		g.log.Info("no STATE_DIR is set: a crash leaves calls up until the provider ends them")
	}
	for _, w := range g.cfg.Warnings {
		g.log.Warn("a setting deserves a look", slog.String("advice", w))
	}
	if g.cfg.HTTP.APIToken.Empty() && !g.cfg.HTTP.Public() {
		g.log.Info("no API_TOKEN is set, so only this host is let in")
	}
}
