package dialog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

// errIncoming: whoever calls us could hang up on us with a challenge and take our
// answer home to guess the password from it (the "digest leak").
var errIncoming = errors.New("challenge within an incoming call: not answered")

var errUntrusted = errors.New("challenge does not come from the provider: not answered")

func challenge(res *sip.Response) bool {
	return res.StatusCode == sip.StatusUnauthorized || res.StatusCode == sip.StatusProxyAuthRequired
}

// authorize answers a challenge to the INVITE.
func (d *Dialog) authorize(req *sip.Request, res *sip.Response) (*sip.Request, error) {
	return d.authorizeAt(req, res, d.path.Target)
}

// authorizeAt answers the challenge of a target, if it is one that may see our
// credentials: within a call the peer could lead us to anybody.
func (d *Dialog) authorizeAt(req *sip.Request, res *sip.Response, at transport.Target) (*sip.Request, error) {
	if d.incoming {
		return nil, errIncoming
	}
	if at.Addr.Addr() != d.path.Target.Addr.Addr() && !d.ua.cfg.Trusted(at.Addr.Addr()) {
		return nil, errUntrusted
	}
	if !d.known(res) {
		return nil, errEarly
	}
	h, err := d.ua.cfg.Digest.Answer(req, res)
	if err != nil {
		return nil, fmt.Errorf("answer challenge: %w", err)
	}
	next := repeat(req)
	replaceCredentials(next, h)
	return next, nil
}

// replaceCredentials puts a header in the place of the older one for the same
// realm; those for other realms stay: there may be two proxies on the way.
func replaceCredentials(req *sip.Request, h sip.Header) {
	var keep []sip.Header
	for _, old := range req.GetHeaders(h.Name()) {
		if realm(old.Value()) != realm(h.Value()) {
			keep = append(keep, old)
		}
	}
	for req.RemoveHeader(h.Name()) {
	}
	for _, old := range keep {
		req.AppendHeader(old)
	}
	req.AppendHeader(h)
}

// realm returns the realm of credentials that we wrote ourselves.
func realm(value string) string {
	_, after, _ := strings.Cut(value, `realm="`)
	text, _, _ := strings.Cut(after, `", `)
	return text
}
