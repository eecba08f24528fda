package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Limits of what is read; a telephone's description has a few hundred bytes.
const (
	maxBytes = 64 << 10
	maxMedia = 16
)

// description is what we keep of a session description.
type description struct {
	connection string // value of the c= line at session level
	attributes []attribute
	media      []*media
}

type media struct {
	kind, proto string
	port        uint16
	formats     []string
	connection  string
	attributes  []attribute
}

type attribute struct{ key, value string }

// parse reads the lines we need (c=, m=, a=) and skips all others, in
// whatever order they come.
func parse(data []byte) (*description, error) {
	text := strings.Trim(string(data), "\x00 \t\r\n")
	if text == "" {
		return nil, ErrNoSDP
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("%d bytes: %w", len(text), ErrSyntax)
	}
	if !strings.HasPrefix(text, "v=") {
		return nil, fmt.Errorf("does not begin with v=: %w", ErrSyntax)
	}
	d := &description{}
	for line := range strings.Lines(text) {
		line = strings.Trim(line, "\r\n \t")
		if len(line) < 2 || line[1] != '=' {
			continue
		}
		if err := d.line(line[0], strings.TrimSpace(line[2:])); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *description) line(key byte, value string) error {
	var m *media
	if n := len(d.media); n > 0 {
		m = d.media[n-1]
	}
	switch {
	case key == 'm':
		m, err := parseMedia(value)
		if err != nil {
			return err
		}
		if len(d.media) == maxMedia {
			return fmt.Errorf("more than %d media lines: %w", maxMedia, ErrSyntax)
		}
		d.media = append(d.media, m)
	case key == 'c' && m != nil:
		m.connection = value
	case key == 'c':
		d.connection = value
	case key == 'a' && m != nil:
		m.attributes = append(m.attributes, parseAttribute(value))
	case key == 'a':
		d.attributes = append(d.attributes, parseAttribute(value))
	}
	return nil
}

// parseMedia reads "audio 49170/2 RTP/AVP 0 8".
func parseMedia(value string) (*media, error) {
	f := strings.Fields(value)
	if len(f) < 4 {
		return nil, fmt.Errorf("media line %.40q has too few fields: %w", value, ErrSyntax)
	}
	port, _, _ := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("media port %.20q: %w", f[1], ErrSyntax)
	}
	return &media{kind: strings.ToLower(f[0]), port: uint16(n), proto: f[2], formats: f[3:]}, nil
}

func parseAttribute(value string) attribute {
	key, value, _ := strings.Cut(value, ":")
	return attribute{key: strings.ToLower(strings.TrimSpace(key)), value: strings.TrimSpace(value)}
}

// parseConnection reads "IN IP4 192.0.2.1/127".
func parseConnection(value string) (netip.Addr, error) {
	f := strings.Fields(value)
	if len(f) != 3 || !strings.EqualFold(f[0], "IN") {
		return netip.Addr{}, fmt.Errorf("connection %.60q is not IN IP4 or IN IP6 with an address: %w", value, ErrAddress)
	}
	text, _, _ := strings.Cut(f[2], "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("connection address %.60q is not an IP address: %w", text, ErrAddress)
	}
	return addr.Unmap(), nil
}

func (d *description) firstAudio() int {
	for i, m := range d.media {
		if m.kind == "audio" {
			return i
		}
	}
	return -1
}

// attribute finds the last value of an attribute of the stream or, when it has
// none, of the session.
func (d *description) attribute(m *media, key string) (string, bool) {
	for _, list := range [][]attribute{m.attributes, d.attributes} {
		for _, a := range slices.Backward(list) {
			if a.key == key {
				return a.value, true
			}
		}
	}
	return "", false
}

// direction finds the direction attribute of the stream, else of the session;
// "If none of the attributes [...] is present, sendrecv SHOULD be assumed as
// the default". RFC 8866 6.7.
func (d *description) direction(m *media) string {
	for _, list := range [][]attribute{m.attributes, d.attributes} {
		for _, a := range slices.Backward(list) {
			switch a.key {
			case SendRecv, SendOnly, RecvOnly, Inactive:
				return a.key
			}
		}
	}
	return SendRecv
}
