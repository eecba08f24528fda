package policy

import (
	"slices"
	"strings"
)

const (
	maxShort  = 6  // longer numbers without prefix are incomplete national ones
	maxDigits = 15 // ITU-T E.164 6.2.1: country code and national number
	minDigits = 7  // the shortest complete international numbers
)

// checkDigits judges folded text: digits, + * # and round brackets.
func (p *plan) checkDigits(folded string) (Number, *Denied) {
	text := p.dropOptionalTrunk(folded)
	if strings.Trim(text, "+*#") == "" && !strings.ContainsAny(text, "*#") {
		return Number{}, invalid("there are no digits", "give a number, such as +4930123456")
	}
	if p.allow.shorts[text] { // named exactly, even if it is an emergency number
		return Number{Dial: text, Kind: KindShort}, nil
	}
	if denied := p.checkEmergency(text); denied != nil {
		return Number{}, denied
	}
	if strings.LastIndexByte(text, '+') > 0 {
		return Number{}, invalid("a + stands within the number", "give one number, with + only in front")
	}
	if strings.ContainsAny(text, "*#") {
		return p.checkFeature(text)
	}
	if digits, ok := p.international(text); ok {
		return p.checkGlobal(digits)
	}
	if len(text) <= maxShort && text[0] != '0' {
		return p.checkShort(text)
	}
	national, denied := p.national(text)
	if denied != nil {
		return Number{}, denied
	}
	return p.checkGlobal(p.home.CallingCode + national)
}

// dropOptionalTrunk removes the "(0)" of "+49 (0) 30 …", which is dialled within
// the country only, and then the brackets that are mere decoration.
func (p *plan) dropOptionalTrunk(text string) string {
	bare := trimBrackets(text)
	if _, ok := p.international(bare); ok && strings.Contains(text, "(0)") && !strings.HasPrefix(text, "(0)") {
		return trimBrackets(strings.Replace(text, "(0)", "", 1))
	}
	return bare
}

func trimBrackets(text string) string { return strings.NewReplacer("(", "", ")", "").Replace(text) }

// international returns the digits after + or an international prefix.
func (p *plan) international(text string) (string, bool) {
	for _, prefix := range []string{"+", p.home.International, "00"} {
		if digits, ok := strings.CutPrefix(text, prefix); ok {
			return digits, true
		}
	}
	return "", false
}

// national returns the national number of text that has no country code.
func (p *plan) national(text string) (string, *Denied) {
	trunk := p.home.Trunk
	switch {
	case trunk == "" || trunk == "0" || trunk == "06":
		if rest, ok := strings.CutPrefix(text, trunk); ok {
			return rest, nil
		}
	case len(text) == 10 && (p.home.CallingCode == "1" || p.home.CallingCode == "7"):
		return text, nil // ten digits with or without 1 or 8 before them
	default:
		if rest, ok := strings.CutPrefix(text, trunk); ok && len(rest) >= 7 {
			return rest, nil
		}
	}
	return "", invalid("the number is incomplete",
		"give it with + and country code, or with area code and the "+trunk+" before it; short internal numbers have up to 6 digits")
}

// checkGlobal judges an international number, digits without +.
func (p *plan) checkGlobal(digits string) (Number, *Denied) {
	country, national, known := locate(digits)
	if known {
		national = dropTrunk(country, national)
		digits = country.CallingCode + national
		country, national, _ = locate(digits)
	}
	opened := p.allow.prefix(digits)
	if s, ok := costly(digits, country.CallingCode); ok && opened < len(s.digits) {
		return Number{}, &Denied{
			Code:    s.code,
			Message: "numbers that begin with +" + s.digits + " are refused: " + s.what,
			Cure:    "set DIAL_ALLOW=+" + s.digits + " to allow them",
		}
	} else if !known && !ok {
		return Number{}, invalid("no country has the code that the number begins with", "check the digits after the +")
	}
	if !known {
		national = digits
	}
	if denied := shortAbroad(country, national); denied != nil && opened <= len(country.CallingCode) {
		return Number{}, denied
	}
	if opened < 0 && !p.home.isHome(country) {
		return Number{}, p.foreign(country, digits)
	}
	if denied := checkLength(country, national, digits); denied != nil {
		return Number{}, denied
	}
	return Number{Dial: "+" + digits, Kind: KindE164, Country: country.ISO}, nil
}

