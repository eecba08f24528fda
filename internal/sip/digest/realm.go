package digest

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// maxRealms bounds the realms learned from a registrar.
const maxRealms = 8

// allows tells whether a challenge to a request of this method may be answered
// for the realm. An INVITE travels on to strangers: a callee behind the provider
// may challenge it too, and credentials given to him can be attacked offline.
func (c *Client) allows(method sip.RequestMethod, realm string) bool {
	if len(c.creds.Realms) > 0 {
		return slices.ContainsFunc(c.creds.Realms, func(own string) bool { return strings.EqualFold(own, realm) })
	}
	if method == sip.REGISTER {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.realms) == 0 || slices.ContainsFunc(c.realms, func(own string) bool { return related(own, realm) })
}

// related tells whether two realms are the same or one is a domain inside the
// other: 1und1.de and sip.1und1.de are one provider.
func related(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if a == b {
		return true
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	// A realm of one label ("de", "com", "asterisk") is no one's parent domain.
	return strings.Contains(b, ".") && strings.HasSuffix(a, "."+b)
}

// learn remembers a realm of the registrar; the caller holds the lock.
func (c *Client) learn(realm string) {
	if slices.Contains(c.realms, realm) {
		return
	}
	if len(c.realms) == maxRealms {
		c.realms = slices.Delete(c.realms, 0, 1)
	}
	c.realms = append(c.realms, realm)
}

// known lists the realms that are the account's own, for messages.
func (c *Client) known() []string {
	if len(c.creds.Realms) > 0 {
		return c.creds.Realms
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.realms)
}
