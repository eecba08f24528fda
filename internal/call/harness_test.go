package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"phonesocket/internal/call/policy"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
	"phonesocket/internal/sip/dialog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePolicy allows all but a few numbers.
type fakePolicy struct{}

func (fakePolicy) Check(to string) (policy.Number, error) {
	switch to {
	case "112":
		return policy.Number{}, &policy.Denied{Code: "emergency_number", Message: "112 is an emergency number.", Cure: "Name it in DIAL_ALLOW."}
	case "nonsense":
		return policy.Number{}, &policy.Denied{Code: "invalid_number", Message: "nonsense is no number."}
	case "broken":
		return policy.Number{}, errors.New("tables are gone")
	}
	return policy.Number{Dial: to}, nil
}

// fakeLimits allows so many calls at once, and counts how often it was asked.
type fakeLimits struct {
	calls int
	asked int
}

func (l *fakeLimits) Admit(_ time.Time, running int) error {
	l.asked++
	if running >= l.calls {
		return &policy.Denied{Code: "too_many_calls", Message: "Too many calls.", RetryAfter: 7 * time.Second}
	}
	return nil
}

// fakeLeg is the other side of one call.
type fakeLeg struct {
	invitation dialog.Invitation
	emit       func(dialog.Event)
	silent     bool // does not confirm a hang-up

	mu      sync.Mutex
	hangups []dialog.Cause
}

func (l *fakeLeg) ID() string { return "call-id@example.test" }

func (l *fakeLeg) Hangup(c dialog.Cause) {
	l.mu.Lock()
	l.hangups = append(l.hangups, c)
	first := len(l.hangups) == 1
	l.mu.Unlock()
	if first && !l.silent {
		c.Code, c.Text = 487, "Request Terminated"
		l.emit(dialog.Ended{Cause: c})
	}
}

func (l *fakeLeg) hangupReasons() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, c := range l.hangups {
		all = append(all, c.Reason)
	}
	return all
}

// fakeSound writes down what it was told.
type fakeSound struct {
	addr netip.AddrPort
	cfg  engine.MediaConfig

	mu   sync.Mutex
	told []string
}

func (s *fakeSound) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *fakeSound) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.told...)
}

func (s *fakeSound) Addr() netip.AddrPort { return s.addr }
func (s *fakeSound) Start(r sdp.Remote)   { s.tell("start %s %s", r.Codec.Name, r.Addr) }
func (s *fakeSound) Ringing()             { s.tell("ringing") }
func (s *fakeSound) Answered()            { s.tell("answered") }
func (s *fakeSound) End(e session.End)    { s.tell("end %s %s", e.Status, e.Reason) }
func (s *fakeSound) Close()               { s.tell("close") }
func (s *fakeSound) Stats(context.Context) (engine.Stats, error) {
	var all engine.Stats
	all.RTPPacketsSent = 42
	return all, nil
}

// bench is an exchange between fakes, inside a synctest bubble.
type bench struct {
	*Exchange
	t      *testing.T
	limits *fakeLimits
	stop   func()

	mu     sync.Mutex
	legs   []*fakeLeg
	sounds []*fakeSound
	hooks  []string

	openErr  error
	readyErr error
	silent   bool
	slow     time.Duration // how long opening the sound takes
}

// run makes a bench for one test. Everything of the exchange has ended when it returns.
func run(t *testing.T, change func(*Config), test func(*bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, limits: &fakeLimits{calls: 100}}
		cfg := Config{
			Dial:    b.dial,
			Open:    func(engine.MediaConfig) (*engine.Media, error) { return nil, errors.New("not in tests") },
			Policy:  fakePolicy{},
			Limits:  b.limits,
			Ready:   func() error { return b.readyErr },
			Started: func(id string, _ *engine.Media) { b.hook("started " + id) },
			Ended:   func(id string) { b.hook("ended " + id) },
			Peer:    func() netip.Addr { return netip.MustParseAddr("192.0.2.1") },
			Ports:   []uint16{5060},
			From:    "+4930999",
			Logger:  slog.New(slog.DiscardHandler),
		}
		if change != nil {
			change(&cfg)
		}
		x, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		x.open = b.open
		b.Exchange = x
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- x.Run(ctx) }()
		stopped := false
		b.stop = func() {
			if stopped {
				return
			}
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		}
		defer b.stop()
		test(b)
	})
}

func (b *bench) dial(i dialog.Invitation, on func(dialog.Event)) Leg {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &fakeLeg{invitation: i, emit: on, silent: b.silent}
	b.legs = append(b.legs, l)
	b.hooks = append(b.hooks, "invited")
	return l
}

func (b *bench) open(cfg engine.MediaConfig) (sound, error) {
	if b.slow > 0 {
		time.Sleep(b.slow)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.openErr != nil {
		return nil, b.openErr
	}
	s := &fakeSound{cfg: cfg, addr: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), uint16(30000+2*len(b.sounds)))}
	b.sounds = append(b.sounds, s)
	return s, nil
}

func (b *bench) hook(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hooks = append(b.hooks, what)
}

// place dials and returns the call with its two sides.
func (b *bench) place(r Request) (Call, *fakeLeg, *fakeSound) {
	b.t.Helper()
	if r.To == "" {
		r.To = "+4930123456"
	}
	c, err := b.Dial(b.t.Context(), r)
	if err != nil {
		b.t.Fatalf("dial: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return c, b.legs[len(b.legs)-1], b.sounds[len(b.sounds)-1]
}

// say lets an event of SIP arrive and waits until it has been handled.
func (b *bench) say(l *fakeLeg, e dialog.Event) {
	l.emit(e)
	synctest.Wait()
}

// fact lets a fact of the media arrive and waits until it has been handled.
func (b *bench) fact(s *fakeSound, k engine.FactKind) {
	s.cfg.OnEvent(engine.Fact{Kind: k})
	synctest.Wait()
}

// see returns the call as it is now.
func (b *bench) see(id string) Call {
	b.t.Helper()
	synctest.Wait()
	c, err := b.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatalf("get: %v", err)
	}
	return c
}

// answer is a description as the other side sends it.
func answer(addr string, port int, format, extra string) []byte {
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP %[3]s\r\n%[4]s", addr, port, format, extra)
}

var good = answer("203.0.113.5", 40000, "8", "")
