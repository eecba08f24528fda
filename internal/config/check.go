package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"phonesocket/internal/call/policy"
)

// check compares settings with each other, fills what follows from others and
// collects warnings. It runs only when each value is right by itself.
func (l *loader) check(cfg *Config) {
	l.checkNeeded(cfg)
	l.checkTransport(&cfg.SIP)
	l.checkPorts(cfg)
	l.checkDoors(cfg)
	l.checkDial(cfg.Dial)
	l.checkInbound(cfg.Inbound)
	if cfg.SIP.AuthUser == "" {
		cfg.SIP.AuthUser = cfg.SIP.User
	}
	if cfg.SIP.Domain == "" {
		cfg.SIP.Domain = cfg.SIP.Server.Host
	}
}

// checkNeeded names what is missing, unless a problem with it was named already.
func (l *loader) checkNeeded(cfg *Config) {
	for _, g := range l.groups {
		for _, v := range g.variables {
			if _, ok := l.values[v.name]; ok || !v.needed || l.blamed(v.name) {
				continue
			}
			if v.name == "SIP_PASSWORD" && !cfg.SIP.needsPassword() {
				continue
			}
			text := fmt.Sprintf("is missing; expected %s", v.expected())
			if v.secret {
				text = fmt.Sprintf("is missing; expected the password of the account, or its file in %s_FILE", v.name)
			}
			l.problem(v.name, "", "%s", text)
		}
	}
}

func (l *loader) blamed(name string) bool {
	for _, p := range l.problems {
		if p.Variable == name || p.Variable == name+"_FILE" {
			return true
		}
	}
	return false
}

// needsPassword is false for trunks that go by address and for lines whose
// access is the proof (Telekom: anonymous@t-online.de with no password).
func (s SIP) needsPassword() bool {
	return s.Register && !strings.HasPrefix(strings.ToLower(s.AuthUser), "anonymous@")
}

func (l *loader) checkTransport(s *SIP) {
	_, explicit := l.values["SIP_TRANSPORT"]
	if said := s.Server.Transport; said != "" {
		if explicit && said != s.Transport {
			l.problem("SIP_TRANSPORT", quote(s.Transport), "contradicts SIP_SERVER, which says %s; expected the same in both, or only one", said)
		}
		s.Transport = said
	}
	if said := s.Proxy.Transport; said != "" && said != s.Transport {
		l.problem("SIP_PROXY", quote(l.values["SIP_PROXY"]), "says transport %s, but SIP_TRANSPORT or SIP_SERVER says %s; expected the same", said, s.Transport)
	}
	for name, server := range map[string]Server{"SIP_SERVER": s.Server, "SIP_PROXY": s.Proxy} {
		switch {
		case s.Transport == "tls" && server.Port == 5060:
			l.warn("%s names port 5060, but SIP over TLS is usually at 5061.", name)
		case s.Transport != "tls" && server.Port == 5061:
			l.warn("%s names port 5061, which is usually SIP over TLS, but the transport is %s; set SIP_TRANSPORT=tls if so.", name, s.Transport)
		}
	}
	if s.Transport != "tls" && (s.TLSCA != "" || s.TLSServerName != "") {
		l.warn("SIP_TLS_CA and SIP_TLS_SERVER_NAME have no effect with SIP_TRANSPORT=%s.", s.Transport)
	}
}

func (l *loader) checkPorts(cfg *Config) {
	if count, need := cfg.Media.RTPPorts.Count(), 2*cfg.Dial.MaxCalls; count > 0 && count < need {
		first := cfg.Media.RTPPorts.First
		l.problem("RTP_PORTS", quote(cfg.Media.RTPPorts.String()),
			"holds %d ports, but MAX_CALLS=%d needs %d (two per call); expected at least %s, or MAX_CALLS=%d",
			count, cfg.Dial.MaxCalls, need, atLeast(first, need), max(1, count/2))
	}
	if p, r := cfg.SIP.Bind.Port(), cfg.Media.RTPPorts; r.Count() > 0 && p >= r.First && p <= r.Last {
		l.problem("RTP_PORTS", quote(r.String()), "contains port %d of SIP_BIND; expected ranges apart", p)
	}
	doors := []struct {
		name string
		port uint16
	}{{"API_PORT", cfg.HTTP.APIPort}, {"SPEAK_PORT", cfg.HTTP.SpeakPort}, {"LISTEN_PORT", cfg.HTTP.ListenPort}}
	for i, a := range doors {
		for _, b := range doors[:i] {
			if a.port == b.port && a.port != 0 {
				l.problem(a.name, fmt.Sprint(a.port), "is also %s; expected three different ports", b.name)
			}
		}
	}
}

func atLeast(first uint16, need int) string {
	if int(first)+need-1 > 65535 {
		first = uint16(65536 - need)
	}
	return fmt.Sprintf("%d-%d", first, int(first)+need-1)
}

func (l *loader) checkDoors(cfg *Config) {
	if cfg.HTTP.Public() && cfg.HTTP.APIToken.Empty() {
		l.warn("HTTP_BIND=%s without API_TOKEN: whoever reaches the ports can call at your cost. "+
			"Set API_TOKEN, or publish the ports on 127.0.0.1 only.", cfg.HTTP.Bind)
	}
	if n := len(cfg.HTTP.APIToken.Reveal()); n > 0 && n < 16 {
		l.warn("API_TOKEN is shorter than 16 characters and can be guessed.")
	}
	if ip := cfg.Media.PublicIP; ip.IsValid() && (ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		l.problem("PUBLIC_IP", quote(ip.String()), "is not the address of a host; expected one, such as 203.0.113.7, or nothing")
	}
}

// checkDial lets the dial policy read its rules now rather than at the first call.
func (l *loader) checkDial(d Dial) {
	err := policy.Rules{Allow: d.Allow, Country: d.Country}.Validate()
	if wrong, ok := errors.AsType[*policy.RuleError](err); ok {
		l.problem("DIAL_"+strings.ToUpper(wrong.Field), quote(wrong.Entry), "%s", wrong.Text)
	}
	if codes := policy.EmergencyIn(d.Allow, d.Country); len(codes) > 0 {
		l.warn("DIAL_ALLOW names %s: a call from here gives the emergency service no location, and nothing guarantees "+
			"that it works.", strings.Join(codes, ", "))
	}
}

// warnQuotes: docker run --env-file and old compose versions keep the quotes
// that a shell would take away.
func (l *loader) warnQuotes() {
	for _, g := range l.groups {
		for _, v := range g.variables {
			value := l.given[v.name]
			if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
				l.warn("%s stands in quotes, and they are taken as part of the value; remove them.", v.name)
			}
		}
	}
}
