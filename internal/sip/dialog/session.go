package dialog

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transaction"
)

// session is the session timer of a leg (RFC 4028).
type session struct {
	interval time.Duration // zero: none
	ours     bool          // we refresh
	refresh  func()
	expire   func()
}

func (s *session) stop() {
	for _, f := range []func(){s.refresh, s.expire} {
		if f != nil {
			f()
		}
	}
	*s = session{}
}

// startSession takes what the 2xx of our INVITE or refresh says: "the UAC MUST
// [...] if there was a Session-Expires header field with a refresher parameter
// set to 'uac' [...] send refreshes" (RFC 4028 section 7.2).
func (l *leg) startSession(res *sip.Response) {
	value := headerValue(res, "Session-Expires", "x")
	l.arm(seconds(value), refresher(value) != "uas")
}

func refresher(value string) string {
	for _, p := range strings.Split(value, ";")[1:] {
		if k, v, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(k, "refresher") {
			return strings.ToLower(v)
		}
	}
	return ""
}

// arm starts the timers anew: "It is RECOMMENDED that this refresh be sent once
// half the session interval has elapsed" and "the side not performing refreshes
// [...] SHOULD send a BYE [...] when the minimum of 32 seconds and one third of
// the session interval" is left (RFC 4028 section 10); so does the one that
// refreshes in vain.
func (l *leg) arm(interval time.Duration, ours bool) {
	l.session.stop()
	if interval == 0 || l.over() {
		return
	}
	interval = max(interval, minSessionExpires)
	layer := l.d.ua.cfg.Layer
	l.session = session{interval: interval, ours: ours}
	if ours {
		l.session.refresh = layer.After(interval/2, l.refresh)
	}
	l.session.expire = layer.After(interval-min(32*time.Second, interval/3), func() {
		l.d.hangup(Cause{Reason: ReasonSessionExpired, Text: "the session was not refreshed", By: BySystem})
	})
}

// later tries the refresh again.
func (l *leg) later(d time.Duration) {
	if l.session.interval > 0 && !l.over() {
		l.session.refresh = l.d.ua.cfg.Layer.After(d, l.refresh)
	}
}

// refresh sends an UPDATE, which leaves the offer alone, or a re-INVITE with
// the same offer where the peer does not know UPDATE (RFC 4028 section 7.4).
func (l *leg) refresh() {
	if l.over() {
		return
	}
	if l.offering || l.offered != nil || l.unacked != nil {
		l.later(l.d.ua.cfg.Layer.T2())
		return
	}
	method := sip.INVITE
	if l.allows["UPDATE"] {
		method = sip.UPDATE
	}
	req := l.request(method)
	req.AppendHeader(sip.NewHeader("Allow", allow))
	req.AppendHeader(sip.NewHeader("Supported", supported))
	setSession(req, l.session.interval, l.d.minSE, "uac")
	if method == sip.INVITE {
		setSDP(req, l.local)
	}
	l.offering = method == sip.INVITE
	var ack *sip.Request
	l.do(req, func(res *sip.Response, err error) {
		l.offering = false
		if err == nil && res.IsSuccess() && method == sip.INVITE {
			first := ack == nil
			if first {
				l.retarget(res)
				ack = l.build(sip.ACK, res.CSeq().SeqNo)
			}
			l.d.ua.cfg.Layer.Send(ack, l.hop())
			if !first {
				return
			}
			l.renegotiated(sdpOf(res))
		}
		if !l.over() {
			l.refreshed(method, res, err)
		}
	})
}

// refreshed takes the final answer to a refresh.
func (l *leg) refreshed(method sip.RequestMethod, res *sip.Response, err error) {
	gone := Cause{Reason: ReasonSessionExpired, Code: sip.StatusRequestTimeout, By: BySystem, Text: "the peer does not answer a session refresh"}
	if err != nil {
		if errors.Is(err, transaction.ErrTimeout) {
			l.d.hangup(gone)
		} else {
			l.later(l.d.ua.cfg.Layer.T2()) // the way may come back in time
		}
		return
	}
	switch code := res.StatusCode; {
	case res.IsSuccess():
		if method == sip.UPDATE {
			l.retarget(res)
		}
		l.startSession(res)
	case code == sip.StatusCallTransactionDoesNotExists || code == sip.StatusRequestTimeout:
		// "If the response for a request within a dialog is a 481 or a 408,
		// the UAC SHOULD terminate the dialog" (RFC 3261 section 12.2.1.2).
		gone.Code, gone.Text = code, "the peer no longer knows the call"
		l.d.hangup(gone)
	case code == statusIntervalTooSmall && seconds(headerValue(res, "Min-SE")) > l.session.interval:
		l.d.minSE = seconds(headerValue(res, "Min-SE"))
		l.session.interval = l.d.minSE
		l.later(0)
	case code == statusIntervalTooSmall:
		// It wants no more than it was given: without a timer the call goes on,
		// with one it would end when the interval is over.
		l.session.stop()
		l.d.ua.cfg.Logger.Warn("session timer given up: 422 without a longer interval", "call_id", l.d.id)
	case code == sip.StatusRequestPending:
		l.later(glareWait(!l.d.incoming, rand.IntN))
	case method == sip.UPDATE && (code == sip.StatusMethodNotAllowed || code == sip.StatusNotImplemented):
		delete(l.allows, "UPDATE")
		l.later(0)
	default:
		wait := max(seconds(headerValue(res, "Retry-After")), 2*l.d.ua.cfg.Layer.T2())
		l.later(min(wait, l.session.interval/8))
	}
}

// glareWait is how long to wait after a 491: "If the UAC is the owner of the
// Call-ID of the dialog ID (meaning it generated the value), T has a randomly
// chosen value between 2.1 and 4 seconds in units of 10 ms. If the UAC is not
// the owner [...] between 0 and 2 seconds in units of 10 ms" (RFC 3261 section
// 14.1).
func glareWait(owner bool, random func(n int) int) time.Duration {
	if owner {
		return time.Duration(210+random(191)) * 10 * time.Millisecond
	}
	return time.Duration(random(201)) * 10 * time.Millisecond
}

// answered is what we say about the session timer in a 2xx of ours.
type answered struct {
	interval time.Duration // zero: nothing
	ours     bool
}

// sessionFor decides about the session timer of a re-INVITE or UPDATE; false
// means that the interval is too small (RFC 4028 section 9).
func (l *leg) sessionFor(req *sip.Request) (answered, bool) {
	value := headerValue(req, "Session-Expires", "x")
	interval := seconds(value)
	knows := has(req, "timer", "Supported", "k")
	switch {
	case interval == 0 && knows && l.session.interval > 0:
		return answered{l.session.interval, l.session.ours}, true
	case interval == 0:
		return answered{}, true
	case interval < minSessionExpires && knows:
		return answered{}, false
	}
	who := refresher(value)
	return answered{max(interval, minSessionExpires), who == "uas" || who == "" && !knows}, true
}

// write adds Session-Expires to a 2xx.
func (a answered) write(res *sip.Response) {
	if a.interval == 0 {
		return
	}
	who := "uac" // the one who sent the request
	if a.ours {
		who = "uas"
	} else {
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	setSession(res, a.interval, 0, who)
}