// dropTrunk removes a trunk prefix that was kept after the country code, as in
// +49 030 …: networks may drop it too, and then dial what was not judged.
func dropTrunk(c Country, national string) string {
	if strings.HasPrefix(c.Trunk, "0") {
		return strings.TrimPrefix(national, c.Trunk)
	}
	return national
}

// shortAbroad refuses short service numbers behind a country code.
func shortAbroad(c Country, national string) *Denied {
	if len(national) > maxShort {
		return nil
	}
	rules := plan{home: c}
	_, denied := rules.checkShort(national)
	return denied
}

func (p *plan) foreign(c Country, digits string) *Denied {
	lead := c.CallingCode
	for _, l := range c.lead {
		if strings.HasPrefix(digits[len(lead):], l) {
			lead += l
			break
		}
	}
	return &Denied{
		Code:    ForeignCountry,
		Message: "+" + lead + " is " + c.ISO + ", and only numbers of " + p.home.ISO + " are allowed",
		Cure:    "set DIAL_ALLOW=+" + lead + " to allow it, or DIAL_COUNTRY if " + p.home.ISO + " is not your country",
	}
}

func checkLength(c Country, national, digits string) *Denied {
	switch {
	case len(digits) > maxDigits:
		return invalid("the number has more than 15 digits", "check it, and give an extension as ;ext=")
	case len(digits) < minDigits || len(national) < 4:
		return invalid("the number is too short to be complete", "check it")
	case strings.HasPrefix(national, "0") && !slices.Contains(leadingZero, c.CallingCode):
		return invalid("a 0 follows the country code", "leave it out")
	case c.CallingCode == "1" && (len(national) != 10 || national[0] < '2' || national[3] < '2'):
		return invalid("a +1 number is not three digits of area and seven more", "check it")
	}
	return nil
}

// checkShort judges digits that only the provider or PBX knows.
func (p *plan) checkShort(digits string) (Number, *Denied) {
	ok := Number{Dial: digits, Kind: KindShort}
	switch {
	case p.allow.short(digits):
		return ok, nil
	case strings.HasPrefix(digits, "118"), oneOf(shortPremium[p.home.ISO], digits):
		return Number{}, &Denied{
			Code: PremiumNumber, Message: digits + " is a directory or premium service",
			Cure: "set DIAL_ALLOW=" + digits + " to allow it",
		}
	case strings.HasPrefix(digits, "116") && len(digits) == 6, oneOf(service[p.home.ISO], digits):
		return Number{}, &Denied{
			Code: ServiceNumber, Message: digits + " is a helpline or public service",
			Cure: "set DIAL_ALLOW=" + digits + " to allow it",
		}
	}
	return ok, nil
}

// checkFeature judges a code with * or #. What stands behind the first of them
// may itself be a number (*21*0900…# diverts there), so each part is judged too.
func (p *plan) checkFeature(text string) (Number, *Denied) {
	entry, ok := p.allow.feature(text)
	if !ok {
		return Number{}, &Denied{
			Code: FeatureCode, Message: "codes with * or # change settings at the provider and are refused",
			Cure: "set DIAL_ALLOW to the code, such as DIAL_ALLOW=*21, to allow it",
		}
	}
	if entry != text {
		for i, part := range strings.FieldsFunc(text, func(r rune) bool { return r == '*' || r == '#' }) {
			if i == 0 || len(part) < 3 {
				continue
			}
			if _, denied := p.checkDigits(part); denied != nil {
				return Number{}, denied
			}
		}
	}
	return Number{Dial: text, Kind: KindFeature}, nil
}
