package call

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"phonesocket/internal/call/policy"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/sip/dialog"
)

// Inbound is the direction of a call that came in.
const Inbound = "inbound"

// InboundLeg is an incoming call as SIP sees it; [dialog.Dialog] is one. Nothing
// of it waits.
type InboundLeg interface {
	Leg
	// Ring tells the caller that we ring.
	Ring()
	// Answer accepts the call; [dialog.Answered] follows when the caller has
	// confirmed it.
	Answer(sdp []byte)
}

// Arrival is a call that comes in.
type Arrival struct {
	Leg InboundLeg
	// From is the caller as the network shows it, FromName the name beside it or
	// "", To which of our numbers was dialled.
	From, FromName, To string
	// Offer is the caller's session description, nil when it wants ours.
	Offer []byte
}

// InboundRules say what becomes of calls that come in.
type InboundRules struct {
	// Ask decides about a call; nil accepts every one. It is called on a goroutine
	// of its own and must return soon after its context has ended, which it does
	// when the caller gives up.
	Ask func(context.Context, Call) (Decision, error)
	// AcceptUndecided accepts calls about which Ask could not decide; without, they
	// are refused.
	AcceptUndecided bool
	// AnswerAtOnce answers accepted calls without waiting for a socket.
	AnswerAtOnce bool
}

// Decision is what becomes of one call.
type Decision struct {
	Accept bool
	// Code is the SIP status of a refusal, 400 to 699; 0 means CodeReject.
	Code int
	// Metadata is kept with the call, within the limits of a [Request].
	Metadata map[string]string
}

// CodeReject is the SIP status of a refusal that names none: busy here.
const CodeReject = 486

// codeUnavailable refuses a call for which nobody is there.
const codeUnavailable = 480

// Check says what is wrong with a decision: nil, or an [*Error].
func (d Decision) Check() error {
	if d.Code != 0 && (d.Code < 400 || d.Code > 699) {
		return invalid("code", "The code of a refusal must be 400 to 699, it is %d.", d.Code)
	}
	if err := checkMetadata(d.Metadata); err != nil {
		return err
	}
	return nil
}

// incoming is what a call that came in has on top.
type incoming struct {
	Arrival

	accepted  bool   // it rings
	answering bool   // SIP was told to answer
	sdp       []byte // with this: our answer, or our offer
	stopAsk   func() // ends the question that is open
}

// Incoming takes a call that comes in and returns at once: what its events go
// to, or nil and the SIP status to refuse it with.
func (x *Exchange) Incoming(a Arrival) (on func(dialog.Event), code int) {
	now := x.cfg.TimeNow()
	c := newLive(x, x.names.next(now), now)
	c.in, c.leg = &incoming{Arrival: a, stopAsk: func() {}}, a.Leg
	c.state.Direction, c.state.From, c.state.FromName, c.state.To = Inbound, a.From, a.FromName, a.To
	c.state.SIP.CallID = a.Leg.ID()
	if err := x.admitIncoming(c); err != nil {
		c.log.Warn("incoming call refused", slog.String("code", err.Code), slog.Any("from", policy.Party(a.From)))
		if err.Class == Limited {
			return nil, CodeReject
		}
		return nil, codeUnavailable
	}
	return c.hear, 0
}

// admitIncoming takes a place for the call and leaves it to Run.
func (x *Exchange) admitIncoming(c *live) *Error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.draining {
		return draining()
	}
	if err := x.cfg.Limits.Admit(x.cfg.TimeNow(), x.running); err != nil {
		return refusal(err)
	}
	x.running++
	x.arrivals = append(x.arrivals, c)
	select {
	case x.arrived <- struct{}{}:
	default: // a token is there
	}
	return nil
}

// takeArrivals returns the calls that wait for their goroutine.
func (x *Exchange) takeArrivals() []*live {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.arrivals
	x.arrivals = nil
	return all
}

// begin opens the call; see open.
func (c *live) begin(ctx context.Context) bool {
	if c.in == nil {
		return c.open()
	}
	if err := c.openSound(); err != nil {
		c.log.Warn("incoming call refused", slog.String("code", err.Code), slog.Any("error", err))
		c.leg.Hangup(dialog.Cause{Reason: dialog.ReasonInternal, Code: codeUnavailable, By: dialog.BySystem})
		return false
	}
	c.publish()
	c.x.enter(c)
	c.log.Info("call came in", slog.Any("from", policy.Party(c.state.From)), slog.Any("to", policy.Party(c.state.To)), slog.String("direction", Inbound))
	switch err := c.readOffer(); {
	case c.x.cutOff():
		c.hangup(shutdown())
	case err != nil:
		c.log.Warn("offer of the caller not usable", slog.Any("error", err))
		c.hangup(dialog.Cause{Reason: answerReason(err), Code: codeNotAcceptable, By: dialog.BySystem})
	case c.x.cfg.Inbound.Ask == nil:
		c.accept()
	default:
		c.ask(ctx)
	}
	return true
}

// readOffer prepares what the caller is answered with: the answer to its offer,
// or our offer.
func (c *live) readOffer() error {
	c.in.sdp = c.local.Previous
	if c.in.Offer == nil {
		return nil
	}
	c.local.Previous = nil // an offer that was never sent
	answer, r, err := sdp.Answer(c.local, c.in.Offer)
	if err == nil {
		err = c.usable(r)
	}
	if err != nil {
		return err
	}
	c.local.Previous, c.in.sdp, c.remote = answer, answer, r
	return nil
}

