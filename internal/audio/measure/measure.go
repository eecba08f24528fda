// Package measure tells how a piece of audio came through a line: how late, how like, and what was lost or added on the way.
//
// It shares no code with what it measures: it has filters of its own, so that a mistake in the line cannot hide in the
// ruler. All functions are pure. Ten seconds at 16 kHz take less than 100 ms to align.
package measure

import (
	"math"
	"time"
)

// Result says how the audio that arrived compares with the audio that was sent. All positions and lengths are in samples
// at the rate which was given to Align.
type Result struct {
	Rate int // Hz, as given

	// Found says that at least an eighth of a second of what was sent was recognised. Without it, DelaySamples means nothing.
	Found bool
	// DelaySamples is how much later in got than in sent the first piece begins that was recognised.
	DelaySamples int
	// FinalDelaySamples is the same for the last piece. The difference is what was added less what was left out.
	FinalDelaySamples int
	// Correlation is that of what was sent with what arrived, sample by sample after alignment: 1 is the same sound at any
	// volume, 0 something else, −1 the same with its polarity turned. It counts what every telephone codec carries, up to
	// 3.4 kHz; a sent sample that is missing counts as one that arrived as zero.
	Correlation float64
	// FullBand is the same with all frequencies. A line of 8 kHz cannot carry those over 4 kHz, so it is lower there.
	FullBand float64
	// Missing are the pieces of sent that did not arrive, from 10 ms on: cut out, silenced or replaced by another sound.
	// What was silent when it was sent is missing only when it was cut out, as then all that follows comes early.
	Missing []Span
	// Extra are the pieces of got which were put in between: repetitions, pauses. What comes before the beginning or
	// after the end is not counted.
	Extra []Span
}

// Span is a piece of audio, in samples.
type Span struct{ Start, Samples int }

// Inverted reports whether the polarity was turned on the way.
func (r Result) Inverted() bool { return r.Correlation < 0 }

// Delay returns DelaySamples as a time.
func (r Result) Delay() time.Duration { return duration(r.DelaySamples, r.Rate) }

// MissingTime returns how much is missing altogether.
func (r Result) MissingTime() time.Duration { return duration(total(r.Missing), r.Rate) }

// ExtraTime returns how much was put in altogether.
func (r Result) ExtraTime() time.Duration { return duration(total(r.Extra), r.Rate) }

func duration(samples, rate int) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(max(rate, 1))
}

func total(spans []Span) int {
	sum := 0
	for _, s := range spans {
		sum += s.Samples
	}
	return sum
}

// Align finds what was sent in what arrived. Both have the same rate in Hz, from 8000 on, and may have any length; got may
// begin before and end after what was sent.
//
// It looks for the longest piece of sent that is found in got, then for the pieces before and after it, and so on, down
// to pieces of 120 ms: what lies between two cuts nearer than that is reported as missing. Volume does not matter, nor do
// coding by G.711, resampling, and clocks that differ by some hundred ppm. Steps of less than a millisecond in the delay
// count as such a difference.
func Align(sent, got []int16, rate int) Result {
	r := Result{Rate: rate}
	if rate < 8000 || len(sent) == 0 {
		return r
	}
	a := newAligner(sent, got, rate)
	if a.loud == 0 || len(got) == 0 {
		r.Missing = a.everything(rate, len(sent))
		return r
	}
	pieces := a.pieces()
	r.Found = len(pieces) > 0
	if !r.Found {
		pieces = []piece{{0, len(a.sent), a.guess}}
	}
	pieces, cuts := a.join(pieces)
	r.Correlation = a.sign * correlation(a.sent, a.follow(pieces))
	if r.Found {
		r.Missing, r.Extra = a.spans(pieces, cuts, rate)
	} else {
		r.Missing = a.everything(rate, len(sent))
	}
	native := toRate(pieces, sent, got, rate)
	r.DelaySamples, r.FinalDelaySamples = native[0].lag, native[len(native)-1].lag
	r.FullBand = correlation(floats(sent), follow(floats(got), native, len(sent)))
	return r
}

// RMS returns the effective value of the samples, 0 to 32768.
func RMS(samples []int16) float64 {
	if len(samples) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range samples {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(samples)))
}

// Silence is what Level returns for samples that are all zero, in dBov.
const Silence = -100.0

// Level returns how loud the samples are, in dBov: 0 is a square wave at full scale, −3 a full sine, about −26 is good
// speech, and Silence is nothing at all.
func Level(samples []int16) float64 {
	rms := RMS(samples)
	if rms == 0 {
		return Silence
	}
	return 20 * math.Log10(rms/32768)
}
