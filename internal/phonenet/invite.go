package phonenet

import (
	"errors"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// invite answers an INVITE: a new call, or new terms for a running one.
func (n *Net) invite(tx *serverTx) {
	if tagOf(tx.req.To().Params) != "" {
		n.reinvite(tx)
		return
	}
	if n.behaviour.InviteStatus != 0 {
		tx.reply(n.behaviour.InviteStatus, n.retryAfter()...)
		return
	}
	user, ok := n.authorize(tx, proxyDoor())
	if !ok {
		return
	}
	if unsupported := required(tx.req); unsupported != "" { // RFC 3261 8.2.2.3
		tx.reply(sip.StatusBadExtension, sip.NewHeader("Unsupported", unsupported))
		return
	}
	if n.legs[dialogKey(tx.req)] != nil { // RFC 3261 8.2.2.2
		tx.reply(sip.StatusLoopDetected)
		return
	}
	name, script := n.callee(tx.req.Recipient)
	if script == nil {
		tx.reply(sip.StatusNotFound)
		return
	}
	if len(n.legs) >= n.cfg.MaxCalls {
		tx.reply(sip.StatusServiceUnavailable, sip.NewHeader("Retry-After", "5"))
		return
	}
	n.answerCall(tx, user, name, script)
}

func (n *Net) answerCall(tx *serverTx, user, name string, script Script) {
	leg := n.newLeg(tx, user, name)
	leg.log.Info("call came in", "number", leg.call.Number, "from", leg.call.From)
	tx.send(n.respond(tx.req, tx.from, sip.StatusTrying, ""))
	if err := leg.negotiate(); err != nil {
		leg.log.Warn("call refused", "error", err)
		code := sip.StatusNotAcceptableHere
		if !errors.Is(err, errNoCodec) && !errors.Is(err, errNoAudio) {
			code = sip.StatusInternalServerError
		}
		leg.Reject(code)
		return
	}
	leg.watch()
	script(leg)
}

// required names the extensions a request demands and we do not have.
func required(req *sip.Request) string {
	var missing []string
	for _, h := range req.GetHeaders("require") {
		for option := range strings.SplitSeq(h.Value(), ",") {
			if option = strings.TrimSpace(option); option != "" && option != "timer" {
				missing = append(missing, option)
			}
		}
	}
	return strings.Join(missing, ", ")
}

// inDialog finds the running call of a request and checks its order
// (RFC 3261 12.2.2); it has answered when there is none.
func (n *Net) inDialog(tx *serverTx) *Leg {
	leg := n.legs[dialogKey(tx.req)]
	if leg == nil || leg.over() || tagOf(tx.req.To().Params) != leg.tag {
		tx.reply(sip.StatusCallTransactionDoesNotExists)
		return nil
	}
	tx.leg = leg
	if tx.req.CSeq().SeqNo < leg.remoteSeq {
		tx.reply(sip.StatusInternalServerError)
		return nil
	}
	leg.remoteSeq, leg.from = tx.req.CSeq().SeqNo, tx.from
	return leg
}

// ended finds an ended call for the counters.
func (n *Net) ended(req *sip.Request) *Leg {
	key := dialogKey(req)
	for _, leg := range slices.Backward(n.calls) {
		if leg.key == key {
			return leg
		}
	}
	return nil
}

// reinvite answers new terms: hold, resume, another address or codec. Terms we
// cannot take are refused and the call goes on (RFC 3261 14.2).
func (n *Net) reinvite(tx *serverTx) {
	leg := n.inDialog(tx)
	if leg == nil {
		return
	}
	leg.seen.Reinvite++
	if leg.pending != nil { // both sides began at once
		tx.reply(sip.StatusRequestPending)
		return
	}
	if leg.call.Answered.IsZero() {
		tx.reply(sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
		return
	}
	if !leg.renegotiate(tx) {
		return
	}
	leg.tx = tx
	leg.sendOK(tx)
}

// renegotiate takes a new offer into our description; it has answered when it reports false.
func (leg *Leg) renegotiate(tx *serverTx) bool {
	if contact := tx.req.Contact(); contact != nil { // target refresh, RFC 3261 12.2.2
		leg.target = contact.Address
	}
	offer := sdpBody(tx.req)
	if offer == nil {
		leg.local.streams, leg.local.direction = nil, leg.direction // we offer, and the ACK brings the answer
		leg.local.version++
		return true
	}
	r, err := readSDP(offer, leg.net.cfg.Codecs)
	if err != nil {
		leg.log.Warn("new terms refused", "error", err)
		tx.reply(sip.StatusNotAcceptableHere)
		return false
	}
	leg.adopt(r)
	leg.local.version++
	leg.listen()
	return true
}

// ack confirms the call.
func (leg *Leg) ack(req *sip.Request, from flow) {
	leg.seen.Ack++
	leg.from = from
	if leg.over() || leg.call.Answered.IsZero() || req.CSeq().SeqNo != leg.tx.req.CSeq().SeqNo {
		return
	}
	leg.quiet()
	if answer := sdpBody(req); answer != nil && sdpBody(leg.tx.req) == nil {
		r, err := readSDP(answer, leg.net.cfg.Codecs)
		if err != nil {
			leg.log.Warn("answer in the ACK is unusable", "error", err)
			leg.bye(EndLocalBye, nil)
			return
		}
		leg.adopt(r)
		leg.listen()
	}
	if leg.call.State != StateConfirmed {
		leg.call.State = StateConfirmed
		for _, f := range leg.onAck {
			f()
		}
		leg.onAck = nil
	}
}

// cancel answers a CANCEL; it ends a call only before its final answer (RFC 3261 9.2).
func (n *Net) cancel(tx *serverTx) {
	origin := n.servers[serverKey(tx.req, sip.INVITE)]
	if origin == nil {
		tx.reply(sip.StatusCallTransactionDoesNotExists)
		return
	}
	tx.leg = origin.leg
	tx.reply(sip.StatusOK)
	if leg := origin.leg; leg != nil {
		leg.seen.Cancel++
		if origin.code < 200 {
			leg.refuse(EndCanceled, sip.StatusRequestTerminated)
		}
	}
}

// bye ends a call at the caller's wish.
func (n *Net) bye(tx *serverTx) {
	leg := n.legs[dialogKey(tx.req)]
	if leg != nil {
		leg.seen.Bye++
	} else if old := n.ended(tx.req); old != nil {
		old.seen.Bye++
	}
	if n.behaviour.ChallengeBye {
		if _, ok := n.authorize(tx, proxyDoor()); !ok {
			return
		}
	}
	if leg = n.inDialog(tx); leg == nil {
		return
	}
	tx.reply(sip.StatusOK)
	if leg.call.Answered.IsZero() { // RFC 3261 15.1.2: the INVITE is answered too
		leg.refuse(EndRemoteBye, sip.StatusRequestTerminated)
		return
	}
	leg.finish(EndRemoteBye, 0)
}

// options answers a question about our abilities, in a call or outside.
func (n *Net) options(tx *serverTx) {
	if tagOf(tx.req.To().Params) != "" {
		leg := n.inDialog(tx)
		if leg == nil {
			return
		}
		leg.seen.Options++
	}
	tx.reply(sip.StatusOK, sip.NewHeader("Accept", typeSDP))
}

// midCall answers UPDATE (RFC 3311) and INFO.
func (n *Net) midCall(tx *serverTx) {
	leg := n.inDialog(tx)
	if leg == nil {
		return
	}
	if tx.req.Method == sip.INFO {
		leg.seen.Info++
		tx.reply(sip.StatusOK)
		return
	}
	leg.seen.Update++
	if sdpBody(tx.req) == nil {
		tx.reply(sip.StatusOK)
		return
	}
	if leg.pending != nil {
		tx.reply(sip.StatusRequestPending)
		return
	}
	if leg.renegotiate(tx) {
		res := n.respond(tx.req, tx.from, sip.StatusOK, leg.tag)
		res.AppendHeader(n.contact(leg.call.Number, leg.from))
		setSDP(res, leg.local.write())
		tx.send(res)
	}
}
