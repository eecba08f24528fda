package registration

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/digest"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/transaction"
)

// Limits within one cycle, so that no registrar can keep us busy.
const (
	maxAnswers   = 4 // challenges: the first, another on the way, and stale ones
	maxIntervals = 2 // 423
	maxMoves     = 2 // changes of our address
)

// answer takes the final answer to a REGISTER.
func (r *Registration) answer(req *sip.Request, res *sip.Response) {
	r.learn(res)
	code := res.StatusCode
	switch {
	case res.IsSuccess():
		r.success(res)
	case code == sip.StatusUnauthorized || code == sip.StatusProxyAuthRequired:
		r.challenged(req, res)
	case code == sip.StatusIntervalToBrief:
		r.tooBrief(res)
	case len(r.removals()) > 0 && !r.cycle.alone && code < 500 && code != sip.StatusForbidden:
		// A registrar that does not take two Contacts in one request: ours
		// counts, the old one runs out by itself.
		r.cycle.alone = true
		r.old = nil
		r.repeat()
	case code == sip.StatusServiceUnavailable:
		// RFC 3263 section 4.3: a 503 is a failure of this server, the next one may do.
		r.unanswered(r.unavailable(res))
	default:
		r.fail(r.refusal(res))
	}
}

// success takes a 2xx; it is a registration only when our Contact is in it.
func (r *Registration) success(res *sip.Response) {
	lease, ok := r.binding(res)
	if !ok {
		r.fail(noBinding(res, r.contact))
		return
	}
	now := r.cfg.TimeNow()
	r.held, r.path = true, true
	r.lease = now.Add(lease)
	r.expiry()
	r.expiry = r.cfg.Layer.After(lease, r.expired)
	r.old = nil
	if next := r.wanted(); next.String() != r.contact.String() && r.cycle.moves < maxMoves {
		// Our address is another one than we thought: only the new one can be reached.
		r.cycle.moves++
		r.repeat()
		return
	}
	r.attempts = 0
	r.streak = streak{}
	if r.steady.IsZero() {
		r.steady = now
	}
	r.cfg.Resolver.Good(resolve.Target(r.target))
	r.cfg.Transport.KeepAlive(r.target, true)
	d := r.refreshAfter(lease)
	r.timer()
	r.timer = r.cfg.Layer.After(d, r.begin)
	r.report(StateRegistered, failure{code: res.StatusCode}, now.Add(d))
}

// refreshAfter leaves time for a lost answer and another address before the
// lease ends, and spreads phones that started together.
func (r *Registration) refreshAfter(lease time.Duration) time.Duration {
	least, spread := lease/2, lease/5
	if lease >= 20*time.Minute {
		least, spread = lease*3/4, lease*3/20
	}
	return max(time.Second, r.jitter(least, spread))
}

// expired is the end of a lease that could not be refreshed.
func (r *Registration) expired() {
	r.held, r.path = false, false
	r.lease = time.Time{}
	if r.seen.Load().status.State == StateRegistered {
		r.report(StateRegistering, failure{cause: CauseUnreachable, reason: "the lease ended before the registrar confirmed it again"}, time.Time{})
		return
	}
	r.publish(func(*Status) {})
}

// challenged answers a 401 or 407, "once per nonce": what is refused with fresh
// credentials is refused for good in this cycle (RFC 3261 section 22.1).
func (r *Registration) challenged(req *sip.Request, res *sip.Response) {
	h, err := r.cfg.Digest.Answer(req, res)
	switch {
	case errors.Is(err, digest.ErrRejected):
		r.fail(r.wrongPassword(res))
	case errors.Is(err, digest.ErrRealm):
		r.fail(failure{
			cause: CauseChallenge, code: res.StatusCode, reason: err.Error(), class: slow,
			advice: "the registrar's realm is not in SIP_REALMS: add it if the provider uses it, or leave SIP_REALMS empty",
		})
	case err != nil:
		r.fail(failure{
			cause: CauseChallenge, code: res.StatusCode, reason: err.Error(), class: slow,
			advice: "the registrar asks for a proof that cannot or must not be given; ask the provider which digest algorithms it offers",
		})
	case r.cycle.answers >= maxAnswers:
		r.fail(failure{
			cause: CauseChallenge, code: res.StatusCode, reason: "the registrar asks for credentials again and again", class: slow,
			advice: "the registrar does not accept its own nonce: check its clock and its nonce lifetime, or ask the provider",
		})
	default:
		r.cycle.answers++
		r.cycle.keep(h)
		r.send()
	}
}

