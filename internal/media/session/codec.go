package session

import (
	"encoding/binary"

	"phonesocket/internal/audio/g711"
	"phonesocket/internal/media/playout"
	"phonesocket/internal/media/sdp"
)

// Figures of the wire. All codecs have an RTP clock of 8000 Hz and one byte for
// each of its ticks, G.722 too, whose bytes stand for two samples of 16 kHz each
// (RFC 3551 4.5.2). One packet carries 20 ms.
const (
	wireClock  = 8000
	wireFrame  = wireClock / 1000 * FrameMS
	clockPerMS = wireClock / 1000
	// wideFrame is 20 ms at the highest rate of the wire, maxSamples at the
	// highest rate of a socket.
	wideFrame  = 16000 / 1000 * FrameMS
	maxSamples = 48000 / 1000 * FrameMS
)

// Payload types of RFC 3551 6.
const (
	typePCMU    = 0
	typePCMA    = 8
	typeG722    = 9
	typeComfort = 13
)

// codec is one coding of the wire, and the form in which its audio is kept:
// that of the wire itself for G.711, so that bytes pass through untouched, and
// samples for G.722, whose bytes mean nothing without those before them.
type codec struct {
	name     string
	encoding Encoding
	rate     int // samples per second
}

// Codecs are the codecs that a session speaks, in the order in which they
// should be offered.
func Codecs() []sdp.Codec { return []sdp.Codec{sdp.PCMA(), sdp.G722(), sdp.PCMU()} }

// codecOf finds the coding by the name in the session description.
func codecOf(c sdp.Codec) (codec, bool) {
	switch c.Name {
	case "PCMA":
		return codec{"PCMA", ALaw, 8000}, true
	case "PCMU":
		return codec{"PCMU", ULaw, 8000}, true
	case "G722":
		return codec{"G722", PCM16, 16000}, true
	default:
		return codec{}, false
	}
}

// staticCodec finds the coding by a payload type that needs no description.
func staticCodec(payloadType uint8) (codec, bool) {
	switch payloadType {
	case typePCMA:
		return codecOf(sdp.PCMA())
	case typePCMU:
		return codecOf(sdp.PCMU())
	case typeG722:
		return codecOf(sdp.G722())
	default:
		return codec{}, false
	}
}

// wideband says that the bytes of the wire are G.722.
func (c codec) wideband() bool { return c.encoding == PCM16 }

// frame is the number of samples in 20 ms.
func (c codec) frame() int { return c.rate / 1000 * FrameMS }

// bytesPerMS is the size of a millisecond in the form in which it is kept.
func (c codec) bytesPerMS() int { return c.rate / 1000 * c.encoding.bytes() }

// ticks converts a number of samples to ticks of the RTP clock.
func (c codec) ticks(samples int) int { return samples * wireClock / c.rate }

// queue is how a playout queue keeps audio of this codec.
func (c codec) queue() playout.Config {
	cfg := playout.Config{FrameBytes: FrameMS * c.bytesPerMS(), BytesPerMS: c.bytesPerMS(), Shape: shape(c)}
	switch c.encoding {
	case ALaw:
		cfg.Silence = g711.SilenceALaw
	case ULaw:
		cfg.Silence = g711.SilenceULaw
	case PCM16:
	}
	return cfg
}

// decode turns bytes of an encoding into samples, as many as it returns of dst.
func (e Encoding) decode(dst []int16, src []byte) []int16 {
	dst = dst[:len(src)/e.bytes()]
	switch e {
	case ALaw:
		g711.DecodeALaw(dst, src)
	case ULaw:
		g711.DecodeULaw(dst, src)
	case PCM16:
		for i := range dst {
			dst[i] = int16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}
	return dst
}

// encode turns samples into bytes of an encoding, as many as it returns of dst.
func (e Encoding) encode(dst []byte, src []int16) []byte {
	dst = dst[:len(src)*e.bytes()]
	switch e {
	case ALaw:
		g711.EncodeALaw(dst, src)
	case ULaw:
		g711.EncodeULaw(dst, src)
	case PCM16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], uint16(v))
		}
	}
	return dst
}
