// Package digest chooses among the challenges of a registrar or proxy and answers the best one.
//
// It implements the client side of RFC 7616 as profiled for SIP by RFC 8760:
// MD5, SHA-256 and SHA-512-256 with their -sess variants, quality of protection
// "auth", and the older form without quality (RFC 2069). Nothing here reads a
// clock or a socket; a Client is safe for concurrent use.
package digest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emiago/sipgo/sip"
)

var (
	// ErrRejected says that the credentials in the request were refused: user name or password is wrong.
	ErrRejected = errors.New("credentials rejected")
	// ErrNoChallenge says that a 401 or 407 carried no challenge that can be answered.
	ErrNoChallenge = errors.New("no usable challenge")
	// ErrRealm says that every challenge came from a realm that is not the account's own;
	// answering it would hand a foreign party material to guess the password from.
	ErrRealm = errors.New("challenge from a foreign realm")
	// ErrDowngrade says that the peer asked for a weaker algorithm than it asked for before.
	ErrDowngrade = errors.New("challenge downgrades the algorithm")
)

// maxNonces bounds what is remembered of nonces; the oldest goes first.
const maxNonces = 32

// Credentials are what the account proves itself with.
type Credentials struct {
	// Username is the digest user name, often but not always the SIP user.
	Username string
	// Password is the shared secret; it may be empty (some access lines want that).
	Password string
	// Realms are the realms that may be answered, compared without case. Empty
	// means: whatever realm the registrar uses, and for requests other than
	// REGISTER only that realm or a parent or child domain of it, once it is known.
	Realms []string
}

// Client answers challenges for one account and counts the use of each nonce.
type Client struct {
	creds  Credentials
	cnonce func() string

	mu     sync.Mutex // guards the two below
	nonces []*nonce   // in order of arrival
	last   map[sip.RequestMethod]*nonce
	realms []string // learned from answered challenges to REGISTER
}

// nonce is what is known of one server nonce.
type nonce struct {
	challenge challenge
	algorithm algorithm
	proxy     bool   // came in Proxy-Authenticate
	cnonce    string // one for the life of the nonce: the -sess key depends on it
	uses      uint32 // nc of the last request
}

// New returns a client for the credentials.
func New(c Credentials) *Client {
	c.Realms = slices.Clone(c.Realms)
	return &Client{creds: c, cnonce: newCnonce, last: map[sip.RequestMethod]*nonce{}}
}