// ask has somebody else decide.
func (c *live) ask(ctx context.Context) {
	bounded, cancel := context.WithCancel(ctx)
	c.in.stopAsk = cancel
	question := c.snapshot(c.x.cfg.TimeNow())
	c.tasks.Go(func() {
		d, err := c.x.cfg.Inbound.Ask(bounded, question)
		if err == nil {
			err = d.Check()
		}
		c.inbox.put(func() { c.decide(d, err) })
	})
}

// decide carries out what was decided, unless the API was faster.
func (c *live) decide(d Decision, err error) {
	if c.hanging != nil || c.ended || c.in.accepted {
		return
	}
	switch {
	case err != nil && c.x.cfg.Inbound.AcceptUndecided:
		c.log.Warn("nobody decided about the call, so it is accepted", slog.Any("error", err))
		c.accept()
	case err != nil:
		c.log.Warn("nobody decided about the call, so it is refused", slog.Any("error", err))
		c.hangup(dialog.Cause{Reason: ReasonUndecided, Code: codeUnavailable, By: dialog.BySystem})
	case d.Accept:
		c.keepMetadata(d.Metadata)
		c.accept()
	default:
		c.keepMetadata(d.Metadata)
		c.reject(d.Code)
	}
}

// keepMetadata gives the call its texts; the old map belongs to snapshots.
func (c *live) keepMetadata(m map[string]string) {
	if len(m) > 0 {
		c.state.Metadata = maps.Clone(m)
		c.publish()
	}
}

// accept lets the call ring and the line hear of it.
func (c *live) accept() {
	c.in.accepted = true
	c.in.Leg.Ring()
	c.ringing(codeRinging)
	c.arm(ringDeadline, c.ringTimeout())
	if started := c.x.cfg.Started; started != nil {
		started(c.id, c.media.Load().media)
	}
	c.maybeAnswer()
}

// maybeAnswer picks up if somebody is there.
func (c *live) maybeAnswer() {
	if c.in != nil && c.in.accepted && (c.present || c.x.cfg.Inbound.AnswerAtOnce) {
		c.pickUp()
	}
}

// pickUp answers the call. The sound begins at once, with silence; what is to be
// spoken waits until the caller has confirmed.
func (c *live) pickUp() {
	if c.hanging != nil || c.ended || c.in.answering {
		return
	}
	c.in.answering = true
	c.disarm(ringDeadline)
	c.in.Leg.Answer(c.in.sdp)
	if c.in.Offer != nil {
		c.agree(c.remote)
		c.publish()
	}
}

// reject refuses the call.
func (c *live) reject(code int) {
	if code == 0 {
		code = CodeReject
	}
	c.hangup(dialog.Cause{Reason: dialog.ReasonRejected, Code: code, By: dialog.ByLocal})
}

// Answer picks up a call that rings, also before a socket is there, and returns
// it; it waits a moment for the caller to confirm, so the status is nearly always
// in-progress. A call that was answered already is returned as it is. The error
// is an [*Error].
func (x *Exchange) Answer(ctx context.Context, id string) (Call, error) {
	return x.instruct(ctx, id, func(c *live) *Error {
		switch {
		case c.in == nil || c.hanging != nil:
			return notRinging()
		case !c.in.accepted:
			c.accept()
		}
		c.pickUp()
		return nil
	})
}

// Reject refuses a call that rings with a SIP status from 400 to 699, 0 means
// CodeReject, and returns it. The error is an [*Error].
func (x *Exchange) Reject(ctx context.Context, id string, code int) (Call, error) {
	if err := (Decision{Code: code}).Check(); err != nil {
		return Call{}, err
	}
	return x.instruct(ctx, id, func(c *live) *Error {
		if c.in == nil || c.hanging != nil || c.in.answering {
			return notRinging()
		}
		c.reject(code)
		return nil
	})
}

// instruct runs f on the goroutine of a call and waits a moment for the answer
// or the end that follows from it.
func (x *Exchange) instruct(ctx context.Context, id string, f func(*live) *Error) (Call, error) {
	c, err := x.find(id)
	if err != nil {
		return Call{}, err
	}
	done := make(chan *Error, 1)
	c.inbox.put(func() { done <- f(c) })
	bounded, cancel := context.WithTimeout(ctx, hangupWait)
	defer cancel()
	select {
	case refused := <-done:
		if refused != nil {
			return Call{}, refused
		}
	case <-c.over:
		return Call{}, notRinging()
	case <-bounded.Done():
		return c.current(ctx), nil
	}
	select {
	case <-c.up:
	case <-c.over:
	case <-bounded.Done():
	}
	return c.current(ctx), nil
}

func notRinging() *Error {
	return &Error{
		Class: Conflict, Code: CodeNotRinging,
		Message: "This is not an incoming call that rings; only such a call can be answered or refused.",
	}
}

// refusedHere reports whether the end of a call is our own refusal.
func refusedHere(cause dialog.Cause) bool {
	return cause.Reason == dialog.ReasonRejected && cause.By != dialog.ByRemote
}

// busy reports whether a refusal says that we are (RFC 3261 21.4.24 and 21.6.1).
func busy(code int) bool { return slices.Contains([]int{486, 600}, code) }
