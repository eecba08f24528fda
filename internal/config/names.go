package config

import (
	"slices"
	"strings"
)

// ours are the prefixes of our variables. A wrong SIP_ name is an error: a
// mistyped account would look like a wrong password. The others are shared with
// much other software, so a wrong name there is only worth a warning.
//
//nolint:gochecknoglobals // A table that never changes.
var ours = []string{"SIP_", "RTP_", "DIAL_", "SPEAK_", "LISTEN_", "API_", "HTTP_", "INBOUND_"}

// foreign are names with our prefixes that belong to others.
//
//nolint:gochecknoglobals // A table that never changes.
var foreign = []string{"HTTP_PROXY"}

// aliases are names that other SIP software uses.
//
//nolint:gochecknoglobals // A table that never changes.
var aliases = map[string]string{
	"SIP_USERNAME": "SIP_USER", "SIP_LOGIN": "SIP_USER", "SIP_ACCOUNT": "SIP_USER", "SIP_EXTENSION": "SIP_USER",
	"SIP_ID": "SIP_USER", "SIP_PASS": "SIP_PASSWORD", "SIP_PWD": "SIP_PASSWORD", "SIP_SECRET": "SIP_PASSWORD",
	"SIP_HOST": "SIP_SERVER", "SIP_REGISTRAR": "SIP_SERVER", "SIP_URI": "SIP_SERVER", "SIP_PORT": "SIP_SERVER",
	"SIP_REALM": "SIP_DOMAIN", "SIP_OUTBOUND_PROXY": "SIP_PROXY", "SIP_AUTH_ID": "SIP_AUTH_USER",
	"SIP_AUTH_USERNAME": "SIP_AUTH_USER", "SIP_FROM": "SIP_CALLER_ID", "SIP_NUMBER": "SIP_CALLER_ID",
	"SIP_NAME": "SIP_DISPLAY_NAME", "SIP_PROTOCOL": "SIP_TRANSPORT", "SIP_EXPIRY": "SIP_EXPIRES",
	"SIP_PUBLIC_IP": "PUBLIC_IP", "SIP_LOG_LEVEL": "LOG_LEVEL",
	"RTP_PORT_RANGE": "RTP_PORTS", "RTP_PORT_MIN": "RTP_PORTS", "RTP_PORT_MAX": "RTP_PORTS",
	"HTTP_PORT": "API_PORT", "API_KEY": "API_TOKEN", "HTTP_TOKEN": "API_TOKEN",
}

// unknown reports every name that looks like one of ours but is not.
func (l *loader) unknown() {
	var known []string
	for _, g := range l.groups {
		for _, v := range g.variables {
			known = append(known, v.name)
		}
	}
	names := make([]string, 0, len(l.given))
	for name := range l.given {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !isName(name) || slices.Contains(known, strings.TrimSuffix(name, "_FILE")) {
			continue
		}
		l.unknownName(name, known)
	}
}

// isName says whether a shell or an env file could have set this name.
func isName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

func (l *loader) unknownName(name string, known []string) {
	upper := strings.ToUpper(name)
	isOurs := slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(upper, prefix) })
	switch {
	case injected(name, l.given[name]), slices.Contains(foreign, upper):
	case strings.HasPrefix(upper, "SIP_"):
		l.problem(name, "", "is not a setting; %s", advice(upper, known))
	case isOurs:
		l.warn("%s is not a setting and is ignored; %s.", name, advice(upper, known))
	default:
		if best, d := Nearest(upper, known); len(name) > 5 && d <= 1 {
			l.warn("%s is not a setting and is ignored; did you mean %s?", name, best)
		}
	}
}

// advice ends the sentence about an unknown name.
func advice(name string, known []string) string {
	plain, isFile := strings.CutSuffix(name, "_FILE")
	if name == "SIP_PORT" {
		return "write the port into SIP_SERVER, such as sip.example.com:5060"
	}
	best, d := Nearest(plain, known)
	if alias, ok := aliases[plain]; ok {
		best, d = alias, 0
	}
	if d > max(2, len(plain)/4) {
		return "remove it, or see \"phonesocket env\" for the names that exist"
	}
	if isFile {
		best += "_FILE"
	}
	return "did you mean " + best + "?"
}

// injected recognises what Kubernetes and old Docker links put into every
// container of a network: X_SERVICE_HOST, X_SERVICE_PORT, X_PORT=tcp://…,
// X_PORT_8085_TCP and what follows that.
func injected(name, value string) bool {
	for _, scheme := range []string{"tcp://", "udp://", "sctp://"} {
		if strings.HasPrefix(value, scheme) && (strings.HasSuffix(name, "_PORT") || strings.Contains(name, "_PORT_")) {
			return true
		}
	}
	if strings.HasSuffix(name, "_SERVICE_HOST") || strings.HasSuffix(name, "_SERVICE_PORT") ||
		strings.Contains(name, "_SERVICE_PORT_") {
		return true
	}
	_, after, ok := strings.Cut(name, "_PORT_")
	digits, rest, _ := strings.Cut(after, "_")
	proto, _, _ := strings.Cut(rest, "_")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == "" &&
		(proto == "TCP" || proto == "UDP" || proto == "SCTP")
}

// Nearest returns the candidate with the smallest edit distance to word (a
// letter inserted, removed, replaced, or two neighbours swapped), and that
// distance; of equals the first. Without candidates the distance is larger than word.
func Nearest(word string, candidates []string) (best string, distance int) {
	distance = len(word) + 1
	for _, candidate := range candidates {
		if d := editDistance(word, candidate); best == "" || d < distance {
			best, distance = candidate, d
		}
	}
	return best, distance
}

func editDistance(a, b string) int {
	const most = 64 // names are short; a longer word is far from every candidate
	if len(a) > most || len(b) > most {
		return most
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