func newCnonce() string {
	var b [16]byte
	// crypto/rand.Read never fails since Go 1.24: it ends the program instead.
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Answer picks the best challenge of a 401 or 407 and returns the Authorization
// or Proxy-Authorization header for the next try of the request. req must be the
// request that was refused, with the credentials it carried, and its Request-URI
// must stay as it is: the header is bound to it, parameters included.
//
// It returns [ErrRejected] when req carried fresh credentials for the same realm
// and the server does not call its nonce stale; credentials written by
// [Client.Again] with an older nonce may be refused once without that verdict.
func (c *Client) Answer(req *sip.Request, res *sip.Response) (sip.Header, error) {
	ch, alg, err := c.choose(req, res)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.remember(ch, alg, res.StatusCode == sip.StatusProxyAuthRequired)
	c.last[req.Method] = n
	if req.Method == sip.REGISTER {
		c.learn(ch.get("realm"))
	}
	return c.credentials(n, req), nil
}

// Again returns credentials for one more request of the same method with the
// nonce that was answered last, counted up, so that a server which still accepts
// it need not ask. It reports false when there is none or when the nonce came
// without quality of protection, where a reuse cannot be told from a replay.
func (c *Client) Again(req *sip.Request) (sip.Header, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.last[req.Method]
	if n == nil {
		return nil, false
	}
	if auth, _ := n.challenge.offersAuth(); !auth {
		return nil, false
	}
	return c.credentials(n, req), true
}

// Apply puts credentials into a request in place of older ones of the same name.
func Apply(req *sip.Request, h sip.Header) {
	for req.RemoveHeader(h.Name()) {
	}
	req.AppendHeader(h)
}

// choose returns the best challenge of a response and its algorithm.
func (c *Client) choose(req *sip.Request, res *sip.Response) (challenge, algorithm, error) {
	name, answer, err := headerNames(res.StatusCode)
	if err != nil {
		return challenge{}, 0, err
	}
	offers, skipped := c.offers(req, res.GetHeaders(name))
	if len(offers) == 0 {
		if slices.ContainsFunc(skipped, func(err error) bool { return errors.Is(err, ErrRealm) }) {
			return challenge{}, 0, errors.Join(skipped...)
		}
		return challenge{}, 0, fmt.Errorf("%w in %d %s: %w", ErrNoChallenge, res.StatusCode, name, errors.Join(skipped...))
	}
	best := offers[0]
	for _, o := range offers[1:] {
		// RFC 8760 section 2.4: the topmost one that is supported is taken. A
		// stronger family further down wins, so that order cannot be used to weaken.
		if o.alg.strength() > best.alg.strength() {
			best = o
		}
	}
	if err := best.usable(); err != nil {
		return challenge{}, 0, err
	}
	return best.challenge, best.alg, c.verdict(req, answer, best)
}

// offer is a challenge with an algorithm that we know, from a realm that we may answer.
type offer struct {
	challenge challenge
	alg       algorithm
}

// usable refuses what cannot be answered although the algorithm is known. It is
// asked of the strongest offer only: when that fails, a weaker one is not taken.
func (o offer) usable() error {
	if !o.challenge.has("nonce") || !o.challenge.has("realm") {
		return fmt.Errorf("%w: realm or nonce is missing", ErrNoChallenge)
	}
	if auth, some := o.challenge.offersAuth(); some && !auth {
		return fmt.Errorf("%w: the server insists on qop %q (only auth is supported)", ErrNoChallenge, o.challenge.get("qop"))
	}
	return nil
}

// offers collects what may be answered and why the rest may not.
func (c *Client) offers(req *sip.Request, headers []sip.Header) (offers []offer, skipped []error) {
	for _, h := range headers {
		challenges, err := parse(h.Value())
		if err != nil {
			skipped = append(skipped, err)
			continue
		}
		for _, ch := range challenges {
			alg, known := parseAlgorithm(ch.get("algorithm"))
			switch {
			case !strings.EqualFold(ch.scheme, "Digest"):
				skipped = append(skipped, fmt.Errorf("scheme %s is not supported", clip(ch.scheme)))
			case !known:
				// RFC 8760 section 2.4: what the client does not support is passed over.
				skipped = append(skipped, fmt.Errorf("algorithm %s is not supported", clip(ch.get("algorithm"))))
			case !c.allows(req.Method, ch.get("realm")):
				skipped = append(skipped, fmt.Errorf("%w %q, not answered; the account's own: %s; if it is the provider's, name all of them in SIP_REALMS", ErrRealm, clip(ch.get("realm")), strings.Join(c.known(), ", ")))
			default:
				offers = append(offers, offer{challenge: ch, alg: alg})
			}
		}
	}
	if len(offers) == 0 && len(skipped) == 0 {
		skipped = append(skipped, errors.New("the header is missing"))
	}
	return offers, skipped
}

// verdict compares the challenge with the credentials that the refused request carried.
func (c *Client) verdict(req *sip.Request, header string, best offer) error {
	tried, ok := carried(req, header, best.challenge.get("realm"))
	if !ok {
		return nil
	}
	if alg, known := parseAlgorithm(tried.get("algorithm")); known && alg.strength() > best.alg.strength() {
		return fmt.Errorf("%w from %s to %s", ErrDowngrade, alg, best.alg)
	}
	same := tried.get("nonce") == best.challenge.get("nonce")
	if same {
		// RFC 3261 section 22.2: the same credentials are not tried twice. A
		// stale nonce that is offered again cannot be cured by trying either.
		return fmt.Errorf("%w by realm %q", ErrRejected, best.challenge.get("realm"))
	}
	if best.challenge.stale() {
		return nil
	}
	if nc, err := strconv.ParseUint(tried.get("nc"), 16, 32); err == nil && nc > 1 {
		// An older nonce was used once more and has run out; servers that do
		// not say stale=true exist. The new one decides.
		return nil
	}
	return fmt.Errorf("%w by realm %q", ErrRejected, best.challenge.get("realm"))
}

// carried returns the credentials for a realm in a request.
func carried(req *sip.Request, header, realm string) (challenge, bool) {
	for _, h := range req.GetHeaders(header) {
		all, err := parse(h.Value())
		if err != nil {
			continue
		}
		for _, ch := range all {
			if ch.get("realm") == realm {
				return ch, true
			}
		}
	}
	return challenge{}, false
}

// headerNames returns the header with the challenges and the one for the answer
// (RFC 3261 sections 22.2 and 22.3).
func headerNames(code int) (challenge, answer string, err error) {
	switch code {
	case sip.StatusUnauthorized:
		return "WWW-Authenticate", "Authorization", nil
	case sip.StatusProxyAuthRequired:
		return "Proxy-Authenticate", "Proxy-Authorization", nil
	}
	return "", "", fmt.Errorf("%w: %d is not a request for credentials", ErrNoChallenge, code)
}
