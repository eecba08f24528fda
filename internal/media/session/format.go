package session

import (
	"fmt"
	"strconv"
)

// Encoding is how samples are written on an audio socket.
type Encoding uint8

// The encodings of an audio socket: PCM16 is linear, signed, little-endian,
// two bytes a sample; the others are G.711, one byte a sample.
const (
	PCM16 Encoding = iota
	ULaw
	ALaw
)

// String returns the name that the format parameter uses.
func (e Encoding) String() string {
	switch e {
	case PCM16:
		return "pcm16"
	case ULaw:
		return "ulaw"
	case ALaw:
		return "alaw"
	default:
		return "encoding " + strconv.Itoa(int(e))
	}
}

// bytes is the size of one sample.
func (e Encoding) bytes() int {
	if e == PCM16 {
		return 2
	}
	return 1
}

// FrameMS is the length of one message to a listener, in milliseconds.
const FrameMS = 20

// Format is the audio format of one socket. Audio is always mono.
type Format struct {
	Encoding Encoding
	// Rate is 8000, 16000, 24000 or 48000 Hz; 8000 only for ULaw and ALaw.
	Rate int
	// WAV puts a WAV header before the first samples (Encoding is PCM16). What a
	// speaker sends is recognised as WAV by itself, with or without it.
	WAV bool
	// DropEarly (of a speaker only) throws speech away that comes before the
	// answer, instead of keeping it until then.
	DropEarly bool
	// Speech (of a listener only) asks for KindSpeechStarted and KindSpeechStopped.
	Speech bool
	// AutoClear (of a speaker only) clears what waits when the callee begins to
	// speak, and asks for the same events.
	AutoClear bool
}

// Name is the format parameter that asks for this format.
func (f Format) Name() string {
	if f.WAV {
		return "wav"
	}
	return f.Encoding.String()
}

// FrameBytes is the size of one message of 20 ms in this format.
func (f Format) FrameBytes() int { return f.Rate / 1000 * FrameMS * f.Encoding.bytes() }

// ParseFormat reads the query values format and rate. An empty format is
// pcm16; an empty rate is 16000 for pcm16 and wav, 8000 for ulaw and alaw. The
// error names the value and lists what is allowed; it is fit to be shown.
func ParseFormat(format, rate string) (Format, error) {
	f := Format{Encoding: PCM16, Rate: 16000}
	switch format {
	case "", "pcm16":
	case "wav":
		f.WAV = true
	case "ulaw":
		f = Format{Encoding: ULaw, Rate: 8000}
	case "alaw":
		f = Format{Encoding: ALaw, Rate: 8000}
	default:
		return Format{}, fmt.Errorf("format %.20q is unknown: use pcm16, ulaw, alaw or wav", format)
	}
	if rate == "" {
		return f, nil
	}
	n, err := strconv.Atoi(rate)
	if err != nil {
		return Format{}, fmt.Errorf("rate %.20q is not a number: use 8000, 16000, 24000 or 48000", rate)
	}
	f.Rate = n
	if err := f.Check(); err != nil {
		return Format{}, err
	}
	return f, nil
}

// Check says what is wrong with a format, or nil.
func (f Format) Check() error {
	switch f.Encoding {
	case PCM16:
		switch f.Rate {
		case 8000, 16000, 24000, 48000:
			return nil
		}
		return fmt.Errorf("rate %d is not possible: use 8000, 16000, 24000 or 48000", f.Rate)
	case ULaw, ALaw:
		if f.Rate != 8000 {
			return fmt.Errorf("rate %d is not possible with %s: use 8000, or format pcm16", f.Rate, f.Encoding)
		}
		if f.WAV {
			return fmt.Errorf("format wav carries pcm16 only, not %s", f.Encoding)
		}
		return nil
	default:
		return fmt.Errorf("%s is unknown: use pcm16, ulaw or alaw", f.Encoding)
	}
}
