package phonenet

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

// maxBindings is how many contacts one user may have.
const maxBindings = 10

// Registration is one contact under which a user can be reached.
type Registration struct {
	User      string
	Contact   string         // the URI as registered
	Received  netip.AddrPort // where the REGISTER really came from
	Network   string         // udp, tcp or tls
	Expires   time.Time      // end of the lease
	Lease     time.Duration  // as granted last
	Since     time.Time      // first REGISTER of this contact
	Refreshes int            // REGISTERs that renewed it
	CallID    string
	CSeq      uint32
	UserAgent string
}

// binding is a Registration on the loop, with its timer.
type binding struct {
	Registration

	uri  sip.Uri
	from flow
	stop func()
}

// register answers a REGISTER (RFC 3261 10.3).
func (n *Net) register(tx *serverTx) {
	if tx.req.Recipient.User != "" { // a FRITZ!Box drops such a request without a word; we say why
		tx.reply(sip.StatusBadRequest)
		return
	}
	user, ok := n.authorize(tx, registrarDoor())
	if !ok {
		return
	}
	if n.behaviour.RegisterStatus != 0 {
		tx.reply(n.behaviour.RegisterStatus, n.retryAfter()...)
		return
	}
	aor := tx.req.To().Address.User
	if aor != user && n.cfg.Aliases[aor] != user {
		tx.reply(sip.StatusForbidden)
		return
	}
	for _, h := range tx.req.GetHeaders("contact") {
		contact, ok := h.(*sip.ContactHeader)
		if !ok {
			tx.reply(sip.StatusBadRequest)
			return
		}
		if code, headers := n.bind(tx, aor, contact); code != 0 {
			tx.reply(code, headers...)
			return
		}
	}
	n.replyBindings(tx, aor)
}

// retryAfter is the header of that name when the behaviour wants it.
func (n *Net) retryAfter() []sip.Header {
	if n.behaviour.RetryAfter <= 0 {
		return nil
	}
	return []sip.Header{sip.NewHeader("Retry-After", seconds(n.behaviour.RetryAfter))}
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// bind adds, renews or removes one contact. The code is 0 when all went well.
func (n *Net) bind(tx *serverTx, user string, contact *sip.ContactHeader) (code int, headers []sip.Header) {
	lease := n.lease(tx.req, contact)
	callID, cseq := tx.req.CallID().Value(), tx.req.CSeq().SeqNo
	if contact.Address.Wildcard {
		if lease != 0 {
			return sip.StatusBadRequest, nil
		}
		for _, b := range slices.Clone(n.bindings[user]) {
			n.unbind(b)
		}
		return 0, nil
	}
	if lease > 0 && lease < n.cfg.MinExpires {
		return sip.StatusIntervalToBrief, []sip.Header{sip.NewHeader("Min-Expires", seconds(n.cfg.MinExpires))}
	}
	uri := contact.Address.String()
	i := slices.IndexFunc(n.bindings[user], func(b *binding) bool { return b.Contact == uri })
	if i >= 0 && n.bindings[user][i].CallID == callID && cseq <= n.bindings[user][i].CSeq {
		return sip.StatusInternalServerError, nil // RFC 3261 10.3 step 7: out of order
	}
	switch {
	case lease == 0 && i >= 0:
		n.unbind(n.bindings[user][i])
	case lease == 0:
	case i >= 0:
		n.renew(n.bindings[user][i], tx, lease)
	default:
		if len(n.bindings[user]) == maxBindings {
			n.unbind(n.bindings[user][0])
		}
		b := &binding{uri: *contact.Address.Clone(), stop: func() {}}
		b.User, b.Contact, b.Since = user, uri, time.Now()
		n.bindings[user] = append(n.bindings[user], b)
		n.renew(b, tx, lease)
		n.log.Info("registered", "user", user, "contact", uri, "lease", lease)
	}
	return 0, nil
}

// lease is the time asked for (RFC 3261 10.2.1.1), within our limits.
func (n *Net) lease(req *sip.Request, contact *sip.ContactHeader) time.Duration {
	text, ok := contact.Params.Get("expires")
	if !ok {
		if h := req.GetHeader("expires"); h != nil {
			text, ok = h.Value(), true
		}
	}
	asked, err := strconv.ParseUint(text, 10, 31)
	if !ok || err != nil {
		asked = 3600
	}
	lease := time.Duration(asked) * time.Second
	if lease > 0 && n.behaviour.GrantExpires > 0 {
		return n.behaviour.GrantExpires
	}
	return min(lease, n.cfg.MaxExpires)
}

func (n *Net) renew(b *binding, tx *serverTx, lease time.Duration) {
	if !b.Expires.IsZero() {
		b.Refreshes++
	}
	b.from, b.Received, b.Network = tx.from, tx.from.remote, tx.from.network
	b.Lease, b.Expires = lease, time.Now().Add(lease)
	b.CallID, b.CSeq = tx.req.CallID().Value(), tx.req.CSeq().SeqNo
	if h := tx.req.GetHeader("user-agent"); h != nil {
		b.UserAgent = h.Value()
	}
	b.stop()
	b.stop = n.timer(lease, func() {
		n.log.Info("registration expired", "user", b.User, "contact", b.Contact)
		n.unbind(b)
	})
}

func (n *Net) unbind(b *binding) {
	b.stop()
	list := slices.DeleteFunc(n.bindings[b.User], func(o *binding) bool { return o == b })
	if len(list) == 0 {
		delete(n.bindings, b.User)
		return
	}
	n.bindings[b.User] = list
}

// replyBindings lists all contacts of the user (RFC 3261 10.3 step 8).
func (n *Net) replyBindings(tx *serverTx, user string) {
	res := n.respond(tx.req, tx.from, sip.StatusOK, token())
	add := func(uri sip.Uri, lease time.Duration) {
		h := &sip.ContactHeader{Address: uri, Params: sip.NewParams()}
		h.Params.Add("expires", seconds(lease))
		res.AppendHeader(h)
	}
	if n.behaviour.ForgetContact {
		add(sip.Uri{Scheme: "sip", User: user, Host: "192.0.2.1", Port: 5060}, time.Hour)
	} else {
		for _, b := range n.bindings[user] {
			add(*b.uri.Clone(), max(time.Second, time.Until(b.Expires)))
		}
	}
	tx.send(res)
}
