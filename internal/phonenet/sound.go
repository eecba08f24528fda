package phonenet

import (
	"math"

	"phonesocket/internal/audio/sample"
)

// Sound is what a callee lets the caller hear.
type Sound struct {
	kind    soundKind
	samples []int16
}

type soundKind int

const (
	kindNothing soundKind = iota
	kindEcho
	kindPlay
	kindRepeat
)

// Nothing sends no packet at all.
func Nothing() Sound { return Sound{} }

// Echo sends the payload of every packet back, with sequence and timestamp of
// its own that mirror every gap and every swap of what came.
func Echo() Sound { return Sound{kind: kindEcho} }

// Say sends the samples (8 kHz) once and silence from then on; without samples it is silence.
func Say(samples []int16) Sound { return Sound{kind: kindPlay, samples: samples} }

// Repeat sends the samples (8 kHz) over and over.
func Repeat(samples []int16) Sound {
	if len(samples) == 0 {
		return Say(nil)
	}
	return Sound{kind: kindRepeat, samples: samples}
}

// RingTone is the German ringing tone, 425 Hz, one second on and four off (ITU-T E.180).
func RingTone() Sound {
	samples := make([]int16, 5*clockRate)
	for i := range clockRate {
		samples[i] = int16(8000 * math.Sin(2*math.Pi*425*float64(i)/clockRate))
	}
	return Repeat(samples)
}

// frame writes the samples from position pos on and returns the position after them.
func (s Sound) frame(dst []int16, pos int) int {
	for i := range dst {
		switch {
		case pos < len(s.samples):
			dst[i] = s.samples[pos]
			pos++
		case s.kind == kindRepeat:
			dst[i] = s.samples[0]
			pos = 1
		default:
			dst[i] = 0
		}
	}
	return pos
}

// phrase is what the speaker says unless Config.Phrase says otherwise. The
// recording comes at the rate of the line.
func phrase() []int16 {
	pcm, _ := sample.Phrase()
	return pcm
}
