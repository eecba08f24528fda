package dialog

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transaction"
)

// answerTime is how long the owner of a call may think about an offer.
const answerTime = 10 * time.Second

// A change is a re-INVITE or UPDATE of the peer (RFC 3261 section 14.2,
// RFC 3311).
type change struct {
	l       *leg
	s       *transaction.Server
	sdp     []byte // the offer; nil: it wants ours
	session answered
	wait    func()        // stops the time-out of the owner
	resend  func()        // stops the repetition of the 2xx
	give    func()        // stops waiting for the ACK
	every   time.Duration // between two 2xx
	first   bool          // the INVITE that began the call
}

func noop() {}

// change starts what a re-INVITE or UPDATE asks for.
func (l *leg) change(s *transaction.Server) {
	req, u := s.Request(), l.d.ua
	sdp := sdpOf(req)
	session, ok := l.sessionFor(req)
	code := 0
	switch {
	case len(req.Body()) > 0 && sdp == nil:
		code = sip.StatusUnsupportedMediaType
	case !ok:
		code = statusIntervalTooSmall
	case l.offered != nil, l.d.open() && (req.Method == sip.INVITE || len(sdp) > 0):
		l.tooEarly(s)
		return
	case l.offering, !l.confirmed() && req.Method == sip.INVITE:
		// "A UAS that receives an INVITE on a dialog while an INVITE it had
		// sent on that dialog is in progress MUST return a 491" (section 14.2).
		code = sip.StatusRequestPending
	}
	if code != 0 {
		s.Respond(u.response(s, code))
		return
	}
	c := &change{l: l, s: s, sdp: sdp, session: session, wait: noop, resend: noop, give: noop}
	switch {
	case len(sdp) == 0 && req.Method == sip.UPDATE:
		c.accept(nil) // refreshes the session or the target
	case len(sdp) == 0, string(sdp) == string(l.sdp):
		c.accept(l.local) // what was agreed is still right
	default:
		c.ask()
	}
}

// tooEarly: "A UAS that receives a second INVITE before it sends the final
// response to a first INVITE [...] MUST return a 500 (Server Internal Error)
// response to the second INVITE and MUST include a Retry-After header field with
// a randomly chosen value of between 0 and 10 seconds" (section 14.2).
func (l *leg) tooEarly(s *transaction.Server) {
	res := l.d.ua.response(s, sip.StatusInternalServerError)
	res.AppendHeader(sip.NewHeader("Retry-After", strconv.Itoa(rand.IntN(11)))) //nolint:gosec // spreads retries, hides nothing
	s.Respond(res)
}

// ask leaves the offer to the owner of the call.
func (c *change) ask() {
	layer := c.l.d.ua.cfg.Layer
	c.l.offered = c
	c.s.OnCancel(func() { c.refuse(sip.StatusRequestTerminated) })
	c.wait = layer.After(answerTime, func() {
		c.l.d.ua.cfg.Logger.Error("nobody decided about an offer", "call_id", c.l.d.id)
		c.refuse(sip.StatusNotAcceptableHere)
	})
	c.l.d.on(Reoffer{
		SDP:    c.sdp,
		Accept: func(sdp []byte) { layer.Do(func() { c.decide(func() { c.accept(sdp) }) }) },
		Reject: func(code int) { layer.Do(func() { c.refuse(code) }) },
	})
}

// decide runs f if the offer is still open.
func (c *change) decide(f func()) {
	if c.l.offered != c {
		return
	}
	c.wait()
	c.l.offered = nil
	f()
}

// refuse leaves the call as it was.
func (c *change) refuse(code int) {
	if code < 400 || code > 699 {
		code = sip.StatusNotAcceptableHere
	}
	c.decide(func() { c.s.Respond(c.l.d.ua.response(c.s, code)) })
}

// accept answers with 200.
func (c *change) accept(sdp []byte) {
	l, u := c.l, c.l.d.ua
	l.retarget(c.s.Request())
	res := u.response(c.s, sip.StatusOK)
	res.AppendHeader(l.d.show())
	c.session.write(res)
	if len(sdp) > 0 {
		l.local = sdp
		setSDP(res, sdp)
	}
	if len(c.sdp) > 0 {
		l.sdp = c.sdp
	}
	c.s.Respond(res)
	l.arm(c.session.interval, c.session.ours)
	if c.s.Request().Method != sip.INVITE {
		return
	}
	if l.unacked != nil {
		l.unacked.stop()
	}
	l.unacked = c
	c.every = u.cfg.Layer.T1()
	c.resend = u.cfg.Layer.After(c.every, c.again)
	c.give = u.cfg.Layer.After(64*u.cfg.Layer.T1(), c.lost)
}

// again: "The 2xx response is passed to the transport with an interval that
// starts at T1 seconds and doubles for each retransmission until it reaches T2
// seconds" (RFC 3261 section 13.3.1.4); also on reliable networks.
func (c *change) again() {
	c.s.Resend()
	c.every = min(2*c.every, c.l.d.ua.cfg.Layer.T2())
	c.resend = c.l.d.ua.cfg.Layer.After(c.every, c.again)
}

// lost: "If the server retransmits the 2xx response for 64*T1 seconds without
// receiving an ACK, the dialog is confirmed, but the session SHOULD be
// terminated. This is accomplished with a BYE" (RFC 3261 section 13.3.1.4).
func (c *change) lost() {
	c.stop()
	if c.first {
		c.l.unacked, c.l.up = nil, true
		if c.l.d.owes() {
			return
		}
	}
	c.l.d.hangup(Cause{Reason: ReasonNoAck, Text: "the peer does not acknowledge", By: BySystem})
}

func (c *change) stop() {
	c.resend()
	c.give()
	c.wait()
}

// acked takes the ACK of a 2xx of ours, which answers our offer if we made one.
func (l *leg) acked(req *sip.Request) {
	c := l.unacked
	if c == nil || c.s.Request().CSeq().SeqNo != req.CSeq().SeqNo {
		return
	}
	c.stop()
	l.unacked = nil
	if c.first {
		l.established(req, c)
		return
	}
	if c.sdp == nil {
		l.renegotiated(sdpOf(req))
	}
}

// renegotiated takes the answer to an offer that we have repeated.
func (l *leg) renegotiated(sdp []byte) {
	if len(sdp) > 0 && string(sdp) != string(l.sdp) && !l.over() {
		l.sdp = sdp
		l.d.on(Renegotiated{SDP: sdp})
	}
}
