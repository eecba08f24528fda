package dialog

import (
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/transaction"
)

const (
	// maxLegs bounds the phones of one call whose answers we follow.
	maxLegs = 32
	// maxTries bounds how often one request is sent again because of
	// challenges or a session interval.
	maxTries = 5
	// patience is how long an unanswered INVITE may still be answered after
	// we gave up: longer than timer C of a proxy (RFC 3261 section 16.6).
	patience = 4 * time.Minute
)

// Dialog is one call: one that we place, or one that came in.
type Dialog struct {
	ua  *UA
	id  string
	key string // in the map of the UA
	inv Invitation
	on  func(Event)

	// Below: owned by the SIP loop.
	path     registration.Path   // pinned when the call began
	from     *sip.FromHeader     // with our tag
	cseq     uint32              // of the last INVITE
	client   *transaction.Client // the INVITE without final answer
	sent     *sip.Request        // the last INVITE
	tries    int                 // INVITEs sent
	rung     map[int]bool        // codes told by Ringing
	legs     map[string]*leg     // by the peer's tag
	chosen   *leg                // the one that was answered and is kept
	shown    string              // our Contact as the peer has it
	cause    *Cause              // why it ends; nil: it goes on
	ended    bool                // Ended was told
	silent   bool                // the INVITE had no final answer
	removing bool
	kept     bool          // the Recorder has a record
	left     bool          // by an earlier run; see Left
	busy     int           // requests whose answer we wait for before we forget the call
	interval time.Duration // session interval that we ask for; negative: none
	minSE    time.Duration // demanded by a 422
	stopRing func()

	incoming  bool                // the peer called us
	arriving  *change             // its INVITE
	answering bool                // it is about to be answered
	reliable  reliableProvisional // of an incoming call
	owed      bool                // its BYE waits for the ACK
}

// ID returns the Call-ID. Any goroutine.
func (d *Dialog) ID() string { return d.id }

// Hangup ends the call: CANCEL while it rings, BYE when it is up. A call that came
// in and rings is refused with the code of the cause, 480 if it has none. Only the first
// call counts. Ended follows when the peer has confirmed, after 4*T1 in any
// case. Any goroutine.
func (d *Dialog) Hangup(cause Cause) {
	d.ua.cfg.Layer.Do(func() { d.hangup(cause) })
}

func (d *Dialog) start() {
	if len(d.ua.dialogs) >= maxDialogs {
		d.finish(Cause{Reason: ReasonInternal, Text: "too many calls", By: BySystem})
		return
	}
	d.ua.dialogs[d.key] = d
	path, err := d.ua.cfg.Path()
	if err != nil {
		d.finish(Cause{Reason: ReasonUnregistered, Text: err.Error(), By: BySystem})
		return
	}
	d.path = path
	req, err := d.invite()
	if err != nil {
		d.finish(Cause{Reason: ReasonInvalidNumber, Text: err.Error(), By: BySystem})
		return
	}
	d.stopRing = d.ua.cfg.Layer.After(d.inv.RingTimeout, func() {
		d.hangup(Cause{Reason: ReasonRingTimeout, Text: fmt.Sprintf("no answer within %s", d.inv.RingTimeout), By: BySystem})
	})
	d.send(req)
}

// invite builds the first INVITE.
func (d *Dialog) invite() (*sip.Request, error) {
	uri, err := d.ua.cfg.Account.Target(d.inv.To)
	if err != nil {
		return nil, err
	}
	from, extra, err := d.ua.cfg.Account.CallerHeaders(d.inv.CallerID)
	if err != nil {
		return nil, err
	}
	d.from = sip.HeaderClone(from).(*sip.FromHeader)
	d.from.Params = append(d.from.Params, sip.HeaderKV{K: "tag", V: transaction.NewTag()})
	d.cseq = 1
	req := sip.NewRequest(sip.INVITE, uri)
	for _, r := range d.path.Route {
		req.AppendHeader(&sip.RouteHeader{Address: *r.Clone()})
	}
	req.AppendHeader(d.from)
	to := *uri.Clone()
	to.UriParams, to.Headers = nil, nil
	req.AppendHeader(&sip.ToHeader{Address: to})
	callID := sip.CallIDHeader(d.id)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.cseq, MethodName: sip.INVITE})
	req.AppendHeader(d.show())
	for _, h := range extra {
		req.AppendHeader(h)
	}
	d.ua.capabilities(req)
	setSession(req, d.interval, d.minSE, "")
	setSDP(req, d.inv.Offer)
	return req, nil
}

