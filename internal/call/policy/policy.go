// Package policy decides whether a number may be called.
//
// Rules.Check brings whatever a caller wrote to one form and refuses emergency,
// premium-rate, satellite and foreign numbers unless the rules name them. What
// it returns is what must be dialled: the number that was judged, not the text
// that was given, so no other reading of the text can reach the network. Limiter
// bounds how many calls there are and how fast they come.
//
// Everything is a pure function of its arguments; time is one of them. Rules may
// be used from any goroutine, a Limiter belongs to one.
package policy

import (
	"fmt"
	"log/slog"
	"strings"
)

// Rules say what may be called beyond the default: domestic numbers and short
// internal ones.
type Rules struct {
	// Allow holds what is allowed in addition. The longest prefix decides, so
	// "+43" opens Austria but not its premium numbers, and "+43900" opens those.
	//
	//	+43, +1212, 0043    every number that begins so; national numbers (0900123) too
	//	+                   every country, still without premium and satellite numbers
	//	112, 4711, 118xx    exactly this short number; emergency numbers must stand here exactly
	//	71*                 every short number that begins so, emergency numbers aside
	//	*21, #31#           every feature code that begins so
	//	sip:example.com     every user at this SIP host (also @example.com, *.example.com)
	//	bob@example.com     this user
	Allow []string
	// Country has the two letters of the country that is home; empty means DE.
	Country string
	// Domains are the hosts that mean the SIP account itself in a sip: URI: its
	// domain and its server.
	Domains []string
}

// Kind says what a Number is.
type Kind string

// The kinds of numbers.
const (
	KindE164    Kind = "e164"    // +, country code, national number
	KindShort   Kind = "short"   // digits that only the provider or PBX knows
	KindFeature Kind = "feature" // a code with * or #
	KindSIP     Kind = "sip"     // a sip: URI
)

// Number is a number that may be called.
type Number struct {
	Dial      string // "+4930123456", "4711", "*21", or "sip:bob@example.com"
	Kind      Kind
	Country   string // two letters of the country, for KindE164
	Extension string // digits of ;ext=, which are not dialled
}

// LogValue shows the number with its last digits hidden.
func (n Number) LogValue() slog.Value {
	return slog.GroupValue(slog.String("dial", Masked(n.Dial)), slog.String("kind", string(n.Kind)))
}

// Check judges what a caller wants to dial. The error is a *Denied, or tells that
// the rules themselves are wrong (as Validate does).
func (r Rules) Check(to string) (Number, error) {
	p, err := r.compile()
	if err != nil {
		return Number{}, err
	}
	n, denied := p.check(to)
	if denied != nil {
		return Number{}, denied
	}
	return n, nil
}

// Validate returns what is wrong with the rules: a *RuleError, or nil.
func (r Rules) Validate() error {
	_, err := r.compile()
	return err
}

// RuleError tells what is wrong with Rules.
type RuleError struct {
	Field string // "Allow" or "Country"
	Entry string // the entry that is wrong
	Text  string // why, and what to write instead
}

// Error names the entry and the reason.
func (e *RuleError) Error() string {
	return fmt.Sprintf("dial rules: %s %q: %s", strings.ToLower(e.Field), e.Entry, e.Text)
}

// plan is Rules made ready for use.
type plan struct {
	home    Country
	domains []string
	allow   allowed
}

func (r Rules) compile() (*plan, error) {
	iso := r.Country
	if iso == "" {
		iso = "DE"
	}
	home, ok := LookupCountry(iso)
	if !ok {
		return nil, &RuleError{"Country", r.Country, "no country with a calling code has these letters (ISO 3166, such as DE or AT)"}
	}
	p := &plan{home: home}
	for _, domain := range r.Domains {
		if host, _ := splitHost(domain); host != "" {
			p.domains = append(p.domains, host)
		}
	}
	for _, entry := range r.Allow {
		if err := p.admit(entry); err != nil {
			return nil, err
		}
	}
	return p, nil
}
