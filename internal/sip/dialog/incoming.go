package dialog

import (
	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/transaction"
)

// An Arrival is an incoming call that nobody has decided about yet. Its owner
// calls Ring, Progress, Answer or Hangup of the Dialog, from any goroutine.
type Arrival struct {
	Dialog *Dialog
	// From is the caller: a number as the network wrote it, else a sip: URI, or
	// "anonymous". FromName is the name beside it, or "".
	From, FromName string
	// To is which number of the account was dialled.
	To string
	// Offer is the caller's session description; nil means that it wants ours.
	Offer []byte
}

// incoming takes an INVITE that begins a call.
func (u *UA) incoming(s *transaction.Server) {
	req := s.Request()
	switch {
	case len(req.Body()) > 0 && sdpOf(req) == nil:
		s.Respond(u.response(s, sip.StatusUnsupportedMediaType))
		return
	case len(u.dialogs) >= maxDialogs:
		s.Respond(u.response(s, sip.StatusServiceUnavailable))
		return
	}
	d, l := u.arrive(s)
	timer, ok := l.sessionFor(req)
	if !ok {
		s.Respond(u.response(s, statusIntervalTooSmall))
		return
	}
	d.arriving = &change{l: l, s: s, sdp: sdpOf(req), session: timer, wait: noop, resend: noop, give: noop, first: true}
	s.Respond(transaction.NewResponse(req, sip.StatusTrying, ""))
	a := Arrival{Dialog: d, To: calledOf(req), Offer: l.sdp}
	a.From, a.FromName = callerOf(req)
	on, code := u.cfg.Incoming(a)
	if on == nil {
		if code < 400 || code > 699 {
			code = sip.StatusTemporarilyUnavailable
		}
		s.Respond(u.response(s, code))
		d.ended = true // whatever its owner still does with it
		return
	}
	d.on = on
	u.dialogs[d.key] = d
	s.OnCancel(d.canceled)
}

// arrive makes the dialog of an INVITE, as RFC 3261 section 12.1.1 says.
func (u *UA) arrive(s *transaction.Server) (*Dialog, *leg) {
	req := s.Request()
	// Every answer to the INVITE carries the same tag: it is made from the request.
	from := transaction.NewResponse(req, sip.StatusRinging, "").To().AsFrom()
	// A call to ourselves over the provider has one Call-ID for both of its
	// ends, so ours is found by the tag as well.
	id := req.CallID().Value()
	d := &Dialog{
		ua: u, id: id, key: incomingKey(id, tag(from.Params)), incoming: true,
		path:     registration.Path{Target: s.From(), Contact: *req.Recipient.Clone()},
		from:     &from,
		legs:     make(map[string]*leg),
		stopRing: noop,
		interval: u.cfg.SessionExpires,
	}
	to := req.From().AsTo()
	l := &leg{d: d, to: &to, remote: req.CSeq().SeqNo, numbered: true, sdp: sdpOf(req)}
	d.legs[tag(req.From().Params)] = l
	// "The route set MUST be set to the list of URIs in the Record-Route header
	// field from the request, taken in order" (RFC 3261 section 12.1.1).
	for _, h := range req.GetHeaders("Record-Route") {
		if r, ok := h.(*sip.RecordRouteHeader); ok {
			l.routes = append(l.routes, *r.Address.Clone())
		}
	}
	if !l.retarget(req) {
		l.target = *req.From().Address.Clone() // peers that give no Contact
	}
	l.learnAllow(req)
	return d, l
}

// incomingKey is under which the UA finds an incoming call.
func incomingKey(callID, ours string) string { return callID + " " + ours }

// Answer accepts an incoming call. The description is the answer to the offer
// of the Arrival, or our offer if it had none. [Answered] follows with the
// caller's ACK. Any goroutine.
func (d *Dialog) Answer(sdp []byte) {
	d.ua.cfg.Layer.Do(func() { d.answer(sdp) })
}

// open reports whether an incoming call waits for its decision.
func (d *Dialog) open() bool {
	return d.arriving != nil && d.chosen == nil && d.cause == nil && !d.ended
}