// keep replaces credentials of the same kind; those for another hop stay.
func (c *cycle) keep(h sip.Header) {
	for i, have := range c.auth {
		if have.Name() == h.Name() {
			c.auth[i] = h
			return
		}
	}
	c.auth = append(c.auth, h)
}

// tooBrief obeys a 423: "the UA MUST ... retry with the expiration interval
// equal to or greater than the one in the Min-Expires header" (RFC 3261 section 10.2.8).
func (r *Registration) tooBrief(res *sip.Response) {
	least := time.Duration(0)
	if h := res.GetHeader("Min-Expires"); h != nil {
		least, _ = seconds(h.Value())
	}
	if least <= r.expires || least >= maxSeconds*time.Second || r.cycle.intervals >= maxIntervals {
		r.fail(failure{
			cause: CauseInterval, code: res.StatusCode, reason: fmt.Sprintf("the registrar calls a lease of %s too short", r.expires), class: slow,
			advice: "set SIP_EXPIRES to the least that the provider accepts; its answer does not say how much that is",
		})
		return
	}
	r.cycle.intervals++
	r.expires = least
	r.repeat()
}

// repeat sends another REGISTER in this cycle, with the nonce counted up.
func (r *Registration) repeat() {
	r.cycle.auth = nil
	r.cycle.fresh = false
	r.send()
}

// retryAfter reads how long to wait; 0 if the registrar does not say.
func retryAfter(res *sip.Response) time.Duration {
	h := res.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	d, _ := seconds(h.Value())
	return min(d, maxRetryAfter)
}

// stop gives the lease up (RFC 3261 section 10.2.2) and calls done.
func (r *Registration) stop(done func()) {
	r.timer()
	r.quiet()
	pending := r.flying && r.acc.Register
	r.stopped = done
	if !r.target.Addr.IsValid() || !pending && !r.lease.After(r.cfg.TimeNow()) {
		r.giveUp()
		return
	}
	r.cycle = cycle{}
	r.remove()
}

// remove sends the un-REGISTER; a challenge to it is answered as to any other.
func (r *Registration) remove() {
	req := r.request(0)
	r.authorize(req)
	r.fly(req, func(res transaction.Result) {
		if res.Response != nil && (res.Response.StatusCode == sip.StatusUnauthorized || res.Response.StatusCode == sip.StatusProxyAuthRequired) && r.cycle.answers < maxAnswers {
			if h, err := r.cfg.Digest.Answer(req, res.Response); err == nil {
				r.cycle.answers++
				r.cycle.keep(h)
				r.remove()
				return
			}
		}
		r.giveUp()
	})
}

// giveUp is the end, whether the registrar has answered or not.
func (r *Registration) giveUp() {
	if r.stopped == nil || r.seen.Load().status.State == StateUnregistered {
		return
	}
	r.flight++
	r.flying = false
	if r.target.Addr.IsValid() {
		r.cfg.Transport.KeepAlive(r.target, false)
	}
	r.unhold()
	r.outside = netip.AddrPort{}
	r.report(StateUnregistered, failure{cause: CauseStopped, reason: "stopped"}, time.Time{})
	r.stopped()
}

// phrase is the reason phrase of a peer, fit for one line of a log.
func phrase(res *sip.Response) string {
	const most = 120
	s := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, res.Reason)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
