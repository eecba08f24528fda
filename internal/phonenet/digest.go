package phonenet

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RFC 3261 22.4 demands MD5; providers use nothing else
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"time"
)

const (
	algorithmMD5    = "MD5"
	algorithmSHA256 = "SHA-256"
)

// maxNonces bounds the nonces whose counters are remembered.
const maxNonces = 4096

// verdict is what the challenger thinks of a request's credentials.
type verdict int

const (
	absent verdict = iota // no credentials for our realm
	valid
	stale   // right password, nonce too old or its count used before
	wrong   // wrong password or unknown user
	forgery // right answer, but for another Request-URI
)

// challenger makes nonces and checks the answers (RFC 7616, RFC 8760). A nonce
// carries its own time and a signature; only its counter is remembered. It
// belongs to the loop and takes the time as an argument.
type challenger struct {
	realm      string
	algorithms []string
	lifetime   time.Duration
	secret     [32]byte
	counts     map[string]uint64 // highest nonce count seen, by nonce
	order      []string          // nonces in counts, oldest first
}

func newChallenger(cfg Config) *challenger {
	c := &challenger{realm: cfg.Realm, lifetime: cfg.NonceLifetime, counts: map[string]uint64{}}
	for name := range strings.SplitSeq(cfg.Algorithm, ",") {
		c.algorithms = append(c.algorithms, strings.TrimSpace(name))
	}
	_, _ = rand.Read(c.secret[:]) // never fails (crypto/rand since Go 1.24)
	return c
}

// challenge returns the values of the challenge headers, one per algorithm.
func (c *challenger) challenge(now time.Time, old, qop bool) []string {
	nonce := c.nonce(now)
	values := make([]string, 0, len(c.algorithms))
	for _, name := range c.algorithms {
		value := `Digest realm="` + c.realm + `", nonce="` + nonce + `", algorithm=` + name
		if qop {
			value += `, qop="auth"`
		}
		if old {
			value += ", stale=true"
		}
		values = append(values, value)
	}
	return values
}

// nonce is the time in nanoseconds, a random salt and the signature of both.
func (c *challenger) nonce(now time.Time) string {
	body := strconv.FormatInt(now.UnixNano(), 16) + "." + token()
	return body + "." + c.sign(body)
}

func (c *challenger) sign(body string) string {
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// fresh reports whether a nonce is ours and young enough.
func (c *challenger) fresh(nonce string, now time.Time) bool {
	cut := strings.LastIndexByte(nonce, '.')
	if cut < 0 || subtle.ConstantTimeCompare([]byte(c.sign(nonce[:cut])), []byte(nonce[cut+1:])) != 1 {
		return false
	}
	stamp, _, _ := strings.Cut(nonce, ".")
	nanos, err := strconv.ParseInt(stamp, 16, 64)
	return err == nil && now.Sub(time.Unix(0, nanos)) <= c.lifetime
}

// credentials are the parameters of an Authorization header.
type credentials map[string]string

// check judges one Authorization header value. The password function knows the
// users; uri is the Request-URI as the request line has it.
func (c *challenger) check(header, method string, password func(user string) (string, bool), now time.Time) (verdict, credentials) {
	cred, ok := parseCredentials(header)
	if !ok || cred["realm"] != c.realm {
		return absent, cred
	}
	secret, known := password(cred["username"])
	if !known || !c.offers(cred["algorithm"]) || !equal(cred["response"], cred.response(method, secret)) {
		return wrong, cred
	}
	if !c.fresh(cred["nonce"], now) || !c.count(cred) {
		return stale, cred
	}
	return valid, cred
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// offers reports whether the algorithm of an answer is one we offered and know.
func (c *challenger) offers(name string) bool {
	if name == "" {
		name = algorithmMD5
	}
	for _, offered := range c.algorithms {
		if strings.EqualFold(name, offered) {
			return hasher(name) != nil
		}
	}
	return false
}

// count accepts every nonce count once and only rising (RFC 7616 3.4).
func (c *challenger) count(cred credentials) bool {
	if cred["qop"] == "" {
		return true
	}
	nc, err := strconv.ParseUint(cred["nc"], 16, 32)
	nonce := cred["nonce"]
	last, seen := c.counts[nonce]
	if err != nil || nc <= last {
		return false
	}
	if !seen {
		if len(c.order) == maxNonces {
			delete(c.counts, c.order[0])
			c.order = c.order[1:]
		}
		c.order = append(c.order, nonce)
	}
	c.counts[nonce] = nc
	return true
}

// hasher returns the hash of an algorithm, or nil when it is not known. The
// "-sess" variants are not served: no provider uses them.
func hasher(algorithm string) func() hash.Hash {
	switch {
	case algorithm == "" || strings.EqualFold(algorithm, algorithmMD5):
		return md5.New
	case strings.EqualFold(algorithm, algorithmSHA256):
		return sha256.New
	}
	return nil
}

// response computes what the answer must be (RFC 7616 3.4.1).
func (cred credentials) response(method, password string) string {
	newHash := hasher(cred["algorithm"])
	if newHash == nil {
		return "" // never equal: check asked offers before
	}
	h := func(parts ...string) string {
		sum := newHash()
		sum.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(sum.Sum(nil))
	}
	a1 := h(cred["username"], cred["realm"], password)
	a2 := h(method, cred["uri"])
	if cred["qop"] == "" {
		return h(a1, cred["nonce"], a2)
	}
	return h(a1, cred["nonce"], cred["nc"], cred["cnonce"], cred["qop"], a2)
}

// parseCredentials reads `Digest name=value, name="value", …`.
func parseCredentials(header string) (credentials, bool) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(header), " ")
	if !ok || !strings.EqualFold(scheme, "Digest") {
		return nil, false
	}
	cred := credentials{}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return cred, true
		}
		name, tail, found := strings.Cut(rest, "=")
		if !found {
			return nil, false
		}
		var value string
		if value, rest, ok = quotedOrToken(strings.TrimLeft(tail, " \t")); !ok {
			return nil, false
		}
		cred[strings.ToLower(strings.TrimSpace(name))] = value
	}
}

// quotedOrToken splits a value off the front of s.
func quotedOrToken(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			end = len(s)
		}
		return strings.TrimSpace(s[:end]), s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
