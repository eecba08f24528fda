package phonenet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

var (
	errNoAudio = errors.New("no audio stream over RTP/AVP")
	errNoCodec = errors.New("no codec in common")
)

// Directions of RFC 3264 5.1.
const (
	sendrecv = "sendrecv"
	sendonly = "sendonly"
	recvonly = "recvonly"
	inactive = "inactive"
)

// remoteMedia is what a session description of the peer says about its audio.
type remoteMedia struct {
	addr      netip.AddrPort
	codec     codec
	dtmf      uint8 // payload type of telephone-event, 0 for none
	direction string
	streams   []stream // all media lines, for the answer's order
	audio     int      // index of the audio line in streams
}

type stream struct{ media, proto, format string }

// readSDP finds the first usable audio line and the first of its codecs that is in names.
func readSDP(body []byte, names []string) (remoteMedia, error) {
	var desc sdp.SessionDescription
	if err := desc.Unmarshal(body); err != nil {
		return remoteMedia{}, fmt.Errorf("read session description: %w", err)
	}
	r := remoteMedia{audio: -1, direction: sendrecv}
	for i, m := range desc.MediaDescriptions {
		proto := strings.Join(m.MediaName.Protos, "/")
		s := stream{media: m.MediaName.Media, proto: proto, format: "0"}
		if len(m.MediaName.Formats) > 0 {
			s.format = m.MediaName.Formats[0]
		}
		r.streams = append(r.streams, s)
		if r.audio < 0 && s.media == "audio" && proto == "RTP/AVP" && m.MediaName.Port.Value > 0 {
			r.audio = i
		}
	}
	if r.audio < 0 {
		return r, errNoAudio
	}
	m := desc.MediaDescriptions[r.audio]
	if err := r.readAddress(&desc, m); err != nil {
		return r, err
	}
	r.readDirection(&desc, m)
	return r, r.readCodecs(m, names)
}

func (r *remoteMedia) readAddress(desc *sdp.SessionDescription, m *sdp.MediaDescription) error {
	conn := desc.ConnectionInformation
	if m.ConnectionInformation != nil {
		conn = m.ConnectionInformation
	}
	if conn == nil || conn.Address == nil {
		return fmt.Errorf("no connection address: %w", errNoAudio)
	}
	addr, err := netip.ParseAddr(conn.Address.Address)
	if err != nil {
		return fmt.Errorf("connection address: %w", err)
	}
	port := m.MediaName.Port.Value
	if port > 65535 {
		return fmt.Errorf("port %d: %w", port, errNoAudio)
	}
	r.addr = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	return nil
}

func (r *remoteMedia) readDirection(desc *sdp.SessionDescription, m *sdp.MediaDescription) {
	for _, attributes := range [][]sdp.Attribute{desc.Attributes, m.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case sendrecv, sendonly, recvonly, inactive:
				r.direction = a.Key
			}
		}
	}
	if r.addr.Addr().IsUnspecified() && r.direction == sendrecv { // the hold of RFC 2543
		r.direction = sendonly
	}
}

func (r *remoteMedia) readCodecs(m *sdp.MediaDescription, names []string) error {
	maps := map[string]string{}
	for _, a := range m.Attributes {
		if format, value, ok := strings.Cut(a.Value, " "); ok && a.Key == "rtpmap" {
			maps[format] = strings.ToLower(value)
		}
	}
	found := false
	for _, format := range m.MediaName.Formats {
		number, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		name := maps[format]
		if name == "" {
			name = map[uint64]string{0: "pcmu/8000", 8: "pcma/8000"}[number]
		}
		name = strings.TrimSuffix(name, "/1")
		if name == "telephone-event/8000" {
			r.dtmf = uint8(number)
		}
		if found {
			continue
		}
		base, rate, _ := strings.Cut(strings.ToUpper(name), "/")
		if c, ok := codecByName(base); ok && rate == "8000" && slices.Contains(names, base) {
			c.payload = uint8(number)
			r.codec, found = c, true
		}
	}
	if !found {
		return errNoCodec
	}
	return nil
}

// localMedia is what we say about our audio.
type localMedia struct {
	addr      netip.AddrPort
	codecs    []codec
	dtmf      uint8
	direction string
	ptime     int // ms
	session   uint64
	version   uint64
	streams   []stream // of the offer that is answered; nil for an offer
	audio     int
}

// write renders a session description (RFC 8866). Media lines of the offer that
// are not served are answered with port 0 (RFC 3264 6).
func (l localMedia) write() []byte {
	family := "IP4"
	if l.addr.Addr().Is6() {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=phonenet %d %d IN %s %s\r\ns=phonenet\r\nc=IN %s %s\r\nt=0 0\r\n",
		l.session, l.version, family, l.addr.Addr(), family, l.addr.Addr())
	streams, audio := l.streams, l.audio
	if streams == nil {
		streams, audio = []stream{{media: "audio", proto: "RTP/AVP"}}, 0
	}
	for i, s := range streams {
		if i != audio {
			fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", s.media, s.proto, s.format)
			continue
		}
		l.writeAudio(&b)
	}
	return []byte(b.String())
}

func (l localMedia) writeAudio(b *strings.Builder) {
	fmt.Fprintf(b, "m=audio %d RTP/AVP", l.addr.Port())
	for _, c := range l.codecs {
		fmt.Fprintf(b, " %d", c.payload)
	}
	if l.dtmf != 0 {
		fmt.Fprintf(b, " %d", l.dtmf)
	}
	b.WriteString("\r\n")
	for _, c := range l.codecs {
		fmt.Fprintf(b, "a=rtpmap:%d %s/%d\r\n", c.payload, c.name, clockRate)
	}
	if l.dtmf != 0 {
		fmt.Fprintf(b, "a=rtpmap:%d telephone-event/%d\r\na=fmtp:%d 0-16\r\n", l.dtmf, clockRate, l.dtmf)
	}
	fmt.Fprintf(b, "a=ptime:%d\r\na=%s\r\n", l.ptime, l.direction)
}

// answerDirection is ours when the peer said theirs (RFC 3264 6.1), given what we would like.
func answerDirection(theirs, ours string) string {
	send := (theirs == sendrecv || theirs == recvonly) && (ours == sendrecv || ours == sendonly)
	hear := (theirs == sendrecv || theirs == sendonly) && (ours == sendrecv || ours == recvonly)
	switch {
	case send && hear:
		return sendrecv
	case send:
		return sendonly
	case hear:
		return recvonly
	}
	return inactive
}
