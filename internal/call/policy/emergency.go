package policy

import (
	"slices"
	"strings"
)

// checkEmergency refuses text that any network may connect to an emergency
// service. Only an entry of DIAL_ALLOW with exactly these digits opens one, and
// then only in its plain spelling: such a number is never rewritten.
func (p *plan) checkEmergency(text string) *Denied {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '*' || r == '#' }) {
		if code, ok := p.emergencyIn(part); ok {
			return emergencyDenied(code, text)
		}
	}
	return nil
}

// emergencyDenied refuses text for the sake of code, which it is or contains.
func emergencyDenied(code, text string) *Denied {
	if len(text) > maxShort || text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		text = code
	}
	return &Denied{
		Code:    EmergencyNumber,
		Message: "this is, or may be connected to, the emergency or crisis number " + code,
		Cure:    "dial it from a telephone, as a machine gives no location and may fail; DIAL_ALLOW=" + text + " allows exactly " + text,
	}
}

// emergencyService refuses a service that has a name and no number.
func emergencyService() *Denied {
	return &Denied{
		Code: EmergencyNumber, Message: "this is an emergency service",
		Cure: "dial it from a telephone, as a machine gives no location and may fail",
	}
}

// emergencyIn looks for an emergency number in every reading of the digits.
func (p *plan) emergencyIn(text string) (string, bool) {
	digits := strings.ReplaceAll(text, "+", "")
	for _, reading := range []string{digits, strings.TrimLeft(digits, "0")} {
		if isEmergency(p.home.ISO, reading) {
			return reading, true
		}
	}
	if p.home.CallingCode == "1" || p.home.CallingCode == "44" {
		// The usual prefix for an outside line, where the numbers of the country are known only.
		if outside := strings.TrimPrefix(digits, "9"); outside == "112" || oneOf(emergency[p.home.ISO], outside) {
			return outside, true
		}
	}
	abroad, ok := p.international(text)
	if !ok {
		abroad = digits
	}
	// Four to six digits without such a sign are an extension: 1000 is not +1 000, and 7112 not +7 112.
	if ok || len(digits) > maxShort || strings.HasPrefix(digits, p.home.CallingCode) && len(p.home.CallingCode) > 1 {
		if code, ok := behindCountry(abroad, ok); ok {
			return code, true
		}
	}
	if rest, ok := strings.CutPrefix(digits, "0"); ok && p.home.ISO == "DE" && !strings.HasPrefix(rest, "0") {
		if code, ok := behindArea(rest); ok {
			return code, true
		}
	}
	return p.overlap(digits)
}

// behindCountry finds +49 110. Without a sign that the number is international,
// the emergency numbers that hold everywhere are looked for only.
func behindCountry(digits string, international bool) (string, bool) {
	country, national, ok := locate(digits)
	if !ok {
		return "", false
	}
	iso := country.ISO
	if !international {
		iso = ""
	}
	for _, reading := range []string{national, strings.TrimLeft(national, "0")} {
		if isEmergency(iso, reading) {
			return reading, true
		}
	}
	if international && country.ISO == "DE" {
		return behindArea(strings.TrimLeft(national, "0"))
	}
	return "", false
}

// behindArea finds an emergency number in front of a German national number, or
// behind an area code with nothing else: no subscriber number looks so, and some
// exchanges connect it.
func behindArea(national string) (string, bool) {
	for _, code := range []string{"110", "112", "19222"} {
		if code != "19222" && strings.HasPrefix(national, code) {
			return code, true // no area code begins with 11
		}
		if area, ok := strings.CutSuffix(national, code); ok && isGermanArea(area) {
			return code, true
		}
	}
	return "", false
}

// isGermanArea knows the lengths of German area codes: two digits for the four
// largest cities, three when the third is 1 or the code is listed, else four, or
// five in the east.
func isGermanArea(area string) bool {
	const two = "30 40 69 89"
	const three = "201 202 203 208 209 212 214 228 234 335 340 345 355 365 375 385 395 906"
	isThree := func(s string) bool { return len(s) == 3 && (s[2] == '1' || oneOf(three, s)) }
	if area == "" || area[0] < '2' {
		return false
	}
	switch len(area) {
	case 2:
		return oneOf(two, area)
	case 3:
		return isThree(area)
	case 4, 5:
		return !oneOf(two, area[:2]) && !isThree(area[:3]) && (len(area) == 4 || area[0] == '3')
	}
	return false
}

// overlapping are the numbers for which exchanges are known to connect as soon as
// they have read the three digits. Others of a country, such as 100 or 123, may
// begin an extension.
const overlapping = "000 110 111 112 119 911 999"

// overlap finds short numbers that begin with such a number of the country.
func (p *plan) overlap(digits string) (string, bool) {
	if len(digits) < 4 || len(digits) > maxShort || p.allow.short(digits) {
		return "", false
	}
	lead := digits[:3]
	return lead, lead == "112" || oneOf(overlapping, lead) && oneOf(emergency[p.home.ISO], lead)
}

// isEmergency says whether digits are an emergency number everywhere or in the country.
func isEmergency(iso, digits string) bool {
	return oneOf(everywhere, digits) || oneOf(emergency[iso], digits)
}

// EmergencyIn returns the emergency numbers that allow names, for a warning at
// the start; country as in Rules. Rules that are wrong give none.
func EmergencyIn(allow []string, country string) []string {
	p, err := Rules{Allow: allow, Country: country}.compile()
	if err != nil {
		return nil
	}
	var codes []string
	for code := range p.allow.shorts {
		if isEmergency(p.home.ISO, code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes
}
