package dialog

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

// minSessionExpires is the shortest session interval that we accept: "the
// absolute minimum for the Session-Expires header field is 90 seconds"
// (RFC 4028 section 4).
const minSessionExpires = 90 * time.Second

// maxDialogs bounds the calls that the loop knows, ended ones that still wait
// for stragglers included.
const maxDialogs = 20000

// Caller is the part of account.Account that calls need.
type Caller interface {
	// Target makes the Request-URI of a number or sip: URI.
	Target(to string) (sip.Uri, error)
	// CallerHeaders makes From (without tag) and the headers that show the
	// caller's number.
	CallerHeaders(callerID string) (from *sip.FromHeader, extra []sip.Header, err error)
}

// Authorizer is the part of digest.Client that calls need.
type Authorizer interface {
	// Answer answers the challenges of a 401 or 407.
	Answer(req *sip.Request, res *sip.Response) (sip.Header, error)
}

// Config says how a UA behaves. Layer, Path, Account, Digest and Logger are
// mandatory.
type Config struct {
	Layer *transaction.Layer
	// Path tells how requests leave for the provider now.
	Path    func() (registration.Path, error)
	Account Caller
	Digest  Authorizer
	// Trusted reports whether challenges of an address may be answered; the
	// address of the Path always is. Nil: no other.
	Trusted func(netip.Addr) bool
	// UserAgent goes into requests and answers; empty: none.
	UserAgent string
	// SessionExpires is the session interval that we ask for; zero means
	// 1,800 s, negative none, at least 90 s (RFC 4028).
	SessionExpires time.Duration
	// Recorder keeps what is needed to end calls after a crash; nil: nothing
	// is kept.
	Recorder Recorder
	// Incoming gets each call that comes in, on the loop, and returns what its
	// events go to; or nil and the code to refuse it with. A nil Incoming
	// refuses all with 480.
	Incoming func(Arrival) (on func(Event), code int)
	Logger   *slog.Logger
}

// UA places calls and answers the requests of peers. Its state belongs to the
// SIP loop.
type UA struct {
	cfg     Config
	dialogs map[string]*Dialog // by Call-ID; incoming ones by Call-ID and our tag
	waiting []chan struct{}    // those in Settle
}

// New makes a UA. Its Serve and Stray belong into the Config of the layer.
func New(cfg Config) *UA {
	switch {
	case cfg.SessionExpires == 0:
		cfg.SessionExpires = 30 * time.Minute
	case cfg.SessionExpires > 0:
		cfg.SessionExpires = max(cfg.SessionExpires, minSessionExpires)
	}
	if cfg.Trusted == nil {
		cfg.Trusted = func(netip.Addr) bool { return false }
	}
	return &UA{cfg: cfg, dialogs: make(map[string]*Dialog)}
}

// An Invitation is a call to place.
type Invitation struct {
	// To is a number in international form, a short number, or a sip: URI.
	To string
	// CallerID is the number to show; empty means the account's own.
	CallerID string
	// Offer is the session description.
	Offer []byte
	// RingTimeout is how long we wait for an answer; zero means 60 s.
	RingTimeout time.Duration
}

// Invite places a call. Events arrive on the SIP loop and must not block. Any
// goroutine.
func (u *UA) Invite(inv Invitation, on func(Event)) *Dialog {
	if inv.RingTimeout <= 0 {
		inv.RingTimeout = time.Minute
	}
	d := &Dialog{
		ua:       u,
		id:       strings.ToLower(rand.Text()),
		inv:      inv,
		on:       on,
		rung:     make(map[int]bool),
		legs:     make(map[string]*leg),
		stopRing: func() {},
		interval: u.cfg.SessionExpires,
	}
	d.key = d.id
	u.cfg.Layer.Do(d.start)
	return d
}

// PathChanged has the peers of all calls learn our Contact when it is another
// one now: after a new connection or another address of ours, a BYE of theirs
// would go to where nobody is. Any goroutine.
func (u *UA) PathChanged() {
	u.cfg.Layer.Do(func() {
		for _, d := range u.dialogs {
			if d.chosen != nil && d.cause == nil && d.contact().Address.String() != d.shown {
				d.chosen.refresh()
			}
		}
	})
}

// Settle waits until no call needs the network any more: each one has ended and
// its BYE or CANCEL was answered or given up. Any goroutine but the loop.
func (u *UA) Settle(ctx context.Context) error {
	done := make(chan struct{})
	u.cfg.Layer.Do(func() {
		u.waiting = append(u.waiting, done)
		u.checkSettled()
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *UA) checkSettled() {
	if len(u.waiting) == 0 {
		return
	}
	for _, d := range u.dialogs {
		if !d.quiet() {
			return
		}
	}
	for _, w := range u.waiting {
		close(w)
	}
	u.waiting = nil
}

// Stray takes a 2xx of an INVITE that no transaction waits for any more: it is
// acknowledged and hung up. On the loop only.
func (u *UA) Stray(res *sip.Response, from transport.Target) {
	d := u.dialogs[res.CallID().Value()]
	if d == nil || d.from == nil || tag(res.From().Params) != tag(d.from.Params) {
		u.cfg.Logger.Warn("answer to a call that is not known", "source", from.Addr)
		return
	}
	d.answered(res)
}

// errCause tells why a transaction without an answer ended the call.
func errCause(err error) Cause {
	c := Cause{Reason: ReasonInternal, Text: err.Error(), By: BySystem}
	switch {
	case errors.Is(err, transaction.ErrTimeout):
		c.Reason, c.Code = ReasonTimeout, 408 // RFC 3261 section 8.1.3.1
	case errors.Is(err, transaction.ErrTransport):
		c.Reason, c.Code = ReasonUnreachable, 503
	}
	return c
}

// tag returns the tag of From or To, "" if there is none.
func tag(params sip.HeaderParams) string { return param(params, "tag") }

// param returns a parameter; names do not depend on case (RFC 3261 section
// 7.3.1).
func param(params sip.HeaderParams, name string) string {
	for _, p := range params {
		if strings.EqualFold(strings.TrimSpace(p.K), name) {
			return strings.TrimSpace(p.V)
		}
	}
	return ""
}
