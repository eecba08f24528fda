package phonenet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Caller is somebody of the network who calls a registered user.
type Caller struct {
	// From is the user part of the caller's address, 4711 when it is empty, and
	// FromName the name beside it.
	From, FromName string
	// To is the user part of the number dialled; empty means the user itself.
	To string
	// Headers are further ones, as P-Asserted-Identity.
	Headers map[string]string
	// LateOffer sends the INVITE without a session description: the phone offers,
	// and the ACK answers.
	LateOffer bool
	// Sound is what the phone hears once it has answered.
	Sound Sound
}

// errNotRegistered says that nobody can be called.
var errNotRegistered = errors.New("the user is not registered")

// Dial calls a registered user and returns the Call-ID as soon as the INVITE is
// on its way; WaitCall shows what becomes of it, and Heard what the caller heard.
func (n *Net) Dial(ctx context.Context, user string, c Caller) (string, error) {
	type outcome struct {
		id  string
		err error
	}
	answer := make(chan outcome, 1)
	n.ask(func() {
		id, err := n.dial(user, c)
		answer <- outcome{id, err}
	})
	select {
	case o := <-answer:
		if o.err != nil {
			return "", fmt.Errorf("call %s: %w", user, o.err)
		}
		return o.id, nil
	case <-ctx.Done():
		return "", fmt.Errorf("call %s: %w", user, ctx.Err())
	}
}

// Cancel gives up a call that Dial has begun and nobody has answered, and
// returns the status of the answer to the CANCEL.
func (n *Net) Cancel(ctx context.Context, callID string) (int, error) {
	return n.order(ctx, "cancel", callID, func(leg *Leg, done func(int, error)) {
		if leg.calling == nil || leg.calling.on == nil {
			done(0, errNoCall)
			return
		}
		leg.canceled = true
		invite := leg.calling.req
		req := sip.NewRequest(sip.CANCEL, *invite.Recipient.Clone())
		// "The following procedures are used to construct a CANCEL request. The
		// Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields
		// [...] MUST be identical" (RFC 3261 9.1), and so must the top Via.
		for _, name := range []string{"Via", "Max-Forwards", "From", "To", "Call-ID"} {
			sip.CopyHeaders(name, invite, req)
		}
		req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
		req.SetBody(nil)
		n.send(req, leg.from, func(res *sip.Response, err error) { done(statusOf(res), err) })
	})
}

// dial sends the INVITE.
func (n *Net) dial(user string, c Caller) (string, error) {
	list := n.bindings[user]
	if len(list) == 0 || n.closing {
		return "", errNotRegistered
	}
	b := list[len(list)-1]
	leg := n.newCaller(b, c)
	if err := leg.openSound(c.LateOffer); err != nil {
		return "", err
	}
	n.remember(leg)
	req := n.newRequest(sip.INVITE, b.uri, b.from)
	from := leg.invite.To().AsFrom()
	from.DisplayName = c.FromName
	from.Params = sip.NewParams()
	from.Params.Add("tag", leg.tag)
	req.AppendHeader(&from)
	req.AppendHeader(&sip.ToHeader{Address: *leg.invite.From().Address.Clone()})
	sip.CopyHeaders("Call-ID", leg.invite, req)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: leg.localSeq, MethodName: sip.INVITE})
	req.AppendHeader(n.contact(from.Address.User, b.from))
	for name, value := range c.Headers {
		req.AppendHeader(sip.NewHeader(name, value))
	}
	req.SetBody(nil)
	if !c.LateOffer {
		setSDP(req, leg.local.write())
		leg.call.Offer = string(leg.local.write())
	}
	leg.calling = n.send(req, b.from, func(res *sip.Response, err error) { leg.decided(c, res, err) })
	leg.calling.progress = leg.progress
	leg.calling.answer = leg.lateAnswer
	return leg.call.ID, nil
}

// newCaller makes the leg of a call of ours. Its invite is the one that the other
// side would have sent, so that all else is the same as for calls that come in.
func (n *Net) newCaller(b *binding, c Caller) *Leg {
	mirrored := sip.NewRequest(sip.INVITE, b.uri)
	mirrored.AppendHeader(&sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: cmp.Or(c.To, b.User), Host: n.cfg.Realm}, Params: sip.NewParams()})
	mirrored.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: cmp.Or(c.From, "4711"), Host: n.cfg.Realm}})
	callID := sip.CallIDHeader(token())
	mirrored.AppendHeader(&callID)
	mirrored.AppendHeader(&sip.CSeqHeader{SeqNo: 0, MethodName: sip.INVITE})
	mirrored.SetBody(nil)
	leg := &Leg{
		net: n, invite: mirrored, from: b.from, key: dialogKey(mirrored), tag: token(),
		log: n.log.With("call_id", string(callID), "script", "caller"), direction: sendrecv,
		localSeq: 1 + random()%1000, target: b.uri,
		tx: &serverTx{net: n, req: mirrored, from: b.from, code: sip.StatusOK}, // nothing of it is open
	}
	leg.call = Call{
		ID: string(callID), User: b.User, From: mirrored.To().Address.String(), FromName: c.FromName, To: b.uri.String(),
		Number: cmp.Or(c.To, b.User), Script: "caller", State: StateTrying, Created: time.Now(), Headers: map[string]string{},
	}
	return leg
}

// openSound binds a port and makes our offer; a late one is never sent.
func (leg *Leg) openSound(late bool) error {
	if err := leg.negotiate(); err != nil {
		return err
	}
	if late {
		leg.local.codecs, leg.local.dtmf = nil, 0
	}
	return nil
}

// progress takes an 18x.
func (leg *Leg) progress(res *sip.Response) {
	leg.calling.expiry() // from now on it may ring for ever (RFC 3261 17.1.1.2)
	if res.StatusCode == sip.StatusTrying || leg.over() {
		return
	}
	if leg.call.State == StateTrying {
		leg.call.State = StateRinging
	}
	if body := sdpBody(res); body != nil && leg.call.State != StateEarly {
		if r, err := readSDP(body, leg.net.cfg.Codecs); err == nil {
			leg.call.State = StateEarly
			leg.adopt(r)
			leg.listen()
		}
	}
}

// lateAnswer is the body of the ACK: the answer to the phone's offer, if it made one.
func (leg *Leg) lateAnswer(res *sip.Response) []byte {
	if leg.call.Offer != "" {
		return nil
	}
	r, err := readSDP(res.Body(), leg.net.cfg.Codecs)
	if err != nil {
		leg.log.Warn("offer in the 200 is unusable", "error", err)
		return nil
	}
	leg.call.Offer = string(res.Body())
	leg.adopt(r)
	return leg.local.write()
}

// decided takes the final answer; its ACK has been sent.
func (leg *Leg) decided(c Caller, res *sip.Response, err error) {
	switch {
	case leg.over():
		return
	case err != nil || !res.IsSuccess():
		why := EndRejected
		if leg.canceled {
			why = EndCanceled
		}
		leg.finish(why, statusOf(res))
		return
	}
	delete(leg.net.legs, leg.key)
	leg.invite.From().Params.Add("tag", tagOf(res.To().Params))
	leg.key = dialogKey(leg.invite)
	leg.net.legs[leg.key] = leg
	leg.call.State, leg.call.Answered, leg.call.Code = StateConfirmed, time.Now(), res.StatusCode
	leg.Play(c.Sound)
	leg.accepted(res)
	leg.watchAnswered()
	if leg.canceled {
		leg.bye(EndCanceled, nil)
	}
}
