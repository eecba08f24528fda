package registration

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

const (
	// quarantine is how long an address that did not answer is tried last.
	quarantine = time.Minute
	// quietTime is when silence is told, or the next address gets its turn when
	// there is one: RFC 3261 waits 32 s (timer F), in which nobody can call.
	quietTime = 8 * time.Second
	// steadyTime is how long a connection must live so that its death counts as the first.
	steadyTime = 2 * time.Minute
	// maxRest is the longest pause before a connection that keeps breaking is opened again.
	maxRest = time.Minute
	// staticTime is how often an account that does not register asks DNS again.
	staticTime = 5 * time.Minute
)

// machine is the state that belongs to the SIP loop.
type machine struct {
	callID, tag string // kept for the life of the process (RFC 3261 section 10.2)
	cseq        uint32
	instance    string        // marks our Contact among those of other phones
	expires     time.Duration // the lease to ask for; 423 raises it

	targets []resolve.Target // of the last successful look-up
	next    int              // the one in targets to try after target
	target  transport.Target // where REGISTER goes now
	outside netip.AddrPort   // our address as the registrar saw it; zero: not known
	contact sip.Uri          // of the last REGISTER
	held    bool             // the registrar confirmed contact, and the lease runs
	old     []sip.Uri        // former contacts that are to be removed
	lease   time.Time        // when it forgets us

	cycle    cycle
	flight   uint64 // number of the request whose answer counts
	flying   bool
	inFlight *transaction.Client
	timer    func() // stops the wait for the next cycle
	quiet    func() // stops the wait for the first answer
	expiry   func() // stops the wait for the end of the lease
	stopped  func() // called when the lease is given up; nil: not stopping
	attempts int
	streak   streak
	steady   time.Time // when the registration over the connection in use began
	breaks   int       // connections in a row that broke soon after
	path     bool      // there is a way to the provider
	told     bool      // the first state was reported
}

// cycle counts within one try to register, which may take several requests.
type cycle struct {
	answers   int  // challenges answered
	intervals int  // 423 obeyed
	moves     int  // new contacts because of what the registrar saw
	alone     bool // the removal of old contacts was refused: register without
	fresh     bool // no credentials before they are asked for
	auth      []sip.Header
}

func newMachine(acc account.Account) machine {
	nothing := func() {}
	return machine{
		callID: transaction.NewTag() + transaction.NewTag(), tag: transaction.NewTag(),
		expires: acc.Expires, timer: nothing, quiet: nothing, expiry: nothing,
	}
}

// start is the beginning of everything on the loop.
func (r *Registration) start() {
	r.report(StateRegistering, failure{}, time.Time{})
	r.begin()
}

// begin starts a cycle: with a look-up, unless the address in use is good.
func (r *Registration) begin() {
	if r.stopped != nil {
		return
	}
	r.timer()
	r.attempts++
	r.publish(func(s *Status) { s.NextTry = time.Time{} })
	r.cycle = cycle{fresh: !r.held}
	if r.held && r.target.Addr.IsValid() {
		r.send()
		return
	}
	r.ask()
}

// ask has Run look the server up; resolved takes the answer.
func (r *Registration) ask() {
	hop, err := r.acc.NextHop()
	if err != nil {
		r.fail(failure{cause: CauseSettings, reason: err.Error(), advice: "correct SIP_SERVER or SIP_PROXY", class: slow})
		return
	}
	r.flight++ // whatever was under way is given up
	r.flying = false
	select {
	case r.lookups <- resolve.Query{Host: hop.Host, Port: hop.Port, Transport: hop.Transport, ServerName: hop.ServerName}:
	default: // a question is on its way already
	}
}

// resolved takes the answer of DNS. When DNS fails, the addresses that it gave
// last are still the best guess.
func (r *Registration) resolved(targets []resolve.Target, err error) {
	switch {
	case r.stopped != nil || r.flying:
		return
	case err == nil:
		r.targets = targets
		r.publish(func(*Status) {})
	case len(r.targets) > 0:
		r.targets = r.cfg.Resolver.Order(r.cfg.TimeNow(), r.targets)
	default:
		hop, _ := r.acc.NextHop()
		r.fail(dnsFailure(hop, err))
		return
	}
	r.next = 0
	r.advance()
}

// advance takes the next address of the list (RFC 3263 section 4.3); it reports
// false when there is none left.
func (r *Registration) advance() bool {
	if r.next >= len(r.targets) {
		return false
	}
	to := transport.Target(r.targets[r.next])
	r.next++
	if to != r.target {
		if r.target.Addr.IsValid() {
			r.cfg.Transport.KeepAlive(r.target, false)
		}
		r.target, r.outside = to, netip.AddrPort{}
	}
	r.cycle = cycle{fresh: true}
	if !r.acc.Register {
		r.static()
		return true
	}
	r.send()
	return true
}

// static is all that an account does that does not register: know the address.
func (r *Registration) static() {
	r.contact = r.wanted()
	r.path = true
	r.attempts = 0
	r.streak = streak{}
	d := r.jitter(staticTime, staticTime/10)
	r.report(StateStatic, failure{}, r.cfg.TimeNow().Add(d))
	r.timer = r.cfg.Layer.After(d, r.begin)
}

// send sends one REGISTER for the contact as it should be now.
func (r *Registration) send() {
	contact := r.wanted()
	if r.held && contact.String() != r.contact.String() {
		r.old = append(r.old, r.contact)
	}
	r.contact = contact
	req := r.request(r.expires)
	r.authorize(req)
	r.fly(req, func(res transaction.Result) { r.result(req, res) })
	r.quiet()
	r.quiet = r.cfg.Layer.After(quietTime, r.stillQuiet)
}

