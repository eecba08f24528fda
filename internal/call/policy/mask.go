package policy

import (
	"log/slog"
	"strings"
)

// Party is a number or SIP address of someone; logged, its last digits are hidden.
type Party string

// LogValue returns the masked form.
func (p Party) LogValue() slog.Value { return slog.StringValue(Masked(string(p))) }

// Masked hides who exactly was called and still tells calls apart: of a number
// the last three digits become dots, of the user of a SIP address all but the
// first letter. Short internal numbers of up to three digits stay.
func Masked(number string) string {
	scheme, rest := "", number
	for _, s := range []string{"sip:", "sips:", "tel:"} {
		if after, ok := cutPrefixFold(number, s); ok {
			scheme, rest = s, after
			break
		}
	}
	user, host, isSIP := strings.Cut(rest, "@")
	user, _, _ = strings.Cut(user, ";")
	if isSIP {
		host, _, _ = strings.Cut(host, "?")
		return scheme + maskUser(user) + "@" + host
	}
	return scheme + maskUser(user)
}

func maskUser(user string) string {
	letters := []rune(user)
	keep := len(letters) - 3
	if strings.ContainsFunc(user, isLetter) {
		keep = min(1, len(letters))
	} else if len(letters) <= 3 {
		return user
	}
	for i := keep; i < len(letters); i++ {
		letters[i] = '•'
	}
	return string(letters)
}
