package phonenet

import (
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"
)

// errTimeout ends a request that nobody answered (timers B and F, RFC 3261 17.1).
var errTimeout = errors.New("no answer to our request")

// clientTx is one transaction that we began. It lives on the loop.
type clientTx struct {
	net  *Net
	key  string
	req  *sip.Request
	to   flow
	data []byte
	on   func(*sip.Response, error) // called once, with the final answer or the error
	// of an INVITE that begins a call, nil otherwise:
	progress func(*sip.Response)        // takes each provisional answer
	answer   func(*sip.Response) []byte // makes the body of the ACK of a 2xx
	code     int                        // of the last answer
	final    []byte                     // the ACK of an INVITE's final answer, for its repetitions
	again    func()
	expiry   func()
}

// clientKey identifies a transaction of ours by its branch and method (RFC 3261 17.1.3).
func clientKey(msg sip.Message) string {
	branch, _ := msg.Via().Params.Get("branch")
	return branch + "|" + string(msg.CSeq().MethodName)
}

// send begins a transaction. The answer is handed to on, on the loop.
func (n *Net) send(req *sip.Request, to flow, on func(*sip.Response, error)) *clientTx {
	tx := &clientTx{net: n, key: clientKey(req), req: req, to: to, data: []byte(req.String()), on: on}
	n.clients[tx.key] = tx
	if err := n.transmit(to, tx.data); err != nil {
		tx.expiry = n.timer(0, func() { tx.end(nil, err) })
		return tx
	}
	tx.expiry = n.timer(64*n.cfg.T1, func() { tx.end(nil, errTimeout) })
	if to.network == "udp" {
		tx.persist(n.cfg.T1)
	}
	return tx
}

// persist repeats the request until an answer comes: a provisional one is
// enough for an INVITE and slows the others down (timers A and E).
func (tx *clientTx) persist(wait time.Duration) {
	tx.again = tx.net.timer(wait, func() {
		if tx.net.transmit(tx.to, tx.data) != nil {
			return
		}
		next := 2 * wait
		if tx.req.Method != sip.INVITE {
			next = min(next, t2)
		}
		if tx.code != 0 {
			next = t2
		}
		tx.persist(next)
	})
}

func (tx *clientTx) quiet() {
	if tx.again != nil {
		tx.again()
	}
}

// response finds the transaction of an answer.
func (n *Net) response(res *sip.Response) {
	tx := n.clients[clientKey(res)]
	if tx == nil {
		n.counters.Strays++
		return
	}
	if tx.final != nil { // a repeated final answer: our ACK was lost
		_ = n.transmit(tx.to, tx.final) // the next repetition comes anyway
		return
	}
	tx.code = res.StatusCode
	if res.StatusCode < 200 {
		if tx.req.Method == sip.INVITE {
			tx.quiet()
		}
		if tx.progress != nil && tx.on != nil {
			tx.progress(res)
		}
		return
	}
	tx.end(res, nil)
}

// end finishes the transaction, once. An INVITE is acknowledged, and remembered
// for the repetitions of its answer.
func (tx *clientTx) end(res *sip.Response, err error) {
	if tx.on == nil {
		return
	}
	tx.quiet()
	if tx.expiry != nil {
		tx.expiry()
	}
	on := tx.on
	tx.on = nil
	if tx.req.Method == sip.INVITE && res != nil {
		ack := tx.ack(res)
		if tx.answer != nil && res.IsSuccess() {
			setSDP(ack, tx.answer(res))
		}
		tx.final = []byte(ack.String())
		_ = tx.net.transmit(tx.to, tx.final) // lost ones are sent again with the next repetition
		tx.net.timer(64*tx.net.cfg.T1, func() { delete(tx.net.clients, tx.key) })
	} else {
		delete(tx.net.clients, tx.key)
	}
	on(res, err)
}

