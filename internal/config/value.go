package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Server is the address of a SIP server as a user writes it.
type Server struct { //nolint:recvcheck // UnmarshalText needs a pointer, nothing else does.
	Host      string // DNS name or IP address without brackets; empty when not set
	Port      uint16 // 0: by DNS (SRV), else the transport's default
	Transport string // "udp", "tcp", "tls", or empty when the text does not say
}

// String returns host or host:port.
func (s Server) String() string {
	if s.Port != 0 {
		return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))
	}
	return s.Host
}

// UnmarshalText reads host, host:port or a sip: or sips: URI; see ParseServer.
func (s *Server) UnmarshalText(text []byte) (err error) {
	*s, err = ParseServer(string(text))
	return err
}

// ParseServer reads "host", "host:port", "sip:host:port;transport=tcp" and
// "sips:host"; IPv6 addresses stand in brackets, or alone. Parameters other than
// transport and lr are refused: they would be ignored silently.
func ParseServer(text string) (Server, error) {
	var s Server
	rest := text
	if scheme, after, ok := cutScheme(rest); ok {
		rest = strings.TrimPrefix(after, "//")
		if scheme == "sips" {
			s.Transport = "tls"
		}
	}
	rest, params, _ := strings.Cut(rest, ";")
	if err := s.readParams(params); err != nil {
		return Server{}, err
	}
	if strings.Contains(rest, "@") {
		return Server{}, errors.New("it contains a user name; write that into SIP_USER")
	}
	host, port, err := cutPort(rest)
	if err != nil {
		return Server{}, err
	}
	if s.Host, err = cleanHost(host); err != nil {
		return Server{}, err
	}
	s.Port = port
	return s, nil
}

func cutScheme(text string) (scheme, rest string, ok bool) {
	for _, scheme := range []string{"sip", "sips"} {
		if len(text) > len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) && text[len(scheme)] == ':' {
			rest = text[len(scheme)+1:]
			if _, err := strconv.ParseUint(rest, 10, 16); err == nil {
				return "", text, false // a host called "sip" with its port
			}
			return scheme, rest, true
		}
	}
	return "", text, false
}

func (s *Server) readParams(params string) error {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "", "lr":
		case "transport":
			value = strings.ToLower(strings.TrimSpace(value))
			if value != "udp" && value != "tcp" && value != "tls" {
				return fmt.Errorf("transport %q is not udp, tcp or tls", value)
			}
			if s.Transport != "" && value == "udp" {
				return errors.New("sips: cannot go over udp")
			}
			if s.Transport == "" {
				s.Transport = value
			}
		default:
			return fmt.Errorf("parameter %q is not supported", name)
		}
	}
	return nil
}

// cutPort splits host:port, [v6]:port, and leaves a bare IPv6 address whole.
// Port 0 is returned when there is none.
func cutPort(text string) (host string, port uint16, err error) {
	if strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[") {
		return text, 0, nil
	}
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		return text[1 : len(text)-1], 0, nil
	}
	if !strings.Contains(text, ":") {
		return text, 0, nil
	}
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, errors.New("the port cannot be read")
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not a number from 1 to 65535", digits)
	}
	return host, uint16(n), nil
}

// cleanHost accepts an IP address or a DNS name (lower-cased, without a final dot).
func cleanHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" {
		return "", errors.New("the host is missing")
	}
	if len(name) > 253 {
		return "", errors.New("the host is longer than 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("%q is not a host name", host)
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("%q is not a host name", host)
		}
	}
	if last := name[strings.LastIndexByte(name, '.')+1:]; strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%q is neither an IP address nor a host name", host)
	}
	return name, nil
}

// PortRange is a range of UDP ports; the zero value means any free port.
type PortRange struct{ First, Last uint16 }

// Count returns how many ports the range holds, 0 for "any".
func (r PortRange) Count() int {
	if r == (PortRange{}) {
		return 0
	}
	return int(r.Last) - int(r.First) + 1
}

// String returns first-last, or nothing for "any".
func (r PortRange) String() string {
	if r == (PortRange{}) {
		return ""
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// UnmarshalText reads first-last.
func (r *PortRange) UnmarshalText(text []byte) error {
	first, last, ok := strings.Cut(string(text), "-")
	if !ok {
		return errors.New("there is no - between first and last port")
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if errA != nil || errB != nil || a == 0 {
		return errors.New("a port is not a number from 1 to 65535")
	}
	if b < a {
		return errors.New("the last port is before the first")
	}
	*r = PortRange{First: uint16(a), Last: uint16(b)}
	return nil
}
