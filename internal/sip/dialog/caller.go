package dialog

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

// Anonymous is the From of an Arrival whose caller does not want to be known.
const Anonymous = "anonymous"

// maxParty bounds what is believed of a caller, in bytes.
const maxParty = 256

// callerOf tells who calls: what the network asserts (RFC 3325), what gateways
// used for that before (Remote-Party-ID), what the caller says of itself. One
// that asks for privacy (RFC 3323) stays unknown.
func callerOf(req *sip.Request) (number, name string) {
	for v := range strings.SplitSeq(headerValue(req, "Privacy"), ";") {
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "id", "user", "full":
			return Anonymous, ""
		}
	}
	for _, header := range []string{"P-Asserted-Identity", "Remote-Party-ID"} {
		name, uri := nameAddr(headerValue(req, header))
		if number := partyOf(uri); number != "" && number != Anonymous {
			return number, readable(name)
		}
	}
	from := req.From()
	if number = partyOf(from.Address.String()); number == "" {
		return Anonymous, ""
	}
	return number, readable(from.DisplayName)
}

// calledOf tells which number of the account was dialled: the network says it
// (RFC 7315 section 4.2), else the caller did.
func calledOf(req *sip.Request) string {
	_, uri := nameAddr(headerValue(req, "P-Called-Party-ID"))
	for _, uri := range []string{uri, req.To().Address.String(), req.Recipient.String()} {
		if number := partyOf(uri); number != "" && number != Anonymous {
			return number
		}
	}
	return ""
}

// nameAddr takes the first name and URI out of a header value.
func nameAddr(value string) (name, uri string) {
	if rest, ok := strings.CutPrefix(strings.TrimSpace(value), `"`); ok {
		end := 0
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return "", ""
		}
		name, value = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(rest[:end]), rest[end+1:]
	}
	before, after, ok := strings.Cut(value, "<")
	if !ok {
		uri, _, _ = strings.Cut(value, ",")
		uri, _, _ = strings.Cut(uri, ";")
		return name, strings.TrimSpace(uri)
	}
	if name == "" {
		name = strings.TrimSpace(before)
	}
	uri, _, ok = strings.Cut(after, ">")
	if !ok {
		return "", ""
	}
	return name, strings.TrimSpace(uri)
}

// partyOf brings a URI into the form that people read: a number without
// separators, or the address; "" if it is none.
func partyOf(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	scheme = strings.ToLower(scheme)
	if !ok || len(uri) > maxParty {
		return ""
	}
	var user, host string
	switch scheme {
	case "tel":
		user = rest
	case "sip", "sips":
		at := strings.LastIndexByte(rest, '@')
		if at < 0 {
			return ""
		}
		user, host = rest[:at], rest[at+1:]
	default:
		return ""
	}
	user, _, _ = strings.Cut(user, ";")
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	host, _, _ = strings.Cut(host, ";")
	host, _, _ = strings.Cut(host, "?")
	if number := numberOf(user); number != "" {
		return number
	}
	user, _, _ = strings.Cut(user, ":")
	switch {
	case user == "" || scheme == "tel":
		return ""
	case strings.EqualFold(user, Anonymous) || strings.EqualFold(host, "anonymous.invalid"):
		return Anonymous
	}
	party := scheme + ":" + user + "@" + host
	if readable(party) != party {
		return ""
	}
	return party
}

// numberOf takes the separators out of a number, "" if it is none.
func numberOf(user string) string {
	var b strings.Builder
	for i, r := range user {
		switch {
		case r >= '0' && r <= '9', r == '*', r == '#', r == '+' && i == 0:
			b.WriteRune(r)
		case strings.ContainsRune("-.() ", r):
		default:
			return ""
		}
	}
	if b.String() == "+" {
		return ""
	}
	return b.String()
}

// readable takes what cannot be shown out of a text of a stranger.
func readable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	for len(text) > maxParty {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return strings.TrimSpace(text)
}
