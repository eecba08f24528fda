package transaction

import (
	"github.com/emiago/sipgo/sip"
)

// Cancel asks the peer to stop an INVITE that has no final answer yet. "If no
// provisional response has been received, the CANCEL request MUST NOT be sent;
// rather, the client MUST wait for the arrival of a provisional response"
// (RFC 3261 section 9.1). The answer to the INVITE still comes, as 487 or, when
// it crossed the CANCEL, as 2xx; if none comes within 64*T1, ErrTimeout does.
// Headers such as Reason are added to the CANCEL. On the loop only; calling it
// again does nothing.
func (c *Client) Cancel(headers ...sip.Header) {
	if !c.invite || c.cancelled || (c.state != calling && c.state != proceeding) {
		return
	}
	c.cancelled, c.cancel = true, headers
	if c.state == proceeding {
		c.sendCancel()
	}
}

func (c *Client) sendCancel() {
	if c.sentStop {
		return
	}
	c.sentStop = true
	req := cancelFor(c.req)
	for _, h := range c.cancel {
		req.AppendHeader(h)
	}
	if c.state != terminated {
		c.deadline()
		c.deadline = c.layer.After(64*c.layer.cfg.T1, c.timeout)
	}
	// What the peer says to the CANCEL itself does not matter: the answer to
	// the INVITE decides.
	c.layer.Request(req, c.to, func(Result) {})
}

// cancelFor builds the CANCEL: "The Request-URI, Call-ID, To, the numeric part
// of CSeq, and From header fields in the CANCEL request MUST be identical to
// those in the request being cancelled. [...] MUST have a single Via header
// field value matching the top Via value in the request being cancelled. [...]
// If the request being cancelled contains a Route header field, the CANCEL
// request MUST include that Route header field's values" (RFC 3261 section
// 9.1).
func cancelFor(invite *sip.Request) *sip.Request {
	return derive(invite, sip.CANCEL, invite.To())
}

// ackFor builds the ACK of a failure, which belongs to the transaction of the
// INVITE (RFC 3261 section 17.1.1.3).
func ackFor(invite *sip.Request, res *sip.Response) *sip.Request {
	return derive(invite, sip.ACK, res.To())
}

func derive(invite *sip.Request, method sip.RequestMethod, to *sip.ToHeader) *sip.Request {
	req := sip.NewRequest(method, *invite.Recipient.Clone())
	req.AppendHeader(sip.HeaderClone(invite.Via()))
	sip.CopyHeaders("Route", invite, req)
	forwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&forwards)
	req.AppendHeader(sip.HeaderClone(invite.From()))
	req.AppendHeader(sip.HeaderClone(to))
	req.AppendHeader(sip.HeaderClone(invite.CallID()))
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	req.SetBody(nil)
	return req
}
