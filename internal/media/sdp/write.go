package sdp

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

func writeSession(b *bytes.Buffer, l Local, version uint64) {
	addr := l.Addr.Addr().Unmap()
	family := "IP4"
	if addr.Is6() {
		family = "IP6"
	}
	fmt.Fprintf(b, "v=0\r\no=- %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
		l.SessionID, version, family, addr, family, addr)
}

func writeCodec(b *bytes.Buffer, c Codec) {
	fmt.Fprintf(b, "a=rtpmap:%d %s/%d\r\n", c.PayloadType, c.Name, c.ClockRate)
}

func writeEvents(b *bytes.Buffer, payloadType uint8) {
	fmt.Fprintf(b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\n", payloadType, payloadType)
}

func writeTail(b *bytes.Buffer, direction string, mux bool) {
	b.WriteString("a=ptime:20\r\n")
	if mux {
		b.WriteString("a=rtcp-mux\r\n")
	}
	fmt.Fprintf(b, "a=%s\r\n", direction)
}

func writeAnswer(l Local, d *description, chosen int, r Remote, version uint64) []byte {
	var b bytes.Buffer
	writeSession(&b, l, version)
	for i, m := range d.media {
		if i != chosen {
			// "To reject an offered stream, the port number in the corresponding
			// stream in the answer MUST be set to zero. Any media formats listed
			// are ignored. At least one MUST be present, as specified by SDP."
			// RFC 3264 6.
			fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", m.kind, m.proto, strings.Join(m.formats, " "))
			continue
		}
		fmt.Fprintf(&b, "m=audio %d %s %d", l.Addr.Port(), m.proto, r.Codec.PayloadType)
		if r.DTMF != 0 {
			fmt.Fprintf(&b, " %d", r.DTMF)
		}
		b.WriteString("\r\n")
		writeCodec(&b, r.Codec)
		if r.DTMF != 0 {
			writeEvents(&b, r.DTMF)
		}
		writeTail(&b, answerDirection(r.Direction, l.direction()), r.Mux)
	}
	return b.Bytes()
}

// answerDirection is the direction of our answer: what both allow, seen from
// our side. "If a stream is offered as sendonly, the corresponding stream MUST
// be marked as recvonly or inactive in the answer." RFC 3264 6.1.
func answerDirection(theirs, ours string) string {
	send := (theirs == SendRecv || theirs == RecvOnly) && (ours == SendRecv || ours == SendOnly)
	recv := (theirs == SendRecv || theirs == SendOnly) && (ours == SendRecv || ours == RecvOnly)
	switch {
	case send && recv:
		return SendRecv
	case send:
		return SendOnly
	case recv:
		return RecvOnly
	default:
		return Inactive
	}
}

// versioned writes a description with the version that its o= line must have:
// "if the version in the origin line does not increment, the SDP MUST be
// identical to the SDP with that version number." RFC 3264 8.
func versioned(l Local, write func(version uint64) []byte) []byte {
	last, ok := originVersion(l.Previous)
	if !ok {
		return write(l.Version)
	}
	if body := write(last); bytes.Equal(body, l.Previous) {
		return body
	}
	return write(last + 1)
}

// originVersion finds the version in the o= line of a description of our own.
func originVersion(body []byte) (uint64, bool) {
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, "o=") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			return 0, false
		}
		v, err := strconv.ParseUint(f[2], 10, 64)
		return v, err == nil
	}
	return 0, false
}
