// Package sound gives tests speech to send and judges what came back.
package sound

import (
	_ "embed"
	"math"
	"testing"
	"time"

	"phonesocket/internal/audio/measure"
	"phonesocket/internal/audio/wav"
)

//go:embed testdata/speech16k.wav
var speech16k []byte

//go:embed testdata/speech8k.wav
var speech8k []byte

// Speech16k returns five seconds of English speech at 16 kHz. The slice belongs to the caller.
func Speech16k(t testing.TB) []int16 {
	t.Helper()
	return decode(t, speech16k)
}

// Speech8k returns four and a half seconds of German speech at 8 kHz. The slice belongs to the caller.
func Speech8k(t testing.TB) []int16 {
	t.Helper()
	return decode(t, speech8k)
}

func decode(t testing.TB, file []byte) []int16 {
	t.Helper()
	pcm, _, err := wav.Decode(file)
	if err != nil {
		t.Fatalf("speech for tests: %v", err)
	}
	return pcm
}

// Silence returns nothing, for so long.
func Silence(rate int, d time.Duration) []int16 { return make([]int16, count(rate, d)) }

// Sine returns a tone that begins at zero; the amplitude is that of its peaks, up to 32767.
func Sine(rate int, hz, amplitude float64, d time.Duration) []int16 {
	s := make([]int16, count(rate, d))
	for i := range s {
		s[i] = int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return s
}

func count(rate int, d time.Duration) int { return int(int64(rate) * int64(d) / int64(time.Second)) }

// Good is the correlation from which on speech came through a telephone line well.
const Good = 0.9

// Arrived fails the test unless all that was sent is in got, in one piece, the right way round and with a correlation of
// at least Good. It returns the result, for more questions: how late was it?
func Arrived(t testing.TB, sent, got []int16, rate int) measure.Result {
	t.Helper()
	r := measure.Align(sent, got, rate)
	if !r.Found {
		t.Errorf("of %d samples that were sent, nothing is in the %d that arrived (level %.0f dBov)",
			len(sent), len(got), measure.Level(got))
		return r
	}
	if r.Correlation < Good {
		t.Errorf("the correlation of what was sent with what arrived is %.3f, want at least %.2f", r.Correlation, Good)
	}
	for _, s := range r.Missing {
		t.Errorf("of what was sent, %v are missing at %v", length(s.Samples, rate), length(s.Start, rate))
	}
	for _, s := range r.Extra {
		t.Errorf("in what arrived, %v were put in at %v", length(s.Samples, rate), length(s.Start, rate))
	}
	return r
}

func length(samples, rate int) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(rate)
}
