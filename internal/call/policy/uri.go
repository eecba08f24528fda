package policy

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxText bounds what is looked at; nothing that can be dialled is longer.
const maxText = 256

// check judges one text: a number, a tel: URI (RFC 3966) or a sip: URI (RFC 3261 19.1).
func (p *plan) check(to string) (Number, *Denied) {
	text := strings.TrimSpace(to)
	if text == "" {
		return Number{}, invalid("there is no number", "give one, such as +4930123456")
	}
	if len(text) > maxText {
		return Number{}, invalid("the number is longer than 256 characters", "give one number only")
	}
	// RFC 5031: urn:service:sos and its children are emergency services.
	if _, ok := cutPrefixFold(text, "urn:service:sos"); ok {
		return Number{}, emergencyService()
	}
	if rest, ok := cutPrefixFold(text, "sip:"); ok {
		return p.checkSIP(rest)
	}
	if _, ok := cutPrefixFold(text, "sips:"); ok {
		return Number{}, invalid("sips: URIs are not supported", "write sip:, and choose TLS with SIP_TRANSPORT=tls")
	}
	if rest, ok := cutPrefixFold(text, "tel:"); ok {
		return p.checkTel(rest)
	}
	if strings.Contains(text, "@") {
		return p.checkSIP(text)
	}
	return p.checkTel(text)
}

// checkTel reads a number with the parameters of RFC 3966. Only phone-context
// changes what is dialled; isub, carrier and routing parameters are left out, as
// they must not redirect the call.
func (p *plan) checkTel(text string) (Number, *Denied) {
	text, denied := unescape(text)
	if denied != nil {
		return Number{}, denied
	}
	number, params, _ := strings.Cut(text, ";")
	digits, denied := fold(number)
	if denied != nil {
		return Number{}, denied
	}
	var extension, context string
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "ext":
			if extension, denied = fold(value); denied != nil {
				return Number{}, denied
			}
		case "phone-context":
			context = strings.TrimSpace(value)
		}
	}
	n, denied := p.checkContext(digits, context)
	n.Extension = extension
	return n, denied
}

// checkContext judges digits within a phone-context: RFC 3966 5.1.5, "the
// global number prefix" or a domain. A domain must be the account's.
func (p *plan) checkContext(digits, context string) (Number, *Denied) {
	if context == "" || strings.HasPrefix(digits, "+") {
		return p.checkDigits(digits)
	}
	if prefix, denied := fold(context); denied == nil && strings.HasPrefix(prefix, "+") {
		if denied := p.checkEmergency(trimBrackets(digits)); denied != nil {
			return Number{}, denied
		}
		return p.checkDigits(prefix + digits)
	}
	host, _ := splitHost(context)
	if !slices.Contains(p.domains, host) {
		return Number{}, invalid("the phone-context is neither a country code nor the account's domain", "give the number with + and country code")
	}
	return p.checkDigits(digits)
}

// checkSIP judges user@host with whatever follows. Parameters and headers of the
// URI never reach the network.
func (p *plan) checkSIP(text string) (Number, *Denied) {
	if strings.ContainsAny(text, "?<>\" \t\r\n\\") {
		return Number{}, invalid("the sip: URI contains headers, brackets, quotes or spaces", "write sip:user@host")
	}
	user, host, ok := strings.Cut(text, "@")
	if !ok {
		user, host = "", text
	}
	host, _, _ = strings.Cut(host, ";")
	name, port := splitHost(host)
	if name == "" || strings.Contains(host, "@") {
		return Number{}, invalid("the host of the sip: URI cannot be read", "write sip:user@host")
	}
	if user == "" {
		return Number{}, invalid("the sip: URI has no user", "write sip:user@host")
	}
	decoded, denied := unescape(user)
	if denied != nil {
		return Number{}, denied
	}
	if strings.Contains(decoded, ":") {
		return Number{}, invalid("the sip: URI contains a password", "write sip:user@host")
	}
	if p.allow.users[strings.ToLower(decoded)+"@"+name] && isName(decoded) {
		return Number{Dial: sipURI(decoded, name, port), Kind: KindSIP}, nil
	}
	home := slices.Contains(p.domains, name)
	if isName(decoded) && !startsLikeNumber(decoded) {
		return p.checkName(decoded, name, port, home)
	}
	n, denied := p.checkTel(user)
	switch {
	case denied != nil && denied.Code == InvalidNumber && isName(decoded):
		denied.Cure = "set DIAL_ALLOW=" + decoded + "@" + name + " if this is a user's name"
		return Number{}, denied
	case denied != nil:
		return Number{}, denied
	case home:
		return n, nil
	case !p.allow.host(name):
		return Number{}, foreignHost(name)
	default:
		return Number{Dial: sipURI(n.Dial, name, port), Kind: KindSIP, Extension: n.Extension}, nil
	}
}

// checkName judges a user who has a name and no number.
func (p *plan) checkName(user, host string, port uint16, home bool) (Number, *Denied) {
	if service, _, _ := strings.Cut(strings.ToLower(user), "."); service == "sos" {
		return Number{}, emergencyService()
	}
	if !home && !p.allow.host(host) {
		return Number{}, foreignHost(host)
	}
	if home {
		port = 0 // the registrar is known better than from here
	}
	return Number{Dial: sipURI(user, host, port), Kind: KindSIP}, nil
}

func foreignHost(host string) *Denied {
	return &Denied{
		Code:    ForeignHost,
		Message: "the SIP host " + host + " is not the account's",
		Cure:    "set DIAL_ALLOW=sip:" + host + " to allow it",
	}
}

func sipURI(user, host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != 0 {
		host += ":" + strconv.Itoa(int(port))
	}
	return "sip:" + strings.ReplaceAll(user, "#", "%23") + "@" + host
}

// isName accepts the unreserved characters of RFC 3261 that names are made of,
// and the + * # of numbers.
func isName(user string) bool {
	return user != "" && !strings.ContainsFunc(user, func(r rune) bool {
		return !isLetter(r) && !strings.ContainsRune("0123456789-_.~+*#", r)
	})
}

// startsLikeNumber: switches read digits up to the first letter, so a user that
// begins with one of these is judged as a number, and refused if it is none.
func startsLikeNumber(user string) bool {
	c := strings.TrimLeft(user, "-_.~")
	return c == "" || strings.IndexByte("+*#0123456789", c[0]) >= 0
}

// splitHost reads host, host:port and [v6]:port, and returns the host lower-cased
// without a final dot; it is empty when it cannot be read.
func splitHost(text string) (host string, port uint16) {
	host = text
	if h, digits, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 {
			return "", 0
		}
		host, port = h, uint16(n)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), port
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if strings.ContainsFunc(host, func(r rune) bool { return !isLetter(r) && !strings.ContainsRune("0123456789.-_", r) }) {
		return "", 0
	}
	return host, port
}
