package phonenet

import (
	"time"

	"github.com/emiago/sipgo/sip"
)

// door is the pair of headers that a registrar or a proxy asks with (RFC 3261 22).
type door struct {
	code             int
	challenge, reply string
}

func registrarDoor() door {
	return door{sip.StatusUnauthorized, "WWW-Authenticate", "Authorization"}
}

func proxyDoor() door {
	return door{sip.StatusProxyAuthRequired, "Proxy-Authenticate", "Proxy-Authorization"}
}

// authorize lets a request in and names its user, or answers it with a challenge or a refusal.
func (n *Net) authorize(tx *serverTx, d door) (user string, ok bool) {
	best, cred := absent, credentials(nil)
	for _, h := range tx.req.GetHeaders(d.reply) {
		v, c := n.guard.check(h.Value(), string(tx.req.Method), n.password, time.Now())
		if v != absent {
			best, cred = v, c
			break
		}
	}
	if best == valid && cred["uri"] != tx.req.Recipient.String() {
		n.counters.DigestURIMismatches++
		if n.behaviour.StrictDigestURI {
			best = forgery
		}
	}
	switch best {
	case valid:
		return cred["username"], true
	case forgery:
		tx.reply(sip.StatusBadRequest)
		return "", false
	case wrong:
		n.counters.WrongPasswords++
		if n.behaviour.WrongPassword != 0 {
			tx.reply(n.behaviour.WrongPassword)
			return "", false
		}
	case stale:
		n.counters.StaleNonces++
	case absent:
	}
	n.challenge(tx, d, best == stale)
	return "", false
}

func (n *Net) challenge(tx *serverTx, d door, old bool) {
	n.counters.Challenges++
	var headers []sip.Header
	for _, value := range n.guard.challenge(time.Now(), old, !n.behaviour.NoQop) {
		headers = append(headers, sip.NewHeader(d.challenge, value))
	}
	tx.reply(d.code, headers...)
}

func (n *Net) password(user string) (string, bool) {
	p, ok := n.cfg.Users[user]
	return p, ok
}
