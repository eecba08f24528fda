package account

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// ErrTarget says that a text is nothing that can be called.
var ErrTarget = errors.New("cannot be called")

// Target returns the Request-URI for a number or a SIP URI that the dial policy
// has accepted: +E.164, an extension or service number of digits, * and #, or a
// sip: or sips: URI, which is taken as it is but for its header part.
func (a Account) Target(to string) (sip.Uri, error) {
	if scheme, _, ok := strings.Cut(to, ":"); ok {
		switch strings.ToLower(scheme) {
		case "sip", "sips":
			return uriTarget(to)
		case "tel":
			to = to[len(scheme)+1:]
		}
	}
	if !isNumber(to) {
		return sip.Uri{}, fmt.Errorf("%q %w: it is neither a number such as +4930123 nor a sip: URI", clip(to), ErrTarget)
	}
	host, port := a.domain()
	u := sip.Uri{Scheme: "sip", User: escapeUser(a.number(to)), Host: uriHost(host), Port: int(port)}
	if a.UserPhone {
		u.UriParams = sip.NewParams()
		u.UriParams.Add("user", "phone")
	}
	return u, nil
}

func uriTarget(to string) (sip.Uri, error) {
	// Characters that may stand nowhere in a URI: with them a caller could write
	// headers of his own.
	if strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\^{}|`+"`", r) }) {
		return sip.Uri{}, fmt.Errorf("%q %w: a URI holds no such characters", clip(to), ErrTarget)
	}
	var u sip.Uri
	if err := sip.ParseUri(to, &u); err != nil {
		return sip.Uri{}, fmt.Errorf("%q %w: %w", clip(to), ErrTarget, err)
	}
	if _, _, err := splitHostPort(u.Host); err != nil || u.Wildcard || u.HierarhicalSlashes || u.Port < 0 || u.Port > 65535 {
		return sip.Uri{}, fmt.Errorf("%q %w: it has no valid host and port", clip(to), ErrTarget)
	}
	// RFC 3261 section 19.1.1: headers and the method parameter have no place in a Request-URI.
	u.Headers = nil
	u.UriParams.Remove("method")
	return u, nil
}

// number writes +E.164 the way the provider wants it; anything else stays.
func (a Account) number(n string) string {
	digits, ok := strings.CutPrefix(n, "+")
	if !ok {
		return n
	}
	switch a.NumberStyle {
	case NumberE164:
		return digits
	case Number00:
		return "00" + digits
	case NumberNational:
		if national, ok := strings.CutPrefix(digits, a.CountryCode); ok && a.CountryCode != "" {
			return strings.TrimPrefix(or(a.TrunkPrefix, "0"), NoTrunkPrefix) + national
		}
		return or(a.InternationalPrefix, "00") + digits
	default:
		return n
	}
}

// isNumber accepts what a telephone keypad can dial, with a plus in front.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "+")
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789*#") == ""
}

// escapeUser writes a user part (RFC 3261 section 25.1, "user"): what is neither
// unreserved nor user-unreserved is escaped.
func escapeUser(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.!~*'()&=+$,;?/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
