package dialog

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const offer = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8\r\n"

// fakeAccount dials numbers at example.org.
type fakeAccount struct{}

func (fakeAccount) Target(to string) (sip.Uri, error) {
	if strings.Contains(to, " ") {
		return sip.Uri{}, errors.New("a number has no spaces")
	}
	return sip.Uri{Scheme: "sip", User: to, Host: "example.org"}, nil
}

func (fakeAccount) CallerHeaders(callerID string) (*sip.FromHeader, []sip.Header, error) {
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "alice", Host: "example.org"}}
	if callerID == "" {
		return from, nil, nil
	}
	return from, []sip.Header{sip.NewHeader("P-Asserted-Identity", "<sip:"+callerID+"@example.org>")}, nil
}

// fakeDigest answers each nonce once.
type fakeDigest struct{}

func (fakeDigest) Answer(req *sip.Request, res *sip.Response) (sip.Header, error) {
	want, give := "WWW-Authenticate", "Authorization"
	if res.StatusCode == sip.StatusProxyAuthRequired {
		want, give = "Proxy-Authenticate", "Proxy-Authorization"
	}
	value := headerValue(res, want)
	for _, h := range req.GetHeaders(give) {
		if strings.Contains(h.Value(), value) {
			return nil, errors.New("the password is wrong")
		}
	}
	return sip.NewHeader(give, "Answer to "+value), nil
}

// world is one UA and one peer in a synctest bubble.
type world struct {
	t     *testing.T
	peer  *siptest.Peer
	layer *transaction.Layer
	ua    *UA
	stop  func()
}

type option func(*Config)

func viaProxy(c *Config) {
	path, _ := c.Path()
	uri := sip.Uri{Scheme: "sip", Host: "192.0.2.1", UriParams: sip.HeaderParams{{K: "lr"}}}
	path.Route = []sip.Uri{uri}
	c.Path = func() (registration.Path, error) { return path, nil }
}

func newWorld(t *testing.T, network string, options ...option) *world {
	w := &world{t: t, peer: siptest.NewPeer(t, network)}
	log := slog.New(slog.DiscardHandler)
	w.layer = transaction.New(transaction.Config{
		Transport: w.peer,
		Requests:  func(s *transaction.Server) { w.ua.Serve(s) },
		Stray:     func(r *sip.Response, from transport.Target) { w.ua.Stray(r, from) },
		Logger:    log,
	})
	w.peer.Deliver = w.layer.Receive
	cfg := Config{
		Layer:   w.layer,
		Account: fakeAccount{},
		Digest:  fakeDigest{},
		Path: func() (registration.Path, error) {
			return registration.Path{
				Target:  w.peer.Target,
				Contact: sip.Uri{Scheme: "sip", User: "alice", Host: "203.0.113.9", Port: 1024},
			}, nil
		},
		UserAgent: "phonesocket/test",
		Logger:    log,
	}
	for _, o := range options {
		o(&cfg)
	}
	w.ua = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.layer.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return w
}

// run runs a test in a bubble of virtual time.
func run(t *testing.T, f func(*world), options ...option) {
	t.Helper()
	runOn(t, "udp", f, options...)
}

func runOn(t *testing.T, network string, f func(*world), options ...option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, network, options...)
		defer w.stop()
		f(w)
	})
}

// outgoing is a call with its events.
type outgoing struct {
	w      *world
	d      *Dialog
	events chan Event
	invite siptest.Message
}

func (w *world) dial(change ...func(*Invitation)) *outgoing {
	c := &outgoing{w: w, events: make(chan Event, 1000)}
	inv := Invitation{To: "+4930123", Offer: []byte(offer)}
	for _, f := range change {
		f(&inv)
	}
	c.d = w.ua.Invite(inv, func(e Event) { c.events <- e })
	return c
}

// ring places a call and takes the INVITE.
func (w *world) ring(change ...func(*Invitation)) *outgoing {
	w.t.Helper()
	c := w.dial(change...)
	c.invite = w.peer.Want("INVITE")
	return c
}

// talk places a call and answers it; it returns when the ACK is there.
func (w *world) talk(extra ...string) *outgoing {
	w.t.Helper()
	c := w.ring()
	w.peer.Reply(c.invite, 200, "b", append([]string{siptest.Contact("b"), siptest.SDP}, extra...)...)
	w.peer.Want("ACK")
	wantEvent[Answered](c)
	return c
}

// wantEvent waits for the next event, which has to be of a type.
func wantEvent[E Event](c *outgoing) E {
	c.w.t.Helper()
	select {
	case e := <-c.events:
		got, ok := e.(E)
		if !ok {
			c.w.t.Fatalf("got event %T %+v, want %T", e, e, got)
		}
		return got
	case <-time.After(5 * time.Minute):
		var want E
		c.w.t.Fatalf("no event, want %T", want)
		return want
	}
}

// noEvent checks that nothing is told for a time.
func (c *outgoing) noEvent(d time.Duration) {
	c.w.t.Helper()
	select {
	case e := <-c.events:
		c.w.t.Fatalf("got event %T %+v, want none", e, e)
	case <-time.After(d):
	}
}

// wantEnd waits for Ended with a reason, and that nothing follows.
func (c *outgoing) wantEnd(reason string) Cause {
	c.w.t.Helper()
	e := wantEvent[Ended](c)
	if e.Cause.Reason != reason {
		c.w.t.Fatalf("ended because of %+v, want %s", e.Cause, reason)
	}
	c.noEvent(10 * time.Minute)
	return e.Cause
}

func hangupCause() Cause { return Cause{Reason: ReasonAPIHangup, By: ByLocal} }

// wantSame compares values of a header.
func wantSame(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

var someone = netip.MustParseAddrPort("192.0.2.66:5060")
