// Package account describes one SIP account and the habits of its provider: names, number format, caller ID.
//
// An Account is a plain value. [Account.Check] says what is wrong with it and
// fills in the defaults; the other methods write the URIs and headers that
// depend on the provider and work with or without the defaults filled in.
package account

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

// CallerIDStyle says in which header the provider looks for the number to show.
type CallerIDStyle string

// The ways of showing a number. In all of them but [CallerFrom] the From header
// holds the account itself.
const (
	CallerFrom      CallerIDStyle = "from"      // in the From header; also the meaning of ""
	CallerPAI       CallerIDStyle = "pai"       // P-Asserted-Identity (RFC 3325 section 9.1)
	CallerPPI       CallerIDStyle = "ppi"       // P-Preferred-Identity (RFC 3325 section 9.2)
	CallerDiversion CallerIDStyle = "diversion" // Diversion (RFC 5806), as sipgate trunking wants it
	CallerRPID      CallerIDStyle = "rpid"      // Remote-Party-ID, from before RFC 3325
)

// NumberStyle says how the provider wants numbers in URIs.
type NumberStyle string

// The ways of writing +49 30 123. Numbers that are not in the form +E.164, such
// as extensions and emergency numbers, are never rewritten.
const (
	NumberPlus      NumberStyle = "plus"       // +4930123; also the meaning of ""
	NumberE164      NumberStyle = "e164"       // 4930123
	Number00        NumberStyle = "00"         // 004930123
	NumberNational  NumberStyle = "national"   // 030123, and the international prefix before foreign country codes
	NumberAsDialled NumberStyle = "as-dialled" // untouched
)

// NoTrunkPrefix is the TrunkPrefix of countries that write national numbers without one.
const NoTrunkPrefix = "-"

// Limits and default of [Account.Expires].
const (
	DefaultExpires = 10 * time.Minute
	MinExpires     = 10 * time.Second
	MaxExpires     = 7 * 24 * time.Hour
)

// Account is one SIP account. User and Server are needed; every other field has
// a meaning when it is empty.
type Account struct {
	// Name is what the account is called in logs and in the API; empty means user@domain.
	Name string
	// User is the user part of the address of record, user@domain.
	User string
	// AuthUser is the digest user name; empty means User.
	AuthUser string
	// Password is the digest password; it may be empty.
	Password string
	// Realms limits the digest realms that are answered; empty means those of the registrar.
	Realms []string
	// Domain is the domain of the address of record; empty means the host of Server.
	Domain string
	// Server is the registrar: a name or address, with ":port" when it is not to be found by DNS.
	Server string
	// Proxy is an outbound proxy, written like Server. It is where everything is
	// sent, named in a Route header (RFC 3261 section 8.1.2); empty means none.
	Proxy string
	// Transport is "udp", "tcp" or "tls"; empty means udp.
	Transport string
	// TLSServerName is the name that the certificate must carry; empty means the
	// host of the next hop as it is written here, before SRV changes it.
	TLSServerName string

	// DisplayName is shown beside the number, where the network passes it on; empty means none.
	DisplayName string
	// FromUser is the user part of From; empty means User.
	FromUser string
	// ContactUser is the user part of Contact; empty means User. 1&1 refuses anything but the number.
	ContactUser string
	// CallerID is the number to show when a call does not name one; empty leaves it to the provider.
	CallerID string
	// CallerIDStyle is where the number to show goes; empty means From.
	CallerIDStyle CallerIDStyle
	// NumberStyle is how numbers are written; empty means +E.164.
	NumberStyle NumberStyle
	// CountryCode is the calling code of the account's country without plus, such
	// as "49". Only [NumberNational] needs it and the two prefixes.
	CountryCode string
	// TrunkPrefix stands before a national number; empty means "0", and
	// [NoTrunkPrefix] means that the country has none (Spain, Italy, Denmark ...).
	TrunkPrefix string
	// InternationalPrefix stands before a foreign country code; empty means "00".
	InternationalPrefix string
	// UserPhone adds ;user=phone to URIs with telephone numbers. Off unless the
	// provider asks for it: some route such URIs differently.
	UserPhone bool

	// Expires is the lease to ask for, 10 s to 7 days; zero means 10 minutes.
	Expires time.Duration
	// PublicIP is the address to put into Contact; zero means what the registrar sees.
	PublicIP netip.Addr
	// Register says whether the account registers at all; trunks that know their
	// customers by address do not want it.
	Register bool
}

