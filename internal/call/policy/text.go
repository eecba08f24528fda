package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fold brings the text of a number to ASCII: digits of every script, + * #, and
// round brackets, which stay for the sake of "(0)". Separators and the invisible
// marks that copied text carries are dropped. Everything else is refused rather
// than dropped: what we do not understand, a switch may.
func fold(text string) (string, *Denied) {
	if !utf8.ValidString(text) {
		return "", invalid("the number is not valid UTF-8", "write it with ASCII digits")
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9', r == '+', r == '*', r == '#':
			b.WriteRune(r)
		case unicode.IsDigit(r):
			b.WriteByte('0' + byte(digitValue(r)))
		case isSeparator(r):
		default:
			mapped, ok := alike(r)
			if !ok {
				return "", strange(r)
			}
			b.WriteByte(mapped)
		}
	}
	return b.String(), nil
}

// alike maps other forms of + * # ( ) to ASCII: full width (U+FF..), small
// (U+FE..) and square brackets.
func alike(r rune) (byte, bool) {
	switch r {
	case '\uff0b', '\ufe62':
		return '+', true
	case '\uff0a', '\ufe61', '\u2217':
		return '*', true
	case '\uff03', '\ufe5f':
		return '#', true
	case '(', '[', '\uff08', '\ufe59', '\uff3b':
		return '(', true
	case ')', ']', '\uff09', '\ufe5a', '\uff3d':
		return ')', true
	}
	return 0, false
}

// isSeparator: spaces of every width, dashes, dots, slashes, and format
// characters such as zero-width space and direction marks; no line breaks.
func isSeparator(r rune) bool {
	if r < 0x80 {
		return strings.ContainsRune(" \t-./_", r)
	}
	// Minus, middle dots, bullets, full-width dot, slash and full stop.
	const more = "\u2212\u00b7\u2219\u2022\uff0e\uff0f\ufe52\u2044\u2215\u2043\u2024\u30fb"
	return unicode.In(r, unicode.Zs, unicode.Pd, unicode.Cf) || strings.ContainsRune(more, r)
}

// strange says why a character is refused.
func strange(r rune) *Denied {
	switch {
	case r == ',' || r == ';' || r == 'p' || r == 'w' || r == 'P' || r == 'W':
		return invalid("the number contains a pause or a list", "give one number, and send digits after the answer")
	case unicode.IsLetter(r):
		return invalid("the number contains letters", "write digits only, or a sip: URI for a name")
	case unicode.IsControl(r):
		return invalid("the number contains a line break or another control character", "remove it")
	default:
		return invalid("the number contains a character that is neither a digit nor a separator", "write digits only, with + in front of a country code")
	}
}

// digitValue returns 0 to 9 for a decimal digit of any script. Unicode puts the
// ten digits of a script side by side, in blocks that begin with zero.
func digitValue(r rune) int {
	for _, rng := range unicode.Nd.R16 {
		if lo := rune(rng.Lo); r >= lo && r <= rune(rng.Hi) {
			return int(r-lo) % 10
		}
	}
	for _, rng := range unicode.Nd.R32 {
		if lo := rune(rng.Lo); r >= lo && r <= rune(rng.Hi) {
			return int(r-lo) % 10
		}
	}
	return 0
}

// unescape resolves %41 once. What is still escaped after that, or escapes a
// control character, was written to deceive someone.
func unescape(text string) (string, *Denied) {
	if !strings.Contains(text, "%") {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i+2 >= len(text) || hexValue(text[i+1]) < 0 || hexValue(text[i+2]) < 0 {
			return "", invalid("the percent-encoding is broken", "write the number without it")
		}
		c := byte(hexValue(text[i+1])<<4 | hexValue(text[i+2]))
		if c < ' ' || c == 0x7f || c == '%' {
			return "", invalid("the percent-encoding hides a control character or another encoding", "write the number without it")
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// cutPrefixFold removes an ASCII prefix in any case.
func cutPrefixFold(text, prefix string) (string, bool) {
	if len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		return text[len(prefix):], true
	}
	return text, false
}
