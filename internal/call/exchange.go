package call

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"phonesocket/internal/call/policy"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
	"phonesocket/internal/sip/dialog"
)

// Defaults of a [Config].
const (
	DefaultRing       = 60 * time.Second
	DefaultDuration   = time.Hour
	DefaultGrace      = 2 * time.Second
	DefaultUnattended = 10 * time.Minute
	DefaultKeep       = 1000
	DefaultKeepFor    = time.Hour
	DefaultKeys       = 10_000
	DefaultKeysFor    = 24 * time.Hour
	DefaultByeWait    = 5 * time.Second
)

// Leg is a call as SIP sees it; [dialog.Dialog] is one.
type Leg interface {
	// Hangup ends the call, by CANCEL or BYE; it does not wait. The event
	// [dialog.Ended] follows in any case.
	Hangup(cause dialog.Cause)
	// ID is the Call-ID.
	ID() string
}

// dialPolicy decides whether a number may be called; [policy.Rules] does.
type dialPolicy interface {
	Check(to string) (policy.Number, error)
}

// limits decides whether one more call may be placed now; [policy.Limiter]
// does. It is asked by one goroutine at a time.
type limits interface {
	Admit(now time.Time, running int) error
}

// Config is what an [Exchange] needs.
type Config struct {
	// Dial sends the INVITE and returns at once; the events come in order, from
	// one goroutine at a time, the last one is [dialog.Ended].
	Dial func(dialog.Invitation, func(dialog.Event)) Leg
	// Open opens the sound of a call.
	Open func(engine.MediaConfig) (*engine.Media, error)
	// Policy and Limits guard against calls that nobody wants to pay; both are needed.
	Policy dialPolicy
	Limits limits
	// Ready says why no call can be placed now: nil, an [*Error], or an error
	// whose text is for the user (CodeNotRegistered). A nil func is always ready.
	Ready func() error
	// Started is called before the INVITE is sent, Ended when the sound has
	// ended; both on the goroutine of the call, so they must not wait. May be nil.
	Started func(id string, m *engine.Media)
	Ended   func(id string)
	// MediaAddr turns the address that the sound is bound to into the one that
	// the other side can reach; nil means they are the same.
	MediaAddr func(bound netip.AddrPort) (netip.AddrPort, error)
	// Peer is the address of the provider, against which the addresses in its
	// SDP are judged; nil or the zero address means that it is not known.
	Peer func() netip.Addr

	// Inbound says what becomes of the calls given to Incoming.
	Inbound InboundRules

	Ports  []uint16       // ports of this process beside those of the sound: nothing is sent there
	From   string         // the account's own number or name, shown as From
	Codecs []sdp.Codec    // spoken with the phone network, the best one first; empty = PCMA, G722, PCMU
	NoDTMF bool           // do not offer telephone-event (RFC 4733)
	Sound  session.Config // limits and time-outs of the sound; the exchange fills in what belongs to a call

	RingTimeout time.Duration // how long the other side may ring; 0 = DefaultRing
	MaxDuration time.Duration // longest call; 0 = DefaultDuration
	// Unattended is how long a call goes on after the answer without any socket;
	// 0 = DefaultUnattended.
	Unattended time.Duration
	// HangupWithSockets ends a call already when the sockets that it had have
	// all gone for Grace (0 = DefaultGrace), in which they may come back.
	HangupWithSockets bool
	Grace             time.Duration

	Keep    int           // most ended calls that stay readable; 0 = DefaultKeep
	KeepFor time.Duration // how long they do; 0 = DefaultKeepFor
	Keys    int           // most idempotency keys that are remembered, the oldest go first; 0 = DefaultKeys
	KeysFor time.Duration // how long they are; 0 = DefaultKeysFor
	ByeWait time.Duration // how long the end of the exchange waits for answers to BYE; 0 = DefaultByeWait

	TimeNow func() time.Time // nil = time.Now
	Logger  *slog.Logger
}

func (c *Config) complete() error {
	if c.Dial == nil || c.Open == nil || c.Policy == nil || c.Limits == nil || c.Logger == nil {
		return errors.New("new exchange: Dial, Open, Policy, Limits and Logger are needed")
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.RingTimeout, DefaultRing},
		{&c.MaxDuration, DefaultDuration},
		{&c.Unattended, DefaultUnattended},
		{&c.Grace, DefaultGrace},
		{&c.KeepFor, DefaultKeepFor},
		{&c.KeysFor, DefaultKeysFor},
		{&c.ByeWait, DefaultByeWait},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if c.Keep <= 0 {
		c.Keep = DefaultKeep
	}
	if c.Keys <= 0 {
		c.Keys = DefaultKeys
	}
	if c.TimeNow == nil {
		c.TimeNow = time.Now
	}
	return nil
}

// Exchange owns all calls.
type Exchange struct {
	cfg     Config
	open    func(engine.MediaConfig) (sound, error)
	names   namer
	launch  chan *live    // calls on their way to a goroutine
	gone    chan struct{} // closed when Run ends: nothing is launched any more
	arrived chan struct{} // holds a token when calls have come in

	mu       sync.Mutex // guards what follows
	book     book
	keys     keyring
	running  int           // calls that have a goroutine or are about to get one
	arrivals []*live       // calls that came in, on their way to a goroutine
	draining bool          // new calls are refused
	cut      bool          // and the others were hung up
	idle     chan struct{} // not nil while somebody waits for running to become 0
}