// Check returns the account with the defaults filled in, or an error that names
// every field that cannot be used.
func (a Account) Check() (Account, error) {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s %s", field, fmt.Sprintf(format, args...)))
	}
	if a.User == "" {
		bad("user", "is empty: the provider calls it SIP user, SIP ID or phone number")
	}
	if _, _, err := splitHostPort(a.Server); err != nil {
		bad("server", "%q: %v", a.Server, err)
	}
	if a.Proxy != "" {
		if _, _, err := splitHostPort(a.Proxy); err != nil {
			bad("proxy", "%q: %v", a.Proxy, err)
		}
	}
	if a.Domain != "" {
		if _, _, err := splitHostPort(a.Domain); err != nil {
			bad("domain", "%q: %v", a.Domain, err)
		}
	}
	a.checkTexts(bad)
	a.checkChoices(bad)
	if a.Expires == 0 {
		a.Expires = DefaultExpires
	}
	if a.Expires < MinExpires || a.Expires > MaxExpires {
		bad("expires", "%s is not between %s and %s", a.Expires, MinExpires, MaxExpires)
	}
	if len(errs) > 0 {
		return Account{}, fmt.Errorf("account %s: %w", a.title(), errors.Join(errs...))
	}
	return a.withDefaults(), nil
}

func (a Account) withDefaults() Account {
	a.Name = a.title()
	a.AuthUser = or(a.AuthUser, a.User)
	a.FromUser = or(a.FromUser, a.User)
	a.ContactUser = or(a.ContactUser, a.User)
	a.Transport = or(a.Transport, "udp")
	a.CallerIDStyle = CallerIDStyle(or(string(a.CallerIDStyle), string(CallerFrom)))
	a.NumberStyle = NumberStyle(or(string(a.NumberStyle), string(NumberPlus)))
	return a
}

// checkTexts refuses characters that could end a header line.
func (a Account) checkTexts(bad func(field, format string, args ...any)) {
	for field, text := range map[string]string{
		"user": a.User, "auth user": a.AuthUser, "password": a.Password, "display name": a.DisplayName,
		"from user": a.FromUser, "contact user": a.ContactUser, "tls server name": a.TLSServerName,
	} {
		if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
			bad(field, "contains control characters or is not UTF-8")
		}
	}
}

func (a Account) checkChoices(bad func(field, format string, args ...any)) {
	switch a.Transport {
	case "", "udp", "tcp", "tls":
	default:
		bad("transport", "%q is none of udp, tcp, tls", a.Transport)
	}
	switch a.CallerIDStyle {
	case "", CallerFrom, CallerPAI, CallerPPI, CallerDiversion, CallerRPID:
	default:
		bad("caller id style", "%q is none of from, pai, ppi, diversion, rpid", a.CallerIDStyle)
	}
	switch a.NumberStyle {
	case "", NumberPlus, NumberE164, Number00, NumberAsDialled:
	case NumberNational:
		if n, err := strconv.Atoi(a.CountryCode); err != nil || n < 1 || n > 999 {
			bad("number style", "national needs a country code such as 49, not %q", a.CountryCode)
		}
		for _, prefix := range []string{a.TrunkPrefix, a.InternationalPrefix} {
			if strings.Trim(prefix, "0123456789") != "" && prefix != NoTrunkPrefix {
				bad("number style", "national needs prefixes of digits, not %q", prefix)
			}
		}
	default:
		bad("number style", "%q is none of plus, e164, 00, national, as-dialled", a.NumberStyle)
	}
	if a.CallerID != "" && !validIdentity(a.CallerID) {
		bad("caller id", "%q is not a number such as +4930123 or a user name", a.CallerID)
	}
	if ip := a.PublicIP; ip.IsValid() && (ip.IsUnspecified() || ip.IsMulticast()) {
		bad("public ip", "%s is no address that the provider can reach", ip)
	}
}

