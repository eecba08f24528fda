package transaction

import (
	"fmt"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

// Prepare gives a request the headers that Request would give it, the Via with
// its branch among them, so that it can be written down before it is sent. On
// the loop only.
func (l *Layer) Prepare(req *sip.Request, to transport.Target) { l.complete(req, to) }

// Resume takes up the transaction of an INVITE that an earlier run of the
// program has sent, so that it can be cancelled and its answers find their way.
// Nothing is sent. No answer came yet that is known of, and the INVITE is not
// repeated, which could make a call of it once more: the transaction is in the
// state proceeding, where a CANCEL may be sent at once. The one thing that RFC
// 3261 section 9.1 wants to avoid, a CANCEL that overtakes its INVITE, is ruled
// out by the time between the runs. On the loop only.
func (l *Layer) Resume(invite *sip.Request, to transport.Target, on func(Result)) *Client {
	c := &Client{
		layer:    l,
		req:      invite,
		to:       to,
		key:      clientKey(invite.Via(), invite.Method),
		invite:   true,
		on:       on,
		state:    proceeding,
		resend:   func() {},
		deadline: func() {},
	}
	if l.clients[c.key] != nil {
		c.state = terminated
		l.Do(func() { on(Result{Err: fmt.Errorf("%s: %w: branch is in use", invite.Method, ErrInternal)}) })
		return c
	}
	l.clients[c.key] = c
	return c
}
