package phonenet

import (
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

// maxTransactions bounds the memory a flood of requests can take; above it
// requests are dropped, and a serious client repeats them.
const maxTransactions = 4096

// t2 is the longest interval between two retransmissions (RFC 3261 17.1.2.1).
const t2 = 4 * time.Second

// serverTx is one transaction that a peer began. It answers retransmissions
// from memory (RFC 3261 17.2) and lives on the loop.
type serverTx struct {
	net     *Net
	key     string
	req     *sip.Request
	from    flow
	leg     *Leg   // the call an INVITE belongs to, if any
	code    int    // of the last answer
	last    []byte // the last answer
	acked   bool
	stopped bool
	again   func() // stops the retransmission timer
	expiry  func() // stops the end of the transaction
}

// serverKey identifies a transaction (RFC 3261 17.2.3). Call-ID and CSeq are
// part of it for the sake of peers whose branch is not unique.
func serverKey(req *sip.Request, method sip.RequestMethod) string {
	via := req.Via()
	branch, _ := via.Params.Get("branch")
	return string(method) + "|" + branch + "|" + via.SentBy() + "|" + req.CallID().Value() + "|" + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10)
}

// request sorts a request: a retransmission, an ACK, or something new.
func (n *Net) request(req *sip.Request, from flow) {
	if req.Method == sip.ACK {
		n.ack(req, from)
		return
	}
	key := serverKey(req, req.Method)
	if tx := n.servers[key]; tx != nil {
		n.counters.Retransmits++
		if tx.leg != nil {
			tx.leg.seen.Retransmits++
		}
		tx.repeat()
		return
	}
	if len(n.servers) >= maxTransactions {
		n.counters.Shed++
		return
	}
	tx := &serverTx{net: n, key: key, req: req, from: from}
	n.servers[key] = tx
	n.dispatch(tx)
}

func (n *Net) dispatch(tx *serverTx) {
	switch tx.req.Method {
	case sip.REGISTER:
		n.register(tx)
	case sip.INVITE:
		n.invite(tx)
	case sip.CANCEL:
		n.cancel(tx)
	case sip.BYE:
		n.bye(tx)
	case sip.OPTIONS:
		n.options(tx)
	case sip.UPDATE, sip.INFO:
		n.midCall(tx)
	default:
		tx.reply(sip.StatusMethodNotAllowed)
	}
}

// ack ends the retransmission of a final answer to an INVITE. The ACK of a
// refusal belongs to the transaction, that of a 2xx to the call (RFC 3261 13.3.1.4).
func (n *Net) ack(req *sip.Request, from flow) {
	if tx := n.servers[serverKey(req, sip.INVITE)]; tx != nil && tx.code >= 300 {
		tx.acked = true
		tx.quiet()
		if tx.leg != nil {
			tx.leg.seen.Ack++
		}
		return
	}
	if leg := n.legs[dialogKey(req)]; leg != nil {
		leg.ack(req, from)
		return
	}
	if leg := n.ended(req); leg != nil {
		leg.seen.Ack++
		return
	}
	n.counters.Strays++
}

// reply answers with a status and nothing else.
func (tx *serverTx) reply(code int, headers ...sip.Header) {
	res := tx.net.respond(tx.req, tx.from, code, token())
	for _, h := range headers {
		res.AppendHeader(h)
	}
	tx.send(res)
}

// send answers. A final answer starts the end of the transaction; a refusal of
// an INVITE is repeated until its ACK comes (timer G, RFC 3261 17.2.1).
func (tx *serverTx) send(res *sip.Response) {
	tx.code, tx.last = res.StatusCode, []byte(res.String())
	tx.repeat()
	if res.StatusCode < 200 {
		return
	}
	if tx.expiry == nil {
		tx.expiry = tx.net.timer(64*tx.net.cfg.T1, tx.end)
	}
	if tx.req.Method == sip.INVITE && res.StatusCode >= 300 && tx.from.network == "udp" {
		tx.persist(tx.net.cfg.T1)
	}
}

// repeat sends the last answer once more.
func (tx *serverTx) repeat() {
	if tx.last == nil {
		return
	}
	if err := tx.net.transmit(tx.from, tx.last); err != nil {
		tx.net.log.Debug("answer not sent", "remote", tx.from.remote.String(), "error", err)
	}
}

// persist repeats the last answer until it is acknowledged.
func (tx *serverTx) persist(wait time.Duration) {
	tx.again = tx.net.timer(wait, func() {
		if tx.acked || tx.stopped {
			return
		}
		tx.repeat()
		tx.persist(min(2*wait, t2))
	})
}

// quiet ends the retransmissions.
func (tx *serverTx) quiet() {
	if tx.again != nil {
		tx.again()
	}
}

func (tx *serverTx) stop() {
	tx.stopped = true
	tx.quiet()
	if tx.expiry != nil {
		tx.expiry()
	}
}

func (tx *serverTx) end() {
	tx.stop()
	delete(tx.net.servers, tx.key)
}
