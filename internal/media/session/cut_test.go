package session

import (
	"bytes"
	"encoding/binary"
	"testing"

	"phonesocket/internal/audio/wav"
)

// g711Head is a WAV header for one byte a sample at 8 kHz.
func g711Head(tag uint16) []byte {
	h := wav.Header(8000, 8, 1, wav.Unknown)
	binary.LittleEndian.PutUint16(h[20:], tag)
	return h
}

func TestAWAVStreamThatTheEndCutsOffHasAHeaderForItsRest(t *testing.T) {
	bounded := wav.Header(24000, 16, 1, 4800)
	rest := wav.Header(24000, 16, 1, wav.Unknown)
	tests := []struct {
		name       string
		sent, want []byte
	}{
		{"an endless stream", append(wav.Header(24000, 16, 1, wav.Unknown), make([]byte, 480)...), rest},
		{"a file that is not over", append(bytes.Clone(bounded), make([]byte, 480)...), rest},
		{"a file that is over", append(bytes.Clone(bounded), make([]byte, 4800)...), nil},
		{"a-law", append(g711Head(6), 1, 2, 3), g711Head(6)},
		{"mu-law", append(g711Head(7), 1, 2, 3), g711Head(7)},
		{"half a header", bounded[:30], nil},
		{"what cannot be spoken", append(wav.Header(44100, 16, 1, wav.Unknown), make([]byte, 480)...), nil},
		{"no WAV", make([]byte, 480), nil},
		{"nothing", nil, nil},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			r := talking(t, Config{})
			speaker(r, pcm16k)
			r.Speak(r.now, c.sent)
			if got := r.CutWAV(); got != nil {
				t.Errorf("%q during the call", got)
			}
			r.End(r.now, End{Status: "completed"})
			if got := r.CutWAV(); !bytes.Equal(got, c.want) {
				t.Errorf("header %q, want %q", got, c.want)
			}
		})
	}
	r := talking(t, Config{})
	r.End(r.now, End{Status: "completed"})
	if r.CutWAV() != nil {
		t.Error("a header without a speaker")
	}
}
