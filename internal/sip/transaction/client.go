package transaction

import (
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

// A Result is what a client transaction tells: an answer, or why there is none.
// After an Err nothing follows; after a final answer only further 2xx of an
// INVITE do.
type Result struct {
	Response *sip.Response
	// Err is ErrTimeout, ErrTransport, ErrTooMany or ErrInternal.
	Err error
}

// state of a transaction (RFC 3261 figures 5 to 8, RFC 6026 section 8.4 and 8.5).
type state uint8

const (
	calling    state = iota // no answer yet; "trying" in some of the figures
	proceeding              // a provisional answer
	completed               // a final answer
	confirmed               // a failed INVITE that was acknowledged; server only
	accepted                // a 2xx of an INVITE
	terminated
)

// Client is a client transaction. Its methods are called on the loop only.
type Client struct {
	layer  *Layer
	req    *sip.Request
	to     transport.Target
	msg    []byte
	key    string
	invite bool
	on     func(Result)

	state     state
	interval  time.Duration // of the next retransmission
	resend    func()        // stops timer A or E
	deadline  func()        // stops timer B, F, D, K or M
	ack       []byte        // of a final answer that is no 2xx
	cancel    []sip.Header
	cancelled bool // Cancel was called
	sentStop  bool // the CANCEL is out
}

// Request starts a transaction and sends the request; on is called on the loop,
// never from within Request. The request gets a top Via with a new branch, a
// Max-Forwards and a Content-Length unless it has them, and belongs to the
// transaction from now on. On the loop only.
func (l *Layer) Request(req *sip.Request, to transport.Target, on func(Result)) *Client {
	l.complete(req, to)
	c := &Client{
		layer:    l,
		req:      req,
		to:       to,
		key:      clientKey(req.Via(), req.Method),
		invite:   req.Method == sip.INVITE,
		on:       on,
		interval: l.cfg.T1,
		resend:   func() {},
		deadline: func() {},
	}
	err := error(nil)
	if len(l.clients) >= l.cfg.MaxTransactions {
		err = fmt.Errorf("%s: %w", req.Method, ErrTooMany)
	} else if l.clients[c.key] != nil {
		err = fmt.Errorf("%s: %w: branch is in use", req.Method, ErrInternal)
	}
	if err != nil {
		c.state = terminated
		l.Do(func() { on(Result{Err: err}) })
		return c
	}
	c.msg = []byte(req.String())
	l.clients[c.key] = c
	l.cfg.Transport.Send(to, c.msg)
	if !to.Reliable() {
		c.resend = l.After(c.interval, c.retransmit)
	}
	// Timers B and F.
	c.deadline = l.After(64*l.cfg.T1, c.timeout)
	return c
}

// Send sends a request without a transaction: the ACK of a 2xx. Sending the
// same request again sends the same bytes. On the loop only.
func (l *Layer) Send(req *sip.Request, to transport.Target) {
	l.complete(req, to)
	l.cfg.Transport.Send(to, []byte(req.String()))
}

// complete adds the headers that every request needs.
func (l *Layer) complete(req *sip.Request, to transport.Target) {
	if req.Via() == nil {
		local := l.cfg.Transport.Local(to)
		via := &sip.ViaHeader{
			ProtocolName:    "SIP",
			ProtocolVersion: "2.0",
			Transport:       strings.ToUpper(to.Network),
			Host:            local.Addr().String(),
			Port:            int(local.Port()),
			Params:          sip.NewParams(),
		}
		via.Params.Add("branch", NewBranch())
		via.Params.Add("rport", "") // RFC 3581
		req.PrependHeader(via)
	}
	if req.MaxForwards() == nil {
		h := sip.MaxForwardsHeader(70)
		req.AppendHeader(&h)
	}
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
}

// Request returns the request of the transaction; it must not be changed.
func (c *Client) Request() *sip.Request { return c.req }

// Target returns where the request went.
func (c *Client) Target() transport.Target { return c.to }

// retransmit is timer A and timer E: "doubling the interval", for methods other
// than INVITE up to T2 (RFC 3261 sections 17.1.1.2 and 17.1.2.2).
func (c *Client) retransmit() {
	if c.state != calling && (c.invite || c.state != proceeding) {
		return
	}
	c.layer.current = c.drop
	c.layer.cfg.Transport.Send(c.to, c.msg)
	c.interval *= 2
	if !c.invite {
		c.interval = min(c.interval, c.layer.cfg.T2)
		if c.state == proceeding {
			c.interval = c.layer.cfg.T2
		}
	}
	c.resend = c.layer.After(c.interval, c.retransmit)
}

// timeout is timer B, timer F, and the end of waiting after a CANCEL.
func (c *Client) timeout() {
	c.layer.current = c.drop
	c.finish(fmt.Errorf("%s: %w", c.req.Method, ErrTimeout))
}

// fail ends a transaction that waits for an answer.
func (c *Client) fail(err error) {
	if c.state == calling || c.state == proceeding {
		c.layer.current = c.drop
		c.finish(fmt.Errorf("%s: %w", c.req.Method, err))
	}
}

// Abandon ends the wait for an answer: nothing is sent any more, and on is not
// called again. For requests other than INVITE, which would ring on.
func (c *Client) Abandon() {
	if !c.invite && c.state != terminated {
		c.terminate()
	}
}

func (c *Client) finish(err error) {
	c.terminate()
	c.on(Result{Err: err})
}

func (c *Client) terminate() {
	c.state = terminated
	c.resend()
	c.deadline()
	delete(c.layer.clients, c.key)
}

// drop ends a transaction whose handling panicked.
func (c *Client) drop() {
	if c.state != terminated {
		waiting := c.state == calling || c.state == proceeding
		c.terminate()
		if waiting {
			c.on(Result{Err: fmt.Errorf("%s: %w", c.req.Method, ErrInternal)})
		}
	}
}

// response brings an answer to its transaction.
func (l *Layer) response(res *sip.Response, from transport.Target) {
	// "If there is more than one Via header field value in a response, the
	// UAC SHOULD discard the message" (RFC 3261 section 8.1.3.3).
	if len(res.GetHeaders("Via")) != 1 {
		l.count.stray.Add(1)
		return
	}
	c := l.clients[clientKey(res.Via(), res.CSeq().MethodName)]
	switch {
	case c == nil:
		l.stray(res, from)
	case c.to.Network != from.Network || c.to.Addr.Addr().Unmap() != from.Addr.Addr(), !c.fits(res):
		l.count.stray.Add(1)
	default:
		l.current = c.drop
		c.receive(res)
	}
}

// fits reports whether an answer names the dialog and number of the request: a
// branch alone can be copied by a confused peer.
func (c *Client) fits(res *sip.Response) bool {
	return res.CSeq().SeqNo == c.req.CSeq().SeqNo &&
		res.CallID().Value() == c.req.CallID().Value() &&
		tagOf(res.From().Params) == tagOf(c.req.From().Params)
}

func (l *Layer) stray(res *sip.Response, from transport.Target) {
	l.count.stray.Add(1)
	if l.cfg.Stray != nil && res.CSeq().MethodName == sip.INVITE && res.IsSuccess() {
		l.cfg.Stray(res, from)
	}
}

// receive is the state machine.
func (c *Client) receive(res *sip.Response) {
	switch {
	case c.state == terminated:
	case res.IsProvisional():
		c.provisional(res)
	case c.invite && res.IsSuccess():
		c.success(res)
	case c.invite:
		c.failure(res)
	case c.state == calling || c.state == proceeding:
		c.resend()
		c.linger(completed, c.layer.cfg.T4) // timer K
		c.on(Result{Response: res})
	}
}

func (c *Client) provisional(res *sip.Response) {
	if c.state != calling && c.state != proceeding {
		return
	}
	if c.invite && c.state == calling {
		// The peer has it: no timer A, and no timer B either; how long it may
		// ring is for the dialog to decide.
		c.resend()
		c.deadline()
	}
	c.state = proceeding
	if c.cancelled {
		c.sendCancel()
	}
	c.on(Result{Response: res})
}

// success is a 2xx of an INVITE: the transaction stays for the answers of other
// branches (RFC 6026 section 8.4, timer M).
func (c *Client) success(res *sip.Response) {
	switch c.state {
	case calling, proceeding:
		c.resend()
		c.linger(accepted, 64*c.layer.cfg.T1)
	case accepted:
	default:
		// A 2xx after a failure can only come from a broken proxy, but it
		// is a call that somebody has answered.
		c.layer.stray(res, c.to)
		return
	}
	c.on(Result{Response: res})
}

// failure is a final answer to an INVITE that is no 2xx: acknowledged here, and
// again for each retransmission (RFC 3261 section 17.1.1.2, timer D).
func (c *Client) failure(res *sip.Response) {
	switch c.state {
	case calling, proceeding:
		c.ack = []byte(ackFor(c.req, res).String())
		c.layer.cfg.Transport.Send(c.to, c.ack)
		c.resend()
		c.linger(completed, 32*time.Second)
		c.on(Result{Response: res})
	case completed:
		c.layer.cfg.Transport.Send(c.to, c.ack)
	default: // after a 2xx there is nothing to acknowledge any more
	}
}

// linger waits for stragglers; on a reliable network there are none, except
// 2xx of other branches.
func (c *Client) linger(next state, d time.Duration) {
	c.deadline()
	c.state = next
	if next == completed && c.to.Reliable() {
		c.terminate()
		return
	}
	c.deadline = c.layer.After(d, c.terminate)
}
