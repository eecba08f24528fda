package policy

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
)

// speller writes a number in the many ways that people, phone books and
// attackers use. The same seed gives the same spellings.
type speller struct{ *rand.Rand }

func pick[T any](s speller, list []T) T { return list[s.IntN(len(list))] }

// german writes the national number (without 0) of a German number.
func (s speller) german(national string) string {
	return pick(s, []string{"+49", "0049", "+49(0)", "0049(0)", "+490", "00490", "0", "(0)", "(+49)", "(0049)", "+(49)"}) + national
}

var separators = []string{
	" ", "-", "/", ".", "\u00a0", "\u202f", "\u2009", "\u2011", "\u2013", "\u2212", "\u200b", "\u202c", "\u2060", "\ufeff", "\u00ad",
	"_", "  ", " - ", "\u3000", "\uff0e", "\u00b7",
}

// zeros are the digits zero of some scripts, and full width.
var zeros = []rune{
	'\uff10', '\u0660', '\u06f0', '\u0966', '\u09e6', '\u0e50', '\u1040', '\u17e0', '\u1810', 0x1d7ce, 0x1d7d8, 0x1d7ec, 0x1d7f6, 0x1fbf0, 0x1e950,
}

// dress puts separators between the characters and other scripts over them.
func (s speller) dress(text string) string {
	var b strings.Builder
	density, script := s.IntN(5), s.IntN(4)
	for i, r := range text {
		if i > 0 && s.IntN(6) < density && !strings.HasPrefix(text[i:], "0)") && !strings.HasPrefix(text[i:], ")") {
			b.WriteString(pick(s, separators))
		}
		switch {
		case r >= '0' && r <= '9' && s.IntN(6) < script:
			b.WriteRune(pick(s, zeros) + r - '0')
		case r == '+' && s.IntN(6) < script:
			b.WriteRune('\uff0b')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escape percent-encodes some bytes, and those that a URI cannot hold always.
func (s speller) escape(text string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	chance := s.IntN(4)
	for _, c := range []byte(text) {
		if c >= 0x80 || c <= ' ' || s.IntN(6) < chance && c != ';' && c != '=' {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// wrap puts the text into a URI, or leaves it.
func (s speller) wrap(text string) string {
	params := pick(s, []string{"", "", ";isub=12", ";ext=34", ";npdi;rn=+4930123456", ";phone-context=example.com"})
	switch s.IntN(7) {
	case 0:
		return pick(s, []string{"tel:", "TEL:", "tel://"}) + s.escape(text) + params
	case 1:
		return pick(s, []string{"sip:", "SIP:", ""}) + s.escape(text) + pick(s, []string{"@example.com", "@SIP.Example.com:5060", "@example.com.;user=phone"})
	case 2:
		return "sip:" + s.escape(text) + params + "@example.com"
	case 3:
		return text + params
	case 4:
		return " " + text + "\n"
	default:
		return text
	}
}

func (s speller) digits(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte('0' + byte(s.IntN(10)))
	}
	return b.String()
}

// forbidden writes a premium, satellite or emergency number.
func (s speller) forbidden() string {
	var text string
	switch s.IntN(6) {
	case 0: // German premium ranges
		text = s.german(pick(s, strings.Fields(premium["49"])) + s.digits(6+s.IntN(2)))
	case 1: // emergency numbers with and without prefixes
		code := pick(s, []string{"110", "112"})
		text = pick(s, []string{
			code, s.german(code), s.german(pick(s, []string{"30", "211", "5121", "33056"}) + code), "+" + code, "00" + code,
			s.german(code + s.digits(5)), "#31#" + code, "*31#" + code + "#",
		})
	case 2: // emergency numbers of the world
		text = pick(s, []string{"", "0", "+49", "0049", "+1", "+44", "0061", "00"}) + pick(s, []string{"911", "999", "112", "110"})
	case 3: // ranges of no country
		span := pick(s, world)
		text = pick(s, []string{"+", "00", "(00)", "(+)"}) + span.digits + s.digits(9)
	case 4: // premium ranges abroad
		code := pick(s, []string{"43", "41", "44", "33", "31", "353", "1", "39"})
		pattern := pick(s, strings.Fields(premium[code]))
		for strings.Contains(pattern, "x") {
			pattern = strings.Replace(pattern, "x", s.digits(1), 1)
		}
		text = pick(s, []string{"+", "00"}) + code + pattern + s.digits(6)
	default: // directories
		text = pick(s, []string{"", "+49", "0049", "0", "+490"}) + "118" + s.digits(2+s.IntN(2))
	}
	return s.wrap(s.dress(text))
}

func TestTenThousandSpellingsOfForbiddenNumbersNeverPass(t *testing.T) {
	s := speller{rand.New(rand.NewPCG(20, 26))}
	rules := []Rules{
		german,
		{Country: "DE", Domains: german.Domains, Allow: []string{"+", "4711", "example.net", "*31#", "#31#"}},
		{Country: "DE", Domains: german.Domains, Allow: []string{"+43", "+41", "+44", "+1", "+33", "+49"}},
	}
	codes := map[Code]int{}
	for i := range 10_000 {
		to := s.forbidden()
		n, err := rules[i%len(rules)].Check(to)
		var denied *Denied
		if !errors.As(err, &denied) {
			t.Fatalf("%q (%+q) passed as %+v with %q, %v", to, to, n, rules[i%len(rules)].Allow, err)
		}
		codes[denied.Code]++
	}
	t.Log(codes)
	if codes[InvalidNumber] > 1000 || codes[PremiumNumber] < 3000 || codes[EmergencyNumber] < 1500 {
		t.Errorf("the spellings are refused for the wrong reasons, so the generator proves little: %v", codes)
	}
}

func TestTenThousandSpellingsOfOneNumberAreOne(t *testing.T) {
	s := speller{rand.New(rand.NewPCG(4, 9))}
	for range 10_000 {
		to := s.wrap(s.dress(s.german("30123456")))
		n, err := german.Check(to)
		if err != nil || n.Dial != "+4930123456" {
			t.Fatalf("%q (%+q): %+v, %v", to, to, n, err)
		}
	}
}

func TestDigitsOfAllScriptsHaveTheirValue(t *testing.T) {
	count := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsDigit(r) {
			continue
		}
		count++
		// The ten digits of a script are neighbours, so the tenth before is none,
		// or the same digit of another style.
		if v := digitValue(r); v > 0 && digitValue(r-1) != v-1 || v > 0 && !unicode.IsDigit(r-1) || v < 9 && !unicode.IsDigit(r+1) {
			t.Fatalf("%U has value %d", r, v)
		}
	}
	for _, zero := range zeros {
		for v := range 10 {
			if got := digitValue(zero + rune(v)); got != v {
				t.Errorf("%U: %d", zero+rune(v), got)
			}
		}
	}
	if count%10 != 0 || count < 600 {
		t.Errorf("%d digits are not whole scripts", count)
	}
}

// FuzzCheck: nothing panics, and what passes is a clean number that passes again
// as itself.
func FuzzCheck(f *testing.F) {
	s := speller{rand.New(rand.NewPCG(1, 2))}
	for range 50 {
		f.Add(s.forbidden(), "DE", "+,4711,example.net,*31#")
	}
	for _, seed := range []string{
		"+4930123456", "tel:7042;phone-context=example.com", "sip:alice@example.com", "sip:a@[::1]:5060", "+1 (212) 555-0123;ext=5",
		"*21*030123456#", "sip:%2B49@example.net", "8 10 49 30 123456", "(0)(0)", "+(0)", "00", "%", "sip:@", "1@example.net:0",
	} {
		f.Add(seed, "RU", "*.net,bob@example.net,118xx,7*,+49900")
	}
	f.Fuzz(func(t *testing.T, to, country, allow string) {
		rules := Rules{Country: country, Allow: strings.Split(allow, ","), Domains: german.Domains}
		if rules.Validate() != nil {
			rules = german
		}
		n, err := rules.Check(to)
		if err != nil {
			var denied *Denied
			if !errors.As(err, &denied) || denied.Code == "" || denied.Message == "" {
				t.Fatalf("%q: %v", to, err)
			}
			return
		}
		if strings.ContainsFunc(n.Dial, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || n.Dial == "" {
			t.Fatalf("%q: dials %q", to, n.Dial)
		}
		again, err := rules.Check(n.Dial)
		if err != nil || again.Dial != n.Dial {
			t.Fatalf("%q: dials %q, which then is %+v, %v", to, n.Dial, again, err)
		}
		if digits := strings.Trim(n.Dial, "+"); n.Kind != KindSIP && len(rules.Allow) == 0 && isEmergency("DE", digits) {
			t.Fatalf("%q: an emergency number passed as %+v", to, n)
		}
	})
}
