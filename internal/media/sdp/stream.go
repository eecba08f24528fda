package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// readStream decides what an audio line means for us.
func readStream(l Local, d *description, m *media) (Remote, error) {
	if m.port == 0 {
		return Remote{}, fmt.Errorf("audio port is 0: %w", ErrRejected)
	}
	// Plain RTP only: a secure profile must never be answered by a plain one.
	if !strings.EqualFold(m.proto, "RTP/AVP") && !strings.EqualFold(m.proto, "RTP/AVPF") {
		return Remote{}, fmt.Errorf("transport %.20q is not RTP/AVP: %w", m.proto, ErrRejected)
	}
	codec, dtmf, err := chooseCodec(l, m)
	if err != nil {
		return Remote{}, err
	}
	value := m.connection
	if value == "" {
		value = d.connection
	}
	if value == "" {
		return Remote{}, fmt.Errorf("no c= line: %w", ErrAddress)
	}
	addr, err := parseConnection(value)
	if err != nil {
		return Remote{}, err
	}
	r := Remote{Addr: netip.AddrPortFrom(addr, m.port), Codec: codec, DTMF: dtmf, Direction: d.direction(m), PtimeMS: d.ptime(m)}
	if err := checkAddress(l, r.Addr); err != nil {
		return Remote{}, err
	}
	r.RTCP, r.Mux = m.reports(r.Addr)
	r.Held = addr.IsUnspecified() || r.Direction == SendOnly || r.Direction == Inactive
	return r, nil
}

// reports finds where the far end wants our RTCP. Of the attribute of RFC 3605
// only the port is believed: another host has no business in this call.
func (m *media) reports(rtp netip.AddrPort) (netip.AddrPort, bool) {
	port, mux := rtp.Port()+1, false
	for _, a := range m.attributes {
		switch a.key {
		case "rtcp-mux":
			mux = true
		case "rtcp":
			text, _, _ := strings.Cut(a.value, " ")
			if n, err := strconv.ParseUint(text, 10, 16); err == nil {
				port = uint16(n)
			}
		}
	}
	if mux {
		port = rtp.Port()
	}
	return netip.AddrPortFrom(rtp.Addr(), port), mux
}

// checkAddress refuses addresses to which no telephone sends its audio.
func checkAddress(l Local, a netip.AddrPort) error {
	addr := a.Addr()
	why := ""
	switch {
	case addr.IsMulticast():
		why = "multicast"
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		why = "broadcast"
	case addr.IsLinkLocalUnicast():
		why = "link-local"
	case addr.Is4() && !addr.IsUnspecified() && addr.As4()[0] == 0:
		why = "not a host (0.0.0.0/8)"
	case addr == l.Addr.Addr().Unmap() && a.Port() == l.Addr.Port():
		why = "our own port"
	}
	if why != "" {
		return fmt.Errorf("%s is %s: %w", a, why, ErrAddress)
	}
	return nil
}

// chooseCodec takes the first payload type of the line that is one of our
// codecs, and the one of telephone-event that has the same clock.
func chooseCodec(l Local, m *media) (Codec, uint8, error) {
	var codec Codec
	var dtmf uint8
	found := false
	for _, f := range m.formats {
		n, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		name, rate := m.format(f)
		if strings.EqualFold(name, "telephone-event") {
			if dtmf == 0 && rate == 8000 && l.DTMF {
				dtmf = uint8(n)
			}
			continue
		}
		i := slices.IndexFunc(l.codecs(), func(c Codec) bool {
			return strings.EqualFold(c.Name, name) && c.ClockRate == rate
		})
		if !found && i >= 0 {
			codec, found = l.codecs()[i], true
			codec.PayloadType = uint8(n)
		}
	}
	if !found {
		return Codec{}, 0, fmt.Errorf("audio formats %.60q: %w", strings.Join(m.formats, " "), ErrNoCodec)
	}
	return codec, dtmf, nil
}

// format is the encoding name and the clock of a payload type: by its rtpmap,
// or by the static table of RFC 3551 6 that needs none.
func (m *media) format(payloadType string) (string, int) {
	for _, a := range m.attributes {
		if a.key != "rtpmap" {
			continue
		}
		f := strings.Fields(a.value)
		if len(f) < 2 || f[0] != payloadType {
			continue
		}
		parts := strings.Split(f[1], "/")
		if len(parts) < 2 || (len(parts) > 2 && parts[2] != "1") {
			return "", 0
		}
		rate, err := strconv.Atoi(parts[1])
		if err != nil {
			return "", 0
		}
		return parts[0], rate
	}
	switch payloadType {
	case "0":
		return "PCMU", 8000
	case "8":
		return "PCMA", 8000
	case "9":
		return "G722", 8000
	default:
		return "", 0
	}
}

// ptime is the packet length the far end wants, in milliseconds: ptime, but
// not above maxptime (RFC 8866 6.4), 20 without either.
func (d *description) ptime(m *media) int {
	ms := 20
	if v, ok := d.attribute(m, "ptime"); ok {
		ms = milliseconds(v, ms)
	}
	if v, ok := d.attribute(m, "maxptime"); ok {
		ms = min(ms, milliseconds(v, ms))
	}
	return ms
}

func milliseconds(value string, otherwise int) int {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n < 10 || n > 200 {
		return otherwise
	}
	return int(n)
}
