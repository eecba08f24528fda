package digest

import (
	"crypto/md5" //nolint:gosec // RFC 3261 section 22.4 makes MD5 the algorithm that every peer knows.
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// algorithm is one of the hash algorithms of RFC 7616 section 6.1.
type algorithm uint8

const (
	algMD5 algorithm = iota
	algMD5Sess
	algSHA256
	algSHA256Sess
	algSHA512
	algSHA512Sess
)

// algorithmNames are the tokens on the wire in the order of the constants.
func algorithmNames() [6]string {
	return [...]string{"MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"}
}

func (a algorithm) String() string { return algorithmNames()[a] }

// parseAlgorithm reads the algorithm parameter; none means MD5 (RFC 7616 section 3.3).
func parseAlgorithm(s string) (algorithm, bool) {
	if s == "" {
		return algMD5, true
	}
	for i, name := range algorithmNames() {
		if strings.EqualFold(name, s) {
			return algorithm(i), true
		}
	}
	return 0, false
}

// strength groups the algorithms: within a group the order of the server counts.
func (a algorithm) strength() int {
	if a >= algSHA256 {
		return 1
	}
	return 0
}

func (a algorithm) sess() bool {
	return a == algMD5Sess || a == algSHA256Sess || a == algSHA512Sess
}

// hash is H() of RFC 7616 section 3.4: the parts joined by colons, in lower case hex.
func (a algorithm) hash(parts ...string) string {
	data := []byte(strings.Join(parts, ":"))
	switch a {
	case algSHA256, algSHA256Sess:
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:])
	case algSHA512, algSHA512Sess:
		sum := sha512.Sum512_256(data)
		return hex.EncodeToString(sum[:])
	default:
		sum := md5.Sum(data) //nolint:gosec // See the import.
		return hex.EncodeToString(sum[:])
	}
}

// remember returns the state of a nonce, new or known; the caller holds the lock.
func (c *Client) remember(ch challenge, alg algorithm, proxy bool) *nonce {
	for _, n := range c.nonces {
		if n.challenge.get("nonce") == ch.get("nonce") && n.challenge.get("realm") == ch.get("realm") && n.algorithm == alg && n.proxy == proxy {
			n.challenge = ch
			return n
		}
	}
	if len(c.nonces) == maxNonces {
		c.nonces = append(c.nonces[:0], c.nonces[1:]...)
	}
	n := &nonce{challenge: ch, algorithm: alg, proxy: proxy, cnonce: c.cnonce()}
	c.nonces = append(c.nonces, n)
	return n
}

// response computes the answer to a nonce (RFC 7616 section 3.4.1).
func (n *nonce) response(creds Credentials, method, uri string) string {
	ch, alg := n.challenge, n.algorithm
	// RFC 7616 section 3.4.2: A1 = unq(username) ":" unq(realm) ":" passwd, and
	// for -sess A1 = H(that) ":" unq(nonce) ":" unq(cnonce).
	ha1 := alg.hash(creds.Username, ch.get("realm"), creds.Password)
	if alg.sess() {
		ha1 = alg.hash(ha1, ch.get("nonce"), n.cnonce)
	}
	ha2 := alg.hash(method, uri)
	if auth, _ := ch.offersAuth(); auth {
		return alg.hash(ha1, ch.get("nonce"), n.count(), n.cnonce, "auth", ha2)
	}
	return alg.hash(ha1, ch.get("nonce"), ha2) // RFC 2069 section 2.1.2
}

// count is the nonce count as it is written, eight hexadecimal digits.
func (n *nonce) count() string { return fmt.Sprintf("%08x", n.uses) }

// credentials writes the header for one request; the caller holds the lock.
func (c *Client) credentials(n *nonce, req *sip.Request) sip.Header {
	n.uses++
	ch := n.challenge
	uri := req.Recipient.String()
	auth, _ := ch.offersAuth()

	var b strings.Builder
	fmt.Fprintf(&b, `Digest username=%s, realm="%s", nonce="%s", uri=%s, response="%s"`,
		quote(c.creds.Username), ch.raw("realm"), ch.raw("nonce"), quote(uri), n.response(c.creds, req.Method.String(), uri))
	if ch.has("algorithm") {
		fmt.Fprintf(&b, ", algorithm=%s", ch.get("algorithm"))
	}
	// RFC 3261 section 25.1: qop and nc are written without quotes in credentials.
	if auth {
		fmt.Fprintf(&b, `, qop=auth, nc=%s`, n.count())
	}
	if auth || n.algorithm.sess() {
		fmt.Fprintf(&b, `, cnonce=%s`, quote(n.cnonce))
	}
	if ch.has("opaque") {
		fmt.Fprintf(&b, `, opaque="%s"`, ch.raw("opaque"))
	}
	name := "Authorization"
	if n.proxy {
		name = "Proxy-Authorization"
	}
	return sip.NewHeader(name, b.String())
}