func (d *Dialog) answer(sdp []byte) {
	if !d.open() || d.answering {
		return
	}
	if d.reliable.waiting() {
		// "The UAS MAY send a final response [...] before having received
		// PRACKs", but not a 2xx when what is unacknowledged has a description
		// (RFC 3262 section 3).
		d.reliable.then = func() { d.answer(sdp) }
		return
	}
	d.answering = true
	d.sent = d.mirrored()
	d.keep(ackPatience, func(err error) {
		if err != nil {
			d.ua.cfg.Logger.Warn("answered call not in the journal: a crash would leave it up", "call_id", d.id, "error", err)
		}
		if !d.open() { // hung up or cancelled meanwhile
			d.forget()
			return
		}
		d.stopProgress()
		c := d.arriving
		d.chosen = c.l
		c.l.offering = c.sdp == nil
		c.accept(sdp)
	})
}

// mirrored is the INVITE with which we would have called the peer, for the
// record of the call: requests within it are made from that.
func (d *Dialog) mirrored() *sip.Request {
	l := d.arriving.l
	req := sip.NewRequest(sip.INVITE, *l.target.Clone())
	req.AppendHeader(sip.HeaderClone(d.from))
	to := sip.HeaderClone(l.to).(*sip.ToHeader)
	to.Params = nil
	req.AppendHeader(to)
	callID := sip.CallIDHeader(d.id)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE})
	req.AppendHeader(d.contact())
	d.ua.cfg.Layer.Prepare(req, d.path.Target)
	return req
}

// refuse answers the INVITE with what the cause says.
func (d *Dialog) refuse(cause Cause) {
	code := cause.Code
	if code < 400 || code > 699 {
		code = sip.StatusTemporarilyUnavailable
	}
	d.turnAway(code)
	d.cause.Code = code
	if d.cause.Text == "" {
		d.cause.Text = transaction.Phrase(code)
	}
}

// turnAway gives an unanswered INVITE its final answer.
func (d *Dialog) turnAway(code int) {
	d.stopProgress()
	d.arriving.l.byed = true
	d.arriving.s.Respond(d.ua.response(d.arriving.s, code))
}

// canceled: "If it did not, [...] the UAS [...] SHOULD immediately respond to
// the INVITE with a 487 (Request Terminated)" (RFC 3261 section 9.2).
func (d *Dialog) canceled() {
	if !d.open() {
		return
	}
	d.turnAway(sip.StatusRequestTerminated)
	d.finish(Cause{
		Reason: ReasonRemoteCancel, Code: sip.StatusRequestTerminated,
		Text: transaction.Phrase(sip.StatusRequestTerminated), By: ByRemote,
	})
}

// confirmed reports whether the peer and we know that the call is up.
func (l *leg) confirmed() bool { return l.ack != nil || l.up }

// established takes the ACK of the 2xx that answered an incoming call, which
// brings the answer to our offer if the caller made none.
func (l *leg) established(req *sip.Request, c *change) {
	l.up, l.offering = true, false
	if l.d.owes() {
		return
	}
	if c.sdp == nil {
		l.sdp = sdpOf(req)
	}
	if len(l.sdp) == 0 {
		l.d.hangup(Cause{Reason: ReasonSDP, Code: sip.StatusOK, Text: "acknowledged without a session description", By: BySystem})
		return
	}
	l.d.on(Answered{SDP: l.sdp})
}

// leave hangs up a leg that was answered. "The callee's UA MUST NOT send a BYE on
// a confirmed dialog until it has received an ACK for its 2xx response or until
// the server transaction times out" (RFC 3261 section 15).
func (l *leg) leave() {
	if l.d.incoming && !l.up {
		l.d.owed = true
		l.d.busy++
		return
	}
	l.bye()
}

// owes sends the BYE that waited for the ACK, and reports whether there was one.
func (d *Dialog) owes() bool {
	if !d.owed {
		return false
	}
	d.owed = false
	d.busy--
	d.chosen.bye()
	return true
}
