package session

import (
	"encoding/binary"

	"phonesocket/internal/audio/wav"
)

// CutWAV returns a header, of unknown length, for the rest of the WAV stream
// that the end of the call cut off, and nil when there was none: a socket that
// goes on to the next call sends its header once only, and the bytes that
// follow mean the same there. Whoever begins anew sends a header again.
func (s *Session) CutWAV() []byte { return s.cut }

// runningWAV is the header of the WAV stream that the speaker is in the midst of.
func (v *voice) runningWAV() []byte {
	if v == nil || v.wav == nil || v.broken || v.wav.Done() {
		return nil
	}
	f, ok := v.wav.Format()
	if !ok {
		return nil // the end came within the header
	}
	h := wav.Header(f.Rate, 8*f.Encoding.Size(), 1, wav.Unknown)
	const tag = 20 // where the header says what the samples are (RFC 2361)
	switch f.Encoding {
	case wav.ALaw:
		binary.LittleEndian.PutUint16(h[tag:], 6)
	case wav.ULaw:
		binary.LittleEndian.PutUint16(h[tag:], 7)
	case wav.PCM16:
	}
	return h
}
