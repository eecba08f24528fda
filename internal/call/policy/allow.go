package policy

import "strings"

// allowed is DIAL_ALLOW in its compiled form. The zero value allows nothing.
type allowed struct {
	prefixes []string        // digits without +; "" is every country
	shorts   map[string]bool // exact short numbers
	patterns []string        // short numbers with x, or ending in *
	features []string        // begin with * or #
	hosts    []string        // SIP hosts; "*.x" is every host below x
	users    map[string]bool // user@host
}

// admit adds one entry of Rules.Allow.
func (p *plan) admit(entry string) error {
	text := strings.TrimSpace(entry)
	wrong := func(why string) error { return &RuleError{Field: "Allow", Entry: entry, Text: why} }
	if rest, ok := cutPrefixFold(text, "sip:"); ok {
		text = rest
		if !strings.Contains(text, "@") {
			text = "@" + text
		}
	}
	switch user, host, isSIP := strings.Cut(text, "@"); {
	case text == "":
		return wrong("the entry is empty")
	case isSIP && user != "":
		name, _ := splitHost(host)
		if name == "" || !isName(user) {
			return wrong("this is not user@host")
		}
		set(&p.allow.users, strings.ToLower(user)+"@"+name)
		return nil
	case isSIP || strings.Contains(text, ".") && strings.ContainsFunc(text, isLetter):
		return p.admitHost(strings.TrimPrefix(text, "@"), wrong)
	case text == "+", text == "*":
		p.allow.prefixes = append(p.allow.prefixes, "")
		return nil
	}
	return p.admitDigits(text, wrong)
}

func (p *plan) admitHost(text string, wrong func(string) error) error {
	below, wild := strings.CutPrefix(text, "*.")
	host, _ := splitHost(below)
	if host == "" {
		return wrong("this is not the name or address of a SIP host")
	}
	if wild {
		host = "*." + host
	}
	p.allow.hosts = append(p.allow.hosts, host)
	return nil
}

func (p *plan) admitDigits(text string, wrong func(string) error) error {
	if text[0] == '*' || text[0] == '#' {
		code, denied := fold(text)
		if denied != nil || strings.Trim(code, "*#") == "" {
			return wrong("this is not a feature code such as *21")
		}
		p.allow.features = append(p.allow.features, code)
		return nil
	}
	stem, open := strings.CutSuffix(text, "*")
	digits, denied := fold(strings.ReplaceAll(stem, "x", "0"))
	if denied != nil {
		return wrong(denied.Message + "; write a prefix (+43), a number, a short number (112), a feature code (*21) or sip:host, separated by commas")
	}
	digits = p.dropOptionalTrunk(digits)
	if strings.LastIndexByte(digits, '+') > 0 || strings.ContainsAny(digits, "*#") || digits == "" {
		return wrong("these are several numbers or none; separate entries by commas")
	}
	if !open && isEmergency(p.home.ISO, digits) {
		set(&p.allow.shorts, digits)
		return nil
	}
	if abroad, ok := p.international(digits); ok {
		return p.admitPrefix(abroad, wrong)
	}
	if len(digits) <= maxShort && digits[0] != '0' {
		switch pattern := strings.Map(dropSeparators, stem); {
		case open:
			p.allow.patterns = append(p.allow.patterns, pattern+"*")
		case strings.Contains(pattern, "x"):
			p.allow.patterns = append(p.allow.patterns, pattern)
		default:
			set(&p.allow.shorts, digits)
		}
		return nil
	}
	trunk := p.home.Trunk
	if rest, ok := strings.CutPrefix(digits, trunk); ok && rest != "" {
		return p.admitPrefix(p.home.CallingCode+rest, wrong)
	}
	return wrong("write it with + and country code")
}

func (p *plan) admitPrefix(digits string, wrong func(string) error) error {
	switch {
	case digits == "":
		return wrong("write + to allow all countries")
	case digits[0] == '0':
		return wrong("no country code begins with 0")
	case len(digits) > maxDigits:
		return wrong("a number has at most 15 digits")
	}
	if country, national, ok := locate(digits); ok {
		digits = country.CallingCode + dropTrunk(country, national)
	}
	p.allow.prefixes = append(p.allow.prefixes, digits)
	return nil
}

// prefix returns the length of the longest entry that digits begin with, 0 for
// "+", and -1 when there is none.
func (a allowed) prefix(digits string) int {
	longest := -1
	for _, entry := range a.prefixes {
		if strings.HasPrefix(digits, entry) {
			longest = max(longest, len(entry))
		}
	}
	return longest
}

// short says whether an entry names the short number, or a range it is in.
func (a allowed) short(digits string) bool {
	if a.shorts[digits] {
		return true
	}
	for _, pattern := range a.patterns {
		stem, open := strings.CutSuffix(pattern, "*")
		if matches(stem, digits) && (open || len(stem) == len(digits)) {
			return true
		}
	}
	return false
}

// feature returns the longest entry that the code begins with.
func (a allowed) feature(code string) (entry string, ok bool) {
	for _, f := range a.features {
		if strings.HasPrefix(code, f) && len(f) > len(entry) {
			entry, ok = f, true
		}
	}
	return entry, ok
}

// host says whether an entry names the SIP host.
func (a allowed) host(name string) bool {
	for _, entry := range a.hosts {
		below, wild := strings.CutPrefix(entry, "*")
		if entry == name || wild && strings.HasSuffix(name, below) {
			return true
		}
	}
	return false
}

func set(m *map[string]bool, key string) {
	if *m == nil {
		*m = map[string]bool{}
	}
	(*m)[key] = true
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func dropSeparators(r rune) rune {
	if isSeparator(r) {
		return -1
	}
	return r
}