func (a Account) title() string {
	if a.Name != "" {
		return a.Name
	}
	host, _ := a.domain()
	return a.User + "@" + host
}

// domain returns the host of the address of record, and the port that requests
// to the domain must name: that of Server when the domain is not given itself.
func (a Account) domain() (host string, port uint16) {
	host, port, _ = splitHostPort(or(a.Domain, a.Server))
	return host, port
}

// AOR returns the address of record, for From and To: RFC 3261 section 19.1.1
// allows no port there.
func (a Account) AOR() sip.Uri {
	host, _ := a.domain()
	return sip.Uri{Scheme: "sip", User: escapeUser(a.User), Host: uriHost(host)}
}

// Registrar returns the Request-URI of REGISTER. "The 'userinfo' and '@'
// components of the SIP URI MUST NOT be present" (RFC 3261 section 10.2); the
// FRITZ!Box drops the request without an answer else.
func (a Account) Registrar() sip.Uri {
	host, port := a.domain()
	return sip.Uri{Scheme: "sip", Host: uriHost(host), Port: int(port)}
}

// Contact returns a Contact URI for an address of ours.
func (a Account) Contact(at netip.AddrPort) sip.Uri {
	u := sip.Uri{
		Scheme: "sip", User: escapeUser(or(a.ContactUser, a.User)),
		Host: uriHost(at.Addr().Unmap().String()), Port: int(at.Port()), UriParams: sip.NewParams(),
	}
	if t := or(a.Transport, "udp"); t != "udp" {
		u.UriParams.Add("transport", t)
	}
	return u
}

// Routes returns the routes that every request outside of a dialog starts with.
func (a Account) Routes() []sip.Uri {
	if a.Proxy == "" {
		return nil
	}
	host, port, err := splitHostPort(a.Proxy)
	if err != nil {
		return nil
	}
	u := sip.Uri{Scheme: "sip", Host: uriHost(host), Port: int(port), UriParams: sip.NewParams()}
	if t := or(a.Transport, "udp"); t != "udp" {
		u.UriParams.Add("transport", t)
	}
	u.UriParams.Add("lr", "")
	return []sip.Uri{u}
}

// Hop is the server that requests are sent to, before DNS.
type Hop struct {
	// Host is a DNS name, or an IP address without brackets.
	Host string
	// Port is 0 when DNS decides.
	Port uint16
	// Transport is "udp", "tcp" or "tls".
	Transport string
	// ServerName is the name that a TLS certificate must carry.
	ServerName string
}

// NextHop returns where requests go: the proxy when there is one, else the server.
func (a Account) NextHop() (Hop, error) {
	host, port, err := splitHostPort(or(a.Proxy, a.Server))
	if err != nil {
		return Hop{}, fmt.Errorf("account %s: server %q: %w", a.title(), or(a.Proxy, a.Server), err)
	}
	h := Hop{Host: host, Port: port, Transport: or(a.Transport, "udp"), ServerName: or(a.TLSServerName, host)}
	if a.TLSServerName == "" {
		// A certificate names a domain rather than an address.
		if domain, _ := a.domain(); isIP(host) && !isIP(domain) {
			h.ServerName = domain
		}
	}
	return h, nil
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// splitHostPort reads host, host:port, [v6]:port, [v6] and a bare IPv6 address.
func splitHostPort(s string) (host string, port uint16, err error) {
	if s == "" {
		return "", 0, errors.New("is empty")
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return ip.String(), 0, nil
	}
	host = s
	if strings.Contains(s, ":") {
		var digits string
		if host, digits, err = net.SplitHostPort(s); err != nil {
			return "", 0, errors.New("is not host or host:port")
		}
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("port %q is not between 1 and 65535", digits)
		}
		port = uint16(n)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), port, nil
	}
	if host == "" || len(host) > 253 || strings.ContainsFunc(host, notInHostname) {
		return "", 0, errors.New("is no host name")
	}
	return strings.TrimSuffix(strings.ToLower(host), "."), port, nil
}

func notInHostname(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

// uriHost puts IPv6 addresses into the brackets that URIs want.
func uriHost(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
