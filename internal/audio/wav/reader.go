package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors of Reader.Feed, besides those which describe a format that cannot be taken.
var (
	// ErrNotWAV says that the bytes are something else.
	ErrNotWAV = errors.New("not a WAV file: it does not begin with RIFF and WAVE; " +
		"send WAV, or raw samples with format=pcm16, ulaw or alaw")
	// ErrNoFormat says that samples come before anything that tells what they mean.
	ErrNoFormat = errors.New("the WAV file has a data chunk but no fmt chunk before it: it is damaged")
	// ErrLongHeader says that no samples came within the first four MiB.
	ErrLongHeader = errors.New("the WAV file has no data chunk within its first 4 MiB: it is damaged")
)

// maxHeader is where the search for samples is given up, so that a damaged length cannot swallow a whole call.
const maxHeader = 4 << 20

// The format tags of RIFF that matter here.
const (
	tagPCM        = 0x0001
	tagALaw       = 0x0006
	tagULaw       = 0x0007
	tagExtensible = 0xFFFE
)

// Sniff reports whether the bytes begin as a WAV file does. Twelve bytes are needed to say yes.
func Sniff(b []byte) bool {
	return len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WAVE"
}

// Reader takes one WAV file in pieces of any size. Its zero value is ready for a file. It keeps no samples and no more of
// the header than a few bytes, so that any file costs the same memory.
type Reader struct {
	state  state
	head   [40]byte // what came so far of the part which is being read
	filled int
	want   int    // how much of head the part needs, 0 before it is begun
	skip   uint64 // bytes to pass over after the part
	seen   uint64 // bytes of header so far

	format    Format
	formatted bool
	left      uint64 // sample bytes still to come, if bounded
	bounded   bool
	err       error
}

// state is the part of the file which is being read.
type state uint8

const (
	atStart   state = iota // RIFF, size, WAVE
	atChunk                // name and length of a chunk
	atFormat               // the fmt chunk
	atSamples              // the data chunk
	atEnd                  // whatever follows it
)

// Feed takes the next bytes of the file and returns those of them which are samples: a part of src, not a copy, perhaps
// empty, and perhaps ending within a sample. All of src is consumed; what follows the samples is ignored. After an
// error, which says what is wrong and what to send instead, every call returns it again.
//
// A data chunk of length 0 or Unknown goes on until the caller stops: programs which write into a pipe cannot know better.
func (r *Reader) Feed(src []byte) (samples []byte, err error) {
	for r.err == nil && len(src) > 0 && r.state < atSamples {
		src = r.header(src)
	}
	if r.err != nil {
		return nil, r.err
	}
	if r.state != atSamples {
		return nil, nil
	}
	if !r.bounded {
		return src, nil
	}
	n := min(r.left, uint64(len(src)))
	r.left -= n
	if r.left == 0 {
		r.state = atEnd
	}
	return src[:n], nil
}

// Format returns what the samples mean; false as long as they have not begun.
func (r *Reader) Format() (Format, bool) {
	return r.format, r.state >= atSamples
}

// Done reports whether all the samples came which the header announced. It is never true of an unknown length.
func (r *Reader) Done() bool { return r.state == atEnd }

// header consumes bytes before the samples and returns what is left of src: it fills the part that was begun, passes over
// what is of no interest, or begins the next part.
func (r *Reader) header(src []byte) []byte {
	if r.want == 0 && r.skip > 0 {
		n := min(r.skip, uint64(len(src)))
		r.skip -= n
		r.count(n)
		return src[n:]
	}
	if r.want == 0 {
		r.want = 8
		if r.state == atStart {
			r.want = 12
		}
	}
	n := copy(r.head[r.filled:r.want], src)
	r.filled += n
	r.count(uint64(n))
	if r.err == nil && r.filled == r.want {
		part := r.head[:r.want]
		r.filled, r.want = 0, 0
		r.err = r.part(part)
	}
	return src[n:]
}

func (r *Reader) count(n uint64) {
	if r.seen += n; r.seen > maxHeader {
		r.err = ErrLongHeader
	}
}

// part handles a part of the header that has come completely.
func (r *Reader) part(b []byte) error {
	switch r.state {
	case atStart:
		if !Sniff(b) {
			return ErrNotWAV
		}
		r.state = atChunk
	case atChunk:
		return r.chunk(string(b[:4]), binary.LittleEndian.Uint32(b[4:]))
	case atFormat:
		format, err := parseFormat(b)
		if err != nil {
			return err
		}
		r.format, r.formatted, r.state = format, true, atChunk
	case atSamples, atEnd:
	}
	return nil
}

// chunk handles the beginning of a chunk.
func (r *Reader) chunk(name string, length uint32) error {
	padded := uint64(length) + uint64(length&1) // chunks begin at even positions
	switch name {
	case "fmt ":
		if length < 16 {
			return fmt.Errorf("the fmt chunk of the WAV file has %d bytes, at least 16 are needed: it is damaged", length)
		}
		r.state, r.want = atFormat, min(int(length), len(r.head))
		r.skip = padded - uint64(r.want)
	case "data":
		if !r.formatted {
			return ErrNoFormat
		}
		r.state, r.left, r.bounded = atSamples, uint64(length), length != 0 && length != Unknown
	default:
		r.skip = padded
	}
	return nil
}

// parseFormat reads a fmt chunk of at least 16 bytes.
func parseFormat(b []byte) (Format, error) {
	tag := binary.LittleEndian.Uint16(b)
	channels := binary.LittleEndian.Uint16(b[2:])
	rate := binary.LittleEndian.Uint32(b[4:])
	bits := binary.LittleEndian.Uint16(b[14:])
	// WAVE_FORMAT_EXTENSIBLE carries the tag in the first two bytes of the GUID at its end.
	if tag == tagExtensible && len(b) >= 40 {
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	if channels != 1 {
		return Format{}, fmt.Errorf("the WAV file has %d channels; a phone line is mono: mix it down to one channel", channels)
	}
	switch rate {
	case 8000, 16000, 24000, 48000:
	default:
		return Format{}, fmt.Errorf("the WAV file has %d samples per second; convert it to 8000, 16000, 24000 or 48000", rate)
	}
	format := Format{Rate: int(rate)}
	switch {
	case tag == tagPCM && bits == 16:
		format.Encoding = PCM16
	case tag == tagULaw && bits == 8:
		format.Encoding = ULaw
	case tag == tagALaw && bits == 8:
		format.Encoding = ALaw
	default:
		return Format{}, fmt.Errorf("the WAV file has samples of %d bits in encoding %d; "+
			"send 16-bit PCM (1), 8-bit A-law (6) or 8-bit µ-law (7)", bits, tag)
	}
	return format, nil
}
