// Package sdp offers and answers one audio stream: pure functions from
// descriptions to decisions.
//
// It speaks the part of the offer/answer model (RFC 3264) and of the session
// description protocol (RFC 8866) that a telephone call needs: one audio
// m-line over plain RTP, everything else is refused with port 0. It resolves
// no names and knows no sockets. The parser is our own because a telephone
// must live with what SDP libraries refuse: fax lines (m=image), unknown
// bandwidth modifiers, lines in the wrong order, bare line feeds.
package sdp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The values of a direction attribute (RFC 8866 6.7), from the view of the one
// whose description carries it.
const (
	SendRecv = "sendrecv"
	SendOnly = "sendonly"
	RecvOnly = "recvonly"
	Inactive = "inactive"
)

// Errors of ReadAnswer, Answer and CheckPeer, to be asked for with errors.Is;
// what is returned wraps them and says what was found.
var (
	ErrNoSDP    = errors.New("no session description")
	ErrSyntax   = errors.New("malformed session description")
	ErrRejected = errors.New("audio stream rejected")
	ErrNoCodec  = errors.New("no common codec")
	ErrAddress  = errors.New("unusable media address")
)

// eventType is the payload type under which we offer telephone-event (RFC 4733).
const eventType = 101

// Codec names one audio coding of an RTP stream.
type Codec struct {
	Name        string // encoding name of the rtpmap attribute: PCMA, PCMU, G722
	PayloadType uint8  // 0 to 127
	ClockRate   int    // RTP clock in Hz; 8000 for all three, G.722 included (RFC 3551 4.5.2)
}

// PCMA is G.711 A-law (RFC 3551 4.5.14).
func PCMA() Codec { return Codec{Name: "PCMA", PayloadType: 8, ClockRate: 8000} }

// PCMU is G.711 µ-law (RFC 3551 4.5.14).
func PCMU() Codec { return Codec{Name: "PCMU", PayloadType: 0, ClockRate: 8000} }

// G722 is G.722 at 64 kbit/s. "Even though the actual sampling rate for G.722
// audio is 16,000 Hz, the RTP clock rate for the G722 payload format is 8,000 Hz"
// (RFC 3551 4.5.2).
func G722() Codec { return Codec{Name: "G722", PayloadType: 9, ClockRate: 8000} }

// Local is our side of a description.
type Local struct {
	// Addr is where we receive RTP, as the far end can reach it.
	Addr netip.AddrPort
	// Codecs are offered in this order of preference; empty means PCMA,
	// G722, PCMU.
	Codecs []Codec
	// DTMF offers and accepts telephone-event.
	DTMF bool
	// SessionID and Version are the two numbers of our o= line (RFC 8866 5.2).
	SessionID, Version uint64
	// Direction is what we want to do; empty means SendRecv.
	Direction string
	// Previous is the description that we sent last on this call, or nil. Its
	// version is used again when nothing else changes, and one more when
	// something does (RFC 3264 8); Version counts only when Previous is nil.
	Previous []byte
}

// Remote is what the far end's description means for us.
type Remote struct {
	// Addr is where the far end wants our RTP. It is 0.0.0.0 or :: when Held
	// was said the old way (RFC 3264 8.4).
	Addr netip.AddrPort
	// Codec is what both sides speak, with the far end's payload type.
	Codec Codec
	// DTMF is the payload type of telephone-event, 0 when not negotiated.
	DTMF uint8
	// RTCP is where the far end wants our reports: one port above its RTP (RFC
	// 3550 11) when it does not say (RFC 3605), the same port when Mux says that
	// both sides send RTP and RTCP on one (RFC 5761).
	RTCP netip.AddrPort
	Mux  bool
	// Direction is the far end's own direction attribute, SendRecv when absent.
	Direction string
	// PtimeMS is the packet length that the far end asks for, 20 when it does
	// not say, always 10 to 200.
	PtimeMS int
	// Held says that the far end does not want to hear us now: sendonly,
	// inactive, or a connection address of zero.
	Held bool
}

// Offer writes the description of an INVITE.
func Offer(l Local) []byte {
	return versioned(l, func(version uint64) []byte {
		var b bytes.Buffer
		writeSession(&b, l, version)
		types := make([]string, 0, len(l.Codecs)+1)
		for _, c := range l.codecs() {
			types = append(types, strconv.Itoa(int(c.PayloadType)))
		}
		if l.DTMF {
			types = append(types, strconv.Itoa(eventType))
		}
		fmt.Fprintf(&b, "m=audio %d RTP/AVP %s\r\n", l.Addr.Port(), strings.Join(types, " "))
		for _, c := range l.codecs() {
			writeCodec(&b, c)
		}
		if l.DTMF {
			writeEvents(&b, eventType)
		}
		writeTail(&b, l.direction(), true)
		return b.Bytes()
	})
}

// ReadAnswer reads the answer to an offer made from l. The codec is the first
// one of the answer that l offers (RFC 3264 7). Errors: ErrNoSDP, ErrSyntax,
// ErrRejected (port 0, or not plain RTP), ErrNoCodec, ErrAddress.
func ReadAnswer(l Local, answer []byte) (Remote, error) {
	d, err := parse(answer)
	if err != nil {
		return Remote{}, fmt.Errorf("read answer: %w", err)
	}
	i := d.firstAudio()
	if i < 0 {
		return Remote{}, fmt.Errorf("read answer: no audio line: %w", ErrRejected)
	}
	r, err := readStream(l, d, d.media[i])
	if err != nil {
		return Remote{}, fmt.Errorf("read answer: %w", err)
	}
	return r, nil
}

// Answer answers a later offer (hold, resume, refresh, change of codec or
// address): the first usable audio line is accepted with one codec, the first
// of the offer that l has; all other lines are refused with port 0 in the same
// order (RFC 3264 6). The errors are those of ReadAnswer; the call goes on as
// it was and the offer deserves a 488.
func Answer(l Local, offer []byte) ([]byte, Remote, error) {
	d, err := parse(offer)
	if err != nil {
		return nil, Remote{}, fmt.Errorf("read offer: %w", err)
	}
	chosen, remote := -1, Remote{}
	err = fmt.Errorf("no audio line: %w", ErrRejected)
	for i, m := range d.media {
		if m.kind != "audio" {
			continue
		}
		r, streamErr := readStream(l, d, m)
		if streamErr == nil {
			chosen, remote, err = i, r, nil
			break
		}
		err = streamErr
	}
	if err != nil {
		return nil, Remote{}, fmt.Errorf("read offer: %w", err)
	}
	body := versioned(l, func(version uint64) []byte {
		return writeAnswer(l, d, chosen, remote, version)
	})
	return body, remote, nil
}

// CheckPeer judges a media address by the address that the signalling comes
// from: loopback media is believed only from a loopback peer, so that a
// stranger cannot point our RTP at this machine. It returns ErrAddress or nil.
func CheckPeer(media, peer netip.Addr) error {
	if media.Unmap().IsLoopback() && !peer.Unmap().IsLoopback() {
		return fmt.Errorf("loopback address %s from %s: %w", media, peer, ErrAddress)
	}
	return nil
}

func (l Local) codecs() []Codec {
	if len(l.Codecs) == 0 {
		return []Codec{PCMA(), G722(), PCMU()}
	}
	return l.Codecs
}

func (l Local) direction() string {
	if l.Direction == "" {
		return SendRecv
	}
	return l.Direction
}
