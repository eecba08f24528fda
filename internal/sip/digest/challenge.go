package digest

import (
	"errors"
	"fmt"
	"strings"
)

// errSyntax is wrapped by every error of the parser.
var errSyntax = errors.New("malformed challenge")

// maxParams bounds the parameters read of one challenge; real ones have at most nine.
const maxParams = 32

// value is one parameter value in the two shapes we need: what it means and how it was written.
type value struct {
	text string // without quotes and escapes: goes into the hash
	wire string // as it stood between the quotes: is echoed unchanged
}

// challenge is one challenge or one set of credentials: both are a scheme and
// a list of parameters (RFC 7235 section 2.1).
type challenge struct {
	scheme string
	params map[string]value // names in lower case
}

func (c challenge) get(name string) string { return c.params[name].text }

// raw returns a value as it was written; values of ours are written the same way back.
func (c challenge) raw(name string) string { return c.params[name].wire }

func (c challenge) has(name string) bool {
	_, ok := c.params[name]
	return ok
}

func (c challenge) stale() bool { return strings.EqualFold(c.get("stale"), "true") }

// offersAuth tells whether quality of protection "auth" may be used, and whether
// any quality was offered at all. The list is one quoted string separated by
// commas and optional spaces (RFC 7616 section 3.3).
func (c challenge) offersAuth() (auth, some bool) {
	for q := range strings.SplitSeq(c.get("qop"), ",") {
		q = strings.TrimSpace(q)
		some = some || q != ""
		auth = auth || strings.EqualFold(q, "auth")
	}
	return auth, some
}

// parse reads a header value with one challenge, or with several separated by
// commas as HTTP allows; SIP wants one per header (RFC 3261 section 20.44), but
// proxies that fold equal headers into one exist.
func parse(s string) ([]challenge, error) {
	p := parser{rest: s}
	var all []challenge
	for {
		p.skip(", \t\r\n")
		if p.rest == "" {
			if len(all) == 0 {
				return nil, fmt.Errorf("%w: empty", errSyntax)
			}
			return all, nil
		}
		c, err := p.challenge()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}

type parser struct{ rest string }

func (p *parser) skip(set string) { p.rest = strings.TrimLeft(p.rest, set) }

// challenge reads a scheme and its parameters up to the next scheme or the end.
func (p *parser) challenge() (challenge, error) {
	c := challenge{scheme: p.token(), params: map[string]value{}}
	if c.scheme == "" {
		return c, fmt.Errorf("%w: no scheme at %q", errSyntax, clip(p.rest))
	}
	for range maxParams {
		p.skip(", \t\r\n")
		before := p.rest
		name := p.token()
		p.skip(" \t\r\n")
		if name == "" || !strings.HasPrefix(p.rest, "=") {
			// Not a parameter: the end, the next scheme, or a "token68" of a foreign scheme.
			p.rest = before
			return c, p.boundary(c.scheme)
		}
		p.rest = p.rest[1:]
		p.skip(" \t\r\n")
		v, err := p.value()
		if err != nil {
			return c, fmt.Errorf("parameter %s: %w", clip(name), err)
		}
		name = strings.ToLower(name)
		// RFC 7235 section 2.1: "each parameter name MUST only occur once per
		// challenge": a second one is ignored, so that it cannot replace the first.
		if !c.has(name) {
			c.params[name] = v
		}
	}
	return c, fmt.Errorf("%w: more than %d parameters", errSyntax, maxParams)
}

// boundary accepts what may follow a challenge; a foreign scheme takes the whole
// rest with it, because only Digest has the shape that we can read.
func (p *parser) boundary(scheme string) error {
	if !strings.EqualFold(scheme, "Digest") {
		if i := strings.Index(p.rest, ","); i >= 0 {
			p.rest = p.rest[i:]
		} else {
			p.rest = ""
		}
		return nil
	}
	if p.rest == "" || isToken(p.rest[0]) {
		return nil
	}
	return fmt.Errorf("%w: unexpected %q", errSyntax, clip(p.rest))
}

func (p *parser) token() string {
	n := 0
	for n < len(p.rest) && isToken(p.rest[n]) {
		n++
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

// value reads a token or a quoted string. Unquoted values are read generously,
// up to the next comma or blank: nonces with "=" or "/" without quotes exist.
func (p *parser) value() (value, error) {
	if !strings.HasPrefix(p.rest, `"`) {
		n := strings.IndexAny(p.rest, ", \t\r\n")
		if n < 0 {
			n = len(p.rest)
		}
		v := p.rest[:n]
		p.rest = p.rest[n:]
		if strings.ContainsAny(v, "\"\\\x00") {
			return value{}, fmt.Errorf("%w: stray quote in %q", errSyntax, clip(v))
		}
		return value{text: v, wire: v}, nil
	}
	var text strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch ch := p.rest[i]; ch {
		case '"':
			v := value{text: text.String(), wire: p.rest[1:i]}
			p.rest = p.rest[i+1:]
			return v, nil
		case '\\':
			i++
			if i == len(p.rest) || isControl(p.rest[i]) {
				return value{}, fmt.Errorf("%w: bad escape in a quoted string", errSyntax)
			}
			text.WriteByte(p.rest[i])
		case '\r', '\n', 0:
			return value{}, fmt.Errorf("%w: control character in a quoted string", errSyntax)
		default:
			text.WriteByte(ch)
		}
	}
	return value{}, fmt.Errorf("%w: quoted string without end", errSyntax)
}

// isControl names the characters that end a header line; what is echoed must not hold them.
func isControl(c byte) bool { return c == '\r' || c == '\n' || c == 0 }

// isToken is the token rule of RFC 3261 section 25.1.
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-.!%*_+`'~", c) >= 0
}

// quote writes a string as quoted-string (RFC 3261 section 25.1).
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	b.WriteString(escape(s))
	b.WriteByte('"')
	return b.String()
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