// show is contact for a message that makes it the peer's remote target.
func (d *Dialog) show() *sip.ContactHeader {
	c := d.contact()
	d.shown = c.Address.String()
	return c
}

// contact is our address as the outside sees it now.
func (d *Dialog) contact() *sip.ContactHeader {
	if path, err := d.ua.cfg.Path(); err == nil {
		d.path.Contact = path.Contact // while there is no path, the last one is the best guess
	}
	return &sip.ContactHeader{Address: *d.path.Contact.Clone()}
}

func (d *Dialog) transmit(req *sip.Request) {
	d.client = d.ua.cfg.Layer.Request(req, d.path.Target, func(r transaction.Result) { d.result(req, r) })
}

// result takes what an INVITE brings.
func (d *Dialog) result(req *sip.Request, r transaction.Result) {
	switch {
	case r.Err != nil:
		d.client, d.silent = nil, true
		d.finish(errCause(r.Err))
	case r.Response.IsProvisional():
		d.provisional(r.Response)
	case r.Response.IsSuccess():
		d.client = nil
		d.answered(r.Response)
	default:
		d.client = nil
		d.refused(req, r.Response)
	}
}

func (d *Dialog) provisional(res *sip.Response) {
	if res.StatusCode == sip.StatusTrying || d.cause != nil {
		return
	}
	l := d.legOf(res)
	if l != nil && !l.noted {
		l.noted = true
		d.note()
	}
	if l != nil && !l.reliable(res) {
		return
	}
	if code := res.StatusCode; (code >= 180 && code < 190 || code == 199) && !d.rung[code] {
		d.rung[code] = true
		d.on(Ringing{Code: code})
	}
	if sdp := sdpOf(res); l != nil && len(sdp) > 0 && string(sdp) != string(l.sdp) {
		l.sdp = sdp
		d.on(Early{SDP: sdp})
	}
}

// answered takes each 2xx of the INVITE, also repeated and late ones. "The ACK
// MUST be passed to the client transport every time a retransmission of the 2xx
// final response that triggered the ACK arrives" (RFC 3261 section 13.2.2.4).
func (d *Dialog) answered(res *sip.Response) {
	l := d.legOf(res)
	if l == nil {
		d.ua.cfg.Logger.Error("too many phones answer one call", "call_id", d.id)
		return
	}
	if l.ack != nil {
		if !l.held {
			l.sendAck()
		}
		return
	}
	l.confirm(res)
	d.stopRing()
	d.confirmed(l, res)
}

// acknowledge sends the first ACK of a 2xx and keeps the leg, or ends it.
func (d *Dialog) acknowledge(l *leg, res *sip.Response) {
	l.sendAck()
	switch {
	case l.gone:
		if d.chosen == nil { // its BYE was faster than its 2xx
			d.finish(l.byeCause)
		}
	case d.cause != nil || d.ended || d.chosen != nil:
		// "If the UAC [...] does not want it, [it] MUST ACK [and] BYE" —
		// an answer that crossed our CANCEL, or a second phone.
		l.bye()
	default:
		d.accept(l, res)
	}
}

