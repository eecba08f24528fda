package session

import (
	"phonesocket/internal/audio/g711"
	"phonesocket/internal/media/sdp"
)

// Figures of the wire: both G.711 codecs have one byte for each of 8000
// samples per second, and one packet carries 20 ms.
const (
	wireRate   = 8000
	wireFrame  = wireRate / 1000 * FrameMS
	bytesPerMS = wireRate / 1000
	// maxSamples is 20 ms at the highest rate of a socket.
	maxSamples = 48000 / 1000 * FrameMS
	fadeBytes  = 5 * bytesPerMS
)

// Payload types of RFC 3551 6.
const (
	typePCMU    = 0
	typePCMA    = 8
	typeComfort = 13
)

// codec is one coding of the wire.
type codec struct {
	name     string
	encoding Encoding // the same coding on a socket
	silence  byte
	decode   func(dst []int16, src []byte)
	encode   func(dst []byte, src []int16)
}

// Codecs are the codecs that a session speaks, in the order in which they
// should be offered.
func Codecs() []sdp.Codec { return []sdp.Codec{sdp.PCMA(), sdp.PCMU()} }

// codecOf finds the coding by the name in the session description.
func codecOf(c sdp.Codec) (codec, bool) {
	switch c.Name {
	case "PCMA":
		return codec{"PCMA", ALaw, g711.SilenceALaw, g711.DecodeALaw, g711.EncodeALaw}, true
	case "PCMU":
		return codec{"PCMU", ULaw, g711.SilenceULaw, g711.DecodeULaw, g711.EncodeULaw}, true
	default:
		return codec{}, false
	}
}

// transcode converts between the two G.711 codings; dst and src may be the
// same. It copies when they are equal.
func transcode(dst []byte, to Encoding, src []byte, from Encoding) {
	switch {
	case from == to:
		copy(dst, src)
	case to == ULaw:
		g711.ALawToULaw(dst, src)
	default:
		g711.ULawToALaw(dst, src)
	}
}

// fade lets a short run of bytes, at most 5 ms, end in silence.
func (c codec) fade(p []byte) {
	var pcm [fadeBytes]int16
	p = p[max(0, len(p)-fadeBytes):]
	c.decode(pcm[:len(p)], p)
	for i := range p {
		pcm[i] = int16(int(pcm[i]) * (len(p) - 1 - i) / len(p))
	}
	c.encode(p, pcm[:len(p)])
}

func fill(p []byte, b byte) {
	for i := range p {
		p[i] = b
	}
}