// ack is the ACK of a final answer: a transaction of its own for a 2xx, with
// the Via of the INVITE for a refusal (RFC 3261 13.2.2.4 and 17.1.1.3).
func (tx *clientTx) ack(res *sip.Response) *sip.Request {
	ack := sip.NewRequest(sip.ACK, *tx.req.Recipient.Clone())
	via := tx.req.Via().Clone()
	if res.IsSuccess() {
		via.Params.Add("branch", sip.RFC3261BranchMagicCookie+token())
		if contact := res.Contact(); contact != nil {
			ack.Recipient = *contact.Address.Clone()
		}
	}
	ack.AppendHeader(via)
	sip.CopyHeaders("Route", tx.req, ack)
	maxForwards := sip.MaxForwardsHeader(70)
	ack.AppendHeader(&maxForwards)
	sip.CopyHeaders("From", tx.req, ack)
	sip.CopyHeaders("To", res, ack)
	sip.CopyHeaders("Call-ID", tx.req, ack)
	ack.AppendHeader(&sip.CSeqHeader{SeqNo: tx.req.CSeq().SeqNo, MethodName: sip.ACK})
	ack.SetBody(nil)
	return ack
}

// newRequest begins a request of ours with all that RFC 3261 8.1.1 demands.
func (n *Net) newRequest(method sip.RequestMethod, target sip.Uri, to flow) *sip.Request {
	req := sip.NewRequest(method, *target.Clone())
	at := n.sockets.local(to)
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: viaTransport(to.network), Host: at.Addr().String(), Port: int(at.Port()), Params: sip.NewParams()}
	via.Params.Add("branch", sip.RFC3261BranchMagicCookie+token())
	via.Params.Add("rport", "")
	req.AppendHeader(via)
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(sip.NewHeader("User-Agent", userAgent))
	return req
}

func viaTransport(network string) string {
	switch network {
	case "tcp":
		return "TCP"
	case "tls":
		return "TLS"
	}
	return "UDP"
}

// request builds a request inside the call's dialog (RFC 3261 12.2.1.1).
func (leg *Leg) request(method sip.RequestMethod) *sip.Request {
	req := leg.net.newRequest(method, leg.target, leg.from)
	for i := range leg.routes {
		req.AppendHeader(&sip.RouteHeader{Address: *leg.routes[i].Clone()})
	}
	us := sip.FromHeader{Address: *leg.invite.To().Address.Clone(), Params: sip.NewParams()}
	us.Params.Add("tag", leg.tag)
	req.AppendHeader(&us)
	them := leg.invite.From().AsTo()
	req.AppendHeader(&them)
	sip.CopyHeaders("Call-ID", leg.invite, req)
	leg.localSeq++
	req.AppendHeader(&sip.CSeqHeader{SeqNo: leg.localSeq, MethodName: method})
	req.AppendHeader(leg.net.contact(leg.call.Number, leg.from))
	req.SetBody(nil)
	return req
}

// bye hangs up an answered call; done, if any, gets the caller's answer.
func (leg *Leg) bye(why EndReason, done func(int, error)) {
	if leg.over() || leg.call.Answered.IsZero() {
		if done != nil {
			done(0, errNoCall)
		}
		return
	}
	leg.net.send(leg.request(sip.BYE), leg.from, func(res *sip.Response, err error) {
		if done != nil {
			done(statusOf(res), err)
		}
	})
	leg.finish(why, 0)
}

// reoffer sends a re-INVITE with our direction; done, if any, gets the caller's answer.
func (leg *Leg) reoffer(direction string, done func(int, error)) {
	if done == nil {
		done = func(int, error) {}
	}
	if leg.over() || leg.call.State != StateConfirmed || leg.pending != nil {
		done(0, errNoCall)
		return
	}
	offer := leg.local
	offer.version++
	offer.direction, offer.streams = direction, nil
	req := leg.request(sip.INVITE)
	setSDP(req, offer.write())
	leg.pending = leg.net.send(req, leg.from, func(res *sip.Response, err error) {
		leg.pending = nil
		if err == nil && res.IsSuccess() && !leg.over() {
			leg.local, leg.direction = offer, direction
			leg.accepted(res)
		}
		done(statusOf(res), err)
	})
}

// accepted lets the sound follow the answer to our offer.
func (leg *Leg) accepted(res *sip.Response) {
	if contact := res.Contact(); contact != nil {
		leg.target = contact.Address
	}
	r, err := readSDP(res.Body(), leg.net.cfg.Codecs)
	if err != nil {
		leg.log.Warn("answer to our offer is unusable", "error", err)
		return
	}
	leg.adopt(r)
	leg.listen()
}

func statusOf(res *sip.Response) int {
	if res == nil {
		return 0
	}
	return res.StatusCode
}