// New returns an exchange. It starts nothing, see [Exchange.Run].
func New(cfg Config) (*Exchange, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	x := &Exchange{
		cfg:     cfg,
		launch:  make(chan *live),
		gone:    make(chan struct{}),
		arrived: make(chan struct{}, 1),
		book:    newBook(cfg.Keep, cfg.KeepFor),
		keys:    newKeyring(cfg.Keys, cfg.KeysFor),
	}
	x.open = func(mc engine.MediaConfig) (sound, error) {
		m, err := cfg.Open(mc)
		if err != nil {
			return nil, err
		}
		return m, nil
	}
	return x, nil
}

// Run carries the calls until ctx ends; then it hangs up what is left, waits
// for it (see Config.ByeWait) and returns when all goroutines have ended.
// It is called once.
func (x *Exchange) Run(ctx context.Context) error {
	var calls sync.WaitGroup
	// The calls outlive ctx by the time that a BYE needs.
	carry, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		drop()
		calls.Wait()
	}()
	carryArrivals := func() {
		for _, c := range x.takeArrivals() {
			calls.Go(func() { c.loop(carry) })
		}
	}
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	for {
		select {
		case c := <-x.launch:
			calls.Go(func() { c.loop(carry) })
		case <-x.arrived:
			carryArrivals()
		case <-sweep.C:
			x.forget()
		case <-ctx.Done():
			close(x.gone)
			x.refuse()
			carryArrivals() // those that came before that
			x.hangupAll()
			x.await(x.cfg.ByeWait)
			return nil
		}
	}
}

// Dial places a call and returns its first snapshot as soon as the INVITE is on
// its way. The error is an [*Error]. When ctx ends meanwhile, the call may have
// been placed all the same; a request with a key can be repeated to find out.
func (x *Exchange) Dial(ctx context.Context, r Request) (Call, error) {
	if err := r.check(x.cfg.MaxDuration); err != nil {
		return Call{}, err
	}
	entry, first, err := x.claim(r)
	if err != nil {
		return Call{}, err
	}
	if !first {
		return x.replay(ctx, entry)
	}
	c, err := x.admit(r)
	if err == nil {
		c.key = entry
		err = x.start(ctx, c)
	}
	if err != nil {
		x.settle(entry, nil, err)
		return Call{}, err
	}
	select {
	case <-c.opened:
		if c.refused != nil {
			return Call{}, c.refused
		}
		return c.snapshot(x.cfg.TimeNow()), nil
	case <-ctx.Done():
		return Call{}, canceled(ctx)
	}
}

// admit checks the request against the rules and takes a place for the call.
func (x *Exchange) admit(r Request) (*live, error) {
	number, err := x.cfg.Policy.Check(r.To)
	if err != nil {
		return nil, refusal(err)
	}
	from, invalidID := callerID(r.CallerID)
	if invalidID != nil {
		return nil, invalidID
	}
	if err := x.Ready(); err != nil {
		return nil, err
	}
	now := x.cfg.TimeNow()
	c := newLive(x, x.names.next(now), now)
	c.request, c.number, c.callerID = r, number, from

	x.mu.Lock()
	defer x.mu.Unlock()
	if x.draining {
		return nil, draining()
	}
	if err := x.cfg.Limits.Admit(now, x.running); err != nil {
		return nil, refusal(err)
	}
	x.running++
	return c, nil
}

// start hands the call to Run, which gives it its goroutine.
func (x *Exchange) start(ctx context.Context, c *live) error {
	var err *Error
	select {
	case x.launch <- c:
		return nil
	case <-x.gone:
		err = &Error{Class: Unavailable, Code: CodeNotRunning, Message: "The gateway has stopped."}
	case <-ctx.Done():
		err = canceled(ctx)
	}
	x.release()
	return err
}

// release gives back the place of a call.
func (x *Exchange) release() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running--
	if x.running == 0 && x.idle != nil {
		close(x.idle)
		x.idle = nil
	}
}

// forget drops ended calls and keys that have become too old.
func (x *Exchange) forget() {
	now := x.cfg.TimeNow()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.book.prune(now)
	x.keys.prune(now)
}

func draining() *Error {
	return &Error{Class: Unavailable, Code: CodeDraining, Message: "The gateway is about to stop and takes no new calls."}
}

func canceled(ctx context.Context) *Error {
	return &Error{
		Class: Unavailable, Code: CodeRequestCanceled, Err: context.Cause(ctx),
		Message: "The request was given up before the call was placed.",
	}
}

// refusal turns the error of the policy or the limits into ours.
func refusal(err error) *Error {
	denied, ok := errors.AsType[*policy.Denied](err)
	if !ok {
		return &Error{Class: Internal, Code: CodeInternal, Message: "The dial policy could not decide.", Err: err}
	}
	e := &Error{Class: Denied, Code: string(denied.Code), Message: sentences(denied.Message, denied.Cure), RetryAfter: denied.RetryAfter}
	switch {
	case denied.Throttled():
		e.Class = Limited
	case denied.Code == policy.InvalidNumber:
		e.Class, e.Field = Invalid, "to"
	}
	return e
}

// sentences joins a cause and its cure into text that ends in a full stop.
func sentences(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		p = strings.TrimSuffix(p, ".")
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		first, size := utf8.DecodeRuneInString(p)
		b.WriteRune(unicode.ToUpper(first))
		b.WriteString(p[size:] + ".")
	}
	return b.String()
}

// unavailable turns the reason why no call can be placed into ours.
func unavailable(err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{Class: Unavailable, Code: CodeNotRegistered, Message: sentences(err.Error()), Err: err}
}