// accept keeps a leg as the call.
func (d *Dialog) accept(l *leg, res *sip.Response) {
	d.chosen = l
	if sdp := sdpOf(res); len(sdp) > 0 {
		l.sdp = sdp
	}
	if len(l.sdp) == 0 {
		d.hangup(Cause{Reason: ReasonSDP, Code: res.StatusCode, Text: "answered without a session description", By: BySystem})
		return
	}
	l.startSession(res)
	d.on(Answered{SDP: l.sdp})
}

// refused takes a final answer that is no 2xx; the ACK is out already.
func (d *Dialog) refused(req *sip.Request, res *sip.Response) {
	if d.cause != nil || d.ended {
		d.finish(causeOf(res))
		return
	}
	again, err := d.again(req, res)
	switch {
	case err != nil:
		c := causeOf(res)
		c.Text = err.Error()
		d.finish(c)
	case again != nil:
		// The phones of the refused INVITE are not those of the next one.
		d.legs = make(map[string]*leg)
		d.send(again)
	default:
		d.finish(causeOf(res))
	}
}

// again returns the INVITE to send after a challenge or a 422, nil if the
// refusal is final.
func (d *Dialog) again(req *sip.Request, res *sip.Response) (*sip.Request, error) {
	if d.tries >= maxTries {
		return nil, nil
	}
	switch res.StatusCode {
	case sip.StatusUnauthorized, sip.StatusProxyAuthRequired:
		next, err := d.authorize(req, res)
		if err == nil {
			d.cseq++
			next.CSeq().SeqNo = d.cseq
		}
		return next, err
	case statusIntervalTooSmall:
		if d.interval <= 0 {
			return nil, nil // it was asked for nothing
		}
		least := seconds(headerValue(res, "Min-SE"))
		if least > d.minSE {
			d.interval, d.minSE = max(d.interval, least), least
		} else {
			// It wants no more than it was given, or does not say what: the
			// call is worth more than its timer, which nobody has to ask for.
			d.interval = -1
		}
		next := repeat(req)
		d.cseq++
		next.CSeq().SeqNo = d.cseq
		setSession(next, d.interval, d.minSE, "")
		return next, nil
	}
	return nil, nil
}

func (d *Dialog) hangup(cause Cause) {
	if d.cause != nil || d.ended {
		return
	}
	d.cause = &cause
	d.stopRing()
	switch {
	case d.chosen != nil:
		d.chosen.leave()
	case d.client != nil:
		d.client.Cancel()
	case d.arriving != nil:
		d.refuse(cause)
	}
	// The peer may be gone: the owner does not wait for it.
	d.ua.cfg.Layer.After(4*d.ua.cfg.Layer.T1(), d.tellEnd)
	d.settled()
}

// finish ends the call without a word to the peer.
func (d *Dialog) finish(cause Cause) {
	if d.cause == nil {
		d.cause = &cause
	} else if d.cause.Code == 0 {
		d.cause.Code = cause.Code
	}
	d.stopRing()
	d.settled()
}

// quiet reports whether the call needs the network no more.
func (d *Dialog) quiet() bool { return d.cause != nil && d.busy == 0 && d.client == nil }

// settled is called when something that we waited for is over.
func (d *Dialog) settled() {
	if !d.quiet() {
		return
	}
	if !d.silent || d.left {
		d.forget()
	}
	d.tellEnd()
	if !d.removing {
		d.removing = true
		wait := 64 * d.ua.cfg.Layer.T1()
		if d.silent {
			wait = max(wait, patience)
		}
		d.ua.cfg.Layer.After(wait, d.remove)
	}
	d.ua.checkSettled()
}

func (d *Dialog) tellEnd() {
	if d.ended {
		return
	}
	d.ended = true
	for _, l := range d.legs {
		l.stopTimers()
	}
	d.on(Ended{Cause: *d.cause})
}

// remove forgets the call; answers that come now are ignored.
func (d *Dialog) remove() {
	if d.busy > 0 {
		d.removing = false
		return // settled comes again
	}
	d.forget()
	if d.ua.dialogs[d.key] == d {
		delete(d.ua.dialogs, d.key)
	}
}
