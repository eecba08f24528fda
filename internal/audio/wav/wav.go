// Package wav streams WAV in and out: mono, 8, 16, 24 or 48 kHz, 16-bit PCM, A-law or µ-law.
//
// What streams has no end yet: Header announces a length that is not known, and Reader takes a file in pieces of any
// size and yields the samples as they come. Decode and Write are for whole files in memory.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"phonesocket/internal/audio/g711"
)

// Unknown is the length of a stream whose end is not known when its header is written.
const Unknown uint32 = 0xFFFFFFFF

// HeaderSize is the length of what Header returns, in bytes.
const HeaderSize = 44

// Encoding says how samples are stored.
type Encoding uint8

// The encodings which are read. PCM16 is little-endian and signed; the others are a byte per sample.
const (
	PCM16 Encoding = iota
	ULaw
	ALaw
)

// String returns the usual name of the encoding.
func (e Encoding) String() string {
	switch e {
	case PCM16:
		return "pcm16"
	case ULaw:
		return "ulaw"
	case ALaw:
		return "alaw"
	default:
		return fmt.Sprintf("encoding %d", uint8(e))
	}
}

// Size returns the bytes per sample.
func (e Encoding) Size() int {
	if e == PCM16 {
		return 2
	}
	return 1
}

// Format says what the samples of a file mean. They are always mono.
type Format struct {
	Encoding Encoding
	Rate     int // 8000, 16000, 24000 or 48000 Hz
}

// Header returns the head of a PCM file whose samples take the given number of bytes, or Unknown. Then the length of the
// whole file is Unknown too, which players take as "until the end".
func Header(rate, bits, channels int, bytes uint32) []byte {
	size := Unknown
	if bytes < Unknown-(HeaderSize-8)-1 {
		size = bytes + bytes&1 + HeaderSize - 8
	}
	block := channels * bits / 8
	h := make([]byte, 0, HeaderSize)
	h = append(h, "RIFF"...)
	h = binary.LittleEndian.AppendUint32(h, size)
	h = append(h, "WAVEfmt "...)
	h = binary.LittleEndian.AppendUint32(h, 16)
	h = binary.LittleEndian.AppendUint16(h, tagPCM)
	h = binary.LittleEndian.AppendUint16(h, uint16(channels))
	h = binary.LittleEndian.AppendUint32(h, uint32(rate))
	h = binary.LittleEndian.AppendUint32(h, uint32(rate*block))
	h = binary.LittleEndian.AppendUint16(h, uint16(block))
	h = binary.LittleEndian.AppendUint16(h, uint16(bits))
	h = append(h, "data"...)
	return binary.LittleEndian.AppendUint32(h, bytes)
}

// Write writes the samples as a complete file: mono, 16-bit PCM.
func Write(w io.Writer, rate int, samples []int16) error {
	const limit = int(Unknown-HeaderSize) / 2
	if len(samples) > limit {
		return fmt.Errorf("write WAV: %d samples do not fit into a file, which holds at most %d", len(samples), limit)
	}
	file := Header(rate, 16, 1, uint32(2*len(samples)))
	for _, v := range samples {
		file = binary.LittleEndian.AppendUint16(file, uint16(v))
	}
	if _, err := w.Write(file); err != nil {
		return fmt.Errorf("write WAV: %w", err)
	}
	return nil
}

// ErrNoSamples says that a file ended before its samples began.
var ErrNoSamples = errors.New("the WAV file ends before its samples begin: it is empty or was cut off")

// Decode returns the samples of a whole file, expanded to 16-bit PCM if they are A-law or µ-law, and their rate in Hz.
// A file that was cut off within its samples yields those which are there. The errors are those of Reader.Feed and
// ErrNoSamples.
func Decode(file []byte) (samples []int16, rate int, err error) {
	var r Reader
	data, err := r.Feed(file)
	if err != nil {
		return nil, 0, err
	}
	format, ok := r.Format()
	if !ok {
		return nil, 0, ErrNoSamples
	}
	samples = make([]int16, len(data)/format.Encoding.Size())
	switch format.Encoding {
	case ULaw:
		g711.DecodeULaw(samples, data)
	case ALaw:
		g711.DecodeALaw(samples, data)
	case PCM16:
		for i := range samples {
			samples[i] = int16(binary.LittleEndian.Uint16(data[2*i:]))
		}
	}
	return samples, format.Rate, nil
}