// authorize adds the credentials of this cycle, or those of the last one when the
// registrar may still accept its nonce. On a new connection the challenge is
// waited for: its Via tells our address before the binding is made.
func (r *Registration) authorize(req *sip.Request) {
	for _, h := range r.cycle.auth {
		req.AppendHeader(h)
	}
	if len(r.cycle.auth) == 0 && !r.cycle.fresh {
		if h, ok := r.cfg.Digest.Again(req); ok {
			req.AppendHeader(h)
		}
	}
}

// fly sends a request whose answer counts until the next one is sent: "UAs MUST
// NOT send a new registration ... until they have received a final response from
// the registrar for the previous one or the previous REGISTER request has timed
// out" (RFC 3261 section 10.2), except when we stop or the connection broke.
func (r *Registration) fly(req *sip.Request, on func(transaction.Result)) {
	r.flight++
	mine := r.flight
	r.flying = true
	r.inFlight = r.cfg.Layer.Request(req, r.target, func(res transaction.Result) {
		if mine != r.flight {
			return
		}
		r.quiet()
		if res.Response != nil && res.Response.IsProvisional() {
			return
		}
		r.flying = false
		on(res)
	})
}

// stillQuiet ends the patience with an address when the name has others, and else
// tells early that nothing answers.
func (r *Registration) stillQuiet() {
	if !r.flying || r.stopped != nil {
		return
	}
	if len(r.targets) > 1 {
		r.inFlight.Abandon()
		r.flight++
		r.flying = false
		r.unanswered(unreachable(r.target, transaction.ErrTimeout))
		return
	}
	if !r.held && r.attempts == 1 {
		r.report(StateRegistering, unreachable(r.target, transaction.ErrTimeout), time.Time{})
	}
}

// result takes the end of a REGISTER.
func (r *Registration) result(req *sip.Request, res transaction.Result) {
	switch {
	case res.Response != nil:
		r.answer(req, res.Response)
	case errors.Is(res.Err, transaction.ErrTimeout), errors.Is(res.Err, transaction.ErrTransport):
		r.unanswered(unreachable(r.target, res.Err))
	default:
		r.fail(failure{cause: CauseUnavailable, reason: res.Err.Error(), class: server})
	}
}

// unanswered goes to the next address, or waits when there is none.
func (r *Registration) unanswered(f failure) {
	r.cfg.Resolver.Fail(resolve.Target(r.target), r.cfg.TimeNow().Add(max(quarantine, f.retryAfter)))
	r.cfg.Transport.KeepAlive(r.target, false)
	r.outside = netip.AddrPort{}
	if !r.advance() {
		r.fail(f)
	}
}

// fail waits for the next cycle.
func (r *Registration) fail(f failure) {
	if r.stopped != nil {
		return
	}
	r.quiet()
	d := r.backoff(f)
	if f.class == refused || f.class == slow {
		r.unhold()
	} else if r.held {
		// The binding may still stand, but the next try looks for an address that works.
		r.old = append(r.old, r.contact)
		r.held = false
	}
	r.report(StateFailed, f, r.cfg.TimeNow().Add(d))
	r.timer = r.cfg.Layer.After(d, r.begin)
}

// broken is the death of a connection: register again on a new one, at once but
// not in step with all the others that the same server has lost (RFC 5626
// section 4.5). What is in flight hears of it from its transaction.
func (r *Registration) broken(to transport.Target, err error) {
	if to != r.target || r.stopped != nil || r.flying || errors.Is(err, transport.ErrICMP) {
		return // a refused keep-alive says nothing about the lease
	}
	if !r.acc.Register {
		if r.path {
			r.cfg.Resolver.Fail(resolve.Target(to), r.cfg.TimeNow().Add(quarantine))
			r.timer()
			r.timer = r.cfg.Layer.After(r.jitter(0, time.Second), r.begin)
		}
		return
	}
	if !r.held {
		return
	}
	r.outside = netip.AddrPort{}
	r.old = append(r.old, r.contact)
	r.held = false
	r.timer()
	d := r.rest()
	r.report(StateRegistering, connectionLost(to, err, r.breaks), r.cfg.TimeNow().Add(d))
	r.timer = r.cfg.Layer.After(d, r.again)
}

// rest returns the pause before a broken connection is replaced: less than a
// second, unless connections keep breaking soon after the registration, as with
// servers that close them when they have answered (RFC 5626 section 4.5).
func (r *Registration) rest() time.Duration {
	if r.cfg.TimeNow().Sub(r.steady) >= steadyTime {
		r.breaks = 0
	}
	r.steady = time.Time{}
	r.breaks++
	if r.breaks == 1 {
		return r.jitter(0, time.Second)
	}
	d := min(time.Second<<min(r.breaks-1, 10), maxRest)
	return r.jitter(d/2, d/2)
}

// again registers over a new connection to the same address; only when that
// fails do others get their turn.
func (r *Registration) again() {
	if r.stopped != nil {
		return
	}
	r.attempts++
	r.publish(func(s *Status) { s.NextTry = time.Time{} })
	r.cycle = cycle{fresh: true}
	r.send()
}

// unhold forgets the lease and with it the way to the provider.
func (r *Registration) unhold() {
	r.expiry()
	r.held, r.path = false, false
	r.lease = time.Time{}
}

// identity returns a mark for our Contact that is the same after a restart on
// the same address, so that the registrar replaces the binding instead of
// keeping two.
func identity(aor sip.Uri, local netip.AddrPort) string {
	sum := sha256.Sum256([]byte(aor.String() + "|" + local.String()))
	return hex.EncodeToString(sum[:8])
}
