package measure_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"phonesocket/internal/audio/g711"
	"phonesocket/internal/audio/measure"
	"phonesocket/internal/audio/resample"
	"phonesocket/internal/audio/sample"
	"phonesocket/internal/test/sound"
)

// convert returns the samples at another rate.
func convert(t testing.TB, s []int16, in, out int) []int16 {
	t.Helper()
	r, err := resample.New(in, out)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]int16, r.MaxOut(len(s)))
	return dst[:r.Process(dst, s)]
}

// telephone returns what a line makes of the samples: 8 kHz, G.711 there and, if both laws, from one to the other.
func telephone(t testing.TB, s []int16, rate int, both bool) []int16 {
	t.Helper()
	narrow := convert(t, s, rate, 8000)
	codes := make([]byte, len(narrow))
	g711.EncodeALaw(codes, narrow)
	if both {
		g711.ALawToULaw(codes, codes)
		g711.DecodeULaw(narrow, codes)
	} else {
		g711.DecodeALaw(narrow, codes)
	}
	return convert(t, narrow, 8000, rate)
}

func concat(parts ...[]int16) []int16 { return slices.Concat(parts...) }

// scaled returns the samples times the factor.
func scaled(s []int16, factor float64) []int16 {
	out := make([]int16, len(s))
	for i, v := range s {
		out[i] = int16(math.Round(max(-32768, min(32767, factor*float64(v)))))
	}
	return out
}

// noisy returns the samples with noise of the given effective value.
func noisy(s []int16, rms float64) []int16 {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]int16, len(s))
	for i, v := range s {
		out[i] = int16(max(-32768, min(32767, float64(v)+rms*rng.NormFloat64())))
	}
	return out
}

// drifted returns the samples as a clock sees them that is fast by so many millionths.
func drifted(s []int16, ppm float64) []int16 {
	out := make([]int16, int(float64(len(s)-1)/(1+ppm/1e6)))
	for i := range out {
		at := float64(i) * (1 + ppm/1e6)
		k := int(at)
		f := at - float64(k)
		out[i] = int16(math.Round((1-f)*float64(s[k]) + f*float64(s[k+1])))
	}
	return out
}

func TestWhatCameThroughALineIsFoundWhole(t *testing.T) {
	wide, narrow := sound.Speech16k(t), sound.Speech8k(t)
	speech, _ := sample.Speech()
	phrase, _ := sample.Phrase()
	wide24, wide48 := convert(t, wide, 16000, 24000), convert(t, wide, 16000, 48000)
	ringing := sound.Sine(16000, 425, 9000, time.Second)
	ms := time.Millisecond
	tests := []struct {
		name      string
		sent, got []int16
		rate      int
		delay     time.Duration
		least     float64 // correlation
	}{
		{"the same", wide, wide, 16000, 0, 0.9999},
		{"a line at 8 kHz", narrow, telephone(t, narrow, 8000, false), 8000, 0, 0.999},
		{"a line at 16 kHz", wide, telephone(t, wide, 16000, false), 16000, 4125 * time.Microsecond, 0.999},
		{"a line at 24 kHz", wide24, telephone(t, wide24, 24000, false), 24000, 4333333, 0.99},
		{"a line at 48 kHz", wide48, telephone(t, wide48, 48000, false), 48000, 4333333, 0.99},
		{"a line with both laws", speech, telephone(t, speech, 16000, true), 16000, 4125 * time.Microsecond, 0.999},
		{"two lines", phrase, telephone(t, telephone(t, phrase, 8000, true), 8000, false), 8000, 0, 0.999},
		{"a late one, after silence", wide, concat(sound.Silence(16000, 1234*ms), wide), 16000, 1234 * ms, 0.9999},
		{"a late one, after a loud ringing tone", wide, concat(ringing, wide, ringing), 16000, 1000 * ms, 0.9999},
		{"one that began early", wide, wide[800:], 16000, -50 * ms, 0.999},
		{"a quiet one", wide, scaled(wide, 0.1), 16000, 0, 0.999},
		{"a loud and clipped one", wide, scaled(wide, 2), 16000, 0, 0.97},
		{"one with noise", wide, noisy(wide, 200), 16000, 0, 0.97},
		{"half a sample off", convert(t, wide48, 48000, 24000), convert(t, wide48[1:], 48000, 24000), 24000, 0, 0.98},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := measure.Align(tt.sent, tt.got, tt.rate)
			if !r.Found || len(r.Missing)+len(r.Extra) > 0 {
				t.Errorf("something is missing or was put in: %+v", r)
			}
			if r.Correlation < tt.least || r.Correlation > 1 || r.FullBand < 0.9 {
				t.Errorf("the correlation is %.4f, %.4f in the full band, want at least %v and 0.9", r.Correlation, r.FullBand, tt.least)
			}
			if d := (r.Delay() - tt.delay).Abs(); d > time.Second/time.Duration(tt.rate) {
				t.Errorf("the delay is %v, want %v", r.Delay(), tt.delay)
			}
			if r.FinalDelaySamples != r.DelaySamples {
				t.Errorf("the delay goes from %d to %d samples", r.DelaySamples, r.FinalDelaySamples)
			}
		})
	}
}

// places are some random positions within a recording, at least 0.3 s from its ends.
func places(n, rate, count int) []int {
	rng := rand.New(rand.NewPCG(3, 4))
	at := make([]int, count)
	for i := range at {
		at[i] = rate*3/10 + rng.IntN(n-rate*6/10)
	}
	return at
}

// reach is how far from a place a cut may be reported, in ms: near it, as one moment of a vowel looks like the next, or
// anywhere in a pause, where only the amount can be known.
func reach(s []int16, rate, at int) int {
	n := rate * 20 / 1000
	for i := at - 2*n; i <= at+2*n; i += n / 2 {
		if measure.Level(s[i:i+n]) < -40 {
			return 500
		}
	}
	return 40
}

// forEachPlace runs the test for a line at both rates and some places, with a length of 20 ms. What arrives is as late as
// the filters of the line made it, lag.
func forEachPlace(t *testing.T, test func(t *testing.T, sent, got []int16, rate, at, lag int)) {
	t.Helper()
	for rate, sent := range map[int][]int16{8000: sound.Speech8k(t), 16000: sound.Speech16k(t)} {
		got := telephone(t, sent, rate, true)
		lag := measure.Align(sent, got, rate).DelaySamples
		for _, at := range places(len(sent), rate, 6) {
			test(t, sent, got, rate, at, lag)
		}
	}
}

// near reports whether there is exactly one span, of 20 ms ± slack, and within the reach of the place; both in ms.
func near(spans []measure.Span, rate, at, slack, reach int) bool {
	if len(spans) != 1 {
		return false
	}
	d := spans[0].Samples - rate/50
	return max(d, -d) <= slack*rate/1000 && max(spans[0].Start-at, at-spans[0].Start) <= reach*rate/1000
}

func TestTwentyMillisecondsCutOutAreMissing(t *testing.T) {
	forEachPlace(t, func(t *testing.T, sent, got []int16, rate, at, lag int) {
		r := measure.Align(sent, concat(got[:at+lag], got[at+lag+rate/50:]), rate)
		if !near(r.Missing, rate, at, 0, reach(sent, rate, at)) || len(r.Extra) > 0 {
			t.Errorf("at %d Hz, 20 ms cut out at %d: missing %v, extra %v", rate, at, r.Missing, r.Extra)
		}
		if want := lag - rate/50; r.DelaySamples != lag || r.FinalDelaySamples != want {
			t.Errorf("at %d Hz, the delay goes from %d to %d, want %d to %d", rate, r.DelaySamples, r.FinalDelaySamples, lag, want)
		}
	})
}

func TestTwentyMillisecondsRepeatedAreExtra(t *testing.T) {
	forEachPlace(t, func(t *testing.T, sent, got []int16, rate, at, lag int) {
		r := measure.Align(sent, concat(got[:at+lag], got[at+lag-rate/50:]), rate)
		if !near(r.Extra, rate, at+lag, 0, reach(sent, rate, at)) || len(r.Missing) > 0 {
			t.Errorf("at %d Hz, 20 ms repeated at %d: extra %v, missing %v", rate, at+lag, r.Extra, r.Missing)
		}
	})
}

func TestTwentyMillisecondsOfSilencePutInAreExtra(t *testing.T) {
	forEachPlace(t, func(t *testing.T, sent, got []int16, rate, at, lag int) {
		r := measure.Align(sent, concat(got[:at+lag], make([]int16, rate/50), got[at+lag:]), rate)
		if !near(r.Extra, rate, at+lag, 0, reach(sent, rate, at)) || len(r.Missing) > 0 {
			t.Errorf("at %d Hz, 20 ms put in at %d: extra %v, missing %v", rate, at+lag, r.Extra, r.Missing)
		}
	})
}

func TestTwentyMillisecondsOfAHoleAreMissingWhereThereWasSound(t *testing.T) {
	holes := map[string]func([]int16){
		"silence": func(hole []int16) { clear(hole) },
		"noise":   func(hole []int16) { copy(hole, noisy(make([]int16, len(hole)), 1000)) },
	}
	heard := 0
	forEachPlace(t, func(t *testing.T, sent, got []int16, rate, at, lag int) {
		if measure.Level(sent[at:at+rate/50]) < -32 {
			return // a pause or a faint sound: what was not there cannot be missed
		}
		for name, dig := range holes {
			heard++
			holed := slices.Clone(got)
			dig(holed[at+lag : at+lag+rate/50])
			r := measure.Align(sent, holed, rate)
			if !near(r.Missing, rate, at, 10, 10) || len(r.Extra) > 0 {
				t.Errorf("at %d Hz, a hole of %s at %d: missing %v, extra %v", rate, name, at, r.Missing, r.Extra)
			}
		}
	})
	if heard < 8 {
		t.Errorf("only %d holes were tried", heard)
	}
}

func TestSeveralFaultsAreFoundTogether(t *testing.T) {
	sent := sound.Speech16k(t)
	got := telephone(t, sent, 16000, false)
	// 40 ms cut out at 1 s, half a second at 2 s, 100 ms put in at 3.5 s.
	broken := concat(got[:16000], got[16640:32000], got[40000:56000], make([]int16, 1600), got[56000:])
	r := measure.Align(sent, broken, 16000)
	if len(r.Missing) != 2 || len(r.Extra) != 1 {
		t.Fatalf("two pieces are missing and one is extra, found %+v", r)
	}
	if got, want := r.MissingTime(), 540*time.Millisecond; got != want {
		t.Errorf("%v are missing, want %v", got, want)
	}
	if got, want := r.ExtraTime(), 100*time.Millisecond; got != want {
		t.Errorf("%v are extra, want %v", got, want)
	}
	if r.Correlation > 0.99 || r.Correlation < 0.7 {
		t.Errorf("the correlation is %.3f although a tenth is missing", r.Correlation)
	}
}

func TestALostBeginningAndALostEndAreMissing(t *testing.T) {
	sent := sound.Speech16k(t)
	late := slices.Clone(sent)
	clear(late[:16000])
	for name, tt := range map[string]struct {
		got   []int16
		start int
	}{"the first second": {late, 0}, "the last second": {sent[:len(sent)-16000], len(sent) - 16000}} {
		r := measure.Align(sent, tt.got, 16000)
		if lost := r.MissingTime(); lost < 500*time.Millisecond || lost > 1010*time.Millisecond {
			t.Errorf("without %s, %v are missing: %+v", name, lost, r)
		}
		for _, s := range r.Missing {
			if s.Start < tt.start || s.Start+s.Samples > tt.start+16160 {
				t.Errorf("without %s, %v is missing", name, s)
			}
		}
	}
}

func TestWrongPolarityShows(t *testing.T) {
	for rate, sent := range map[int][]int16{8000: sound.Speech8k(t), 16000: sound.Speech16k(t)} {
		r := measure.Align(sent, scaled(telephone(t, sent, rate, false), -1), rate)
		if !r.Inverted() || r.Correlation > -0.99 || r.FullBand > -0.9 || len(r.Missing)+len(r.Extra) > 0 {
			t.Errorf("at %d Hz, turned speech gives %+v", rate, r)
		}
		if measure.Align(sent, sent, rate).Inverted() {
			t.Errorf("at %d Hz, speech is inverted against itself", rate)
		}
	}
}

func TestSilenceAndOtherSoundsAreNotTheSame(t *testing.T) {
	wide, narrow := sound.Speech16k(t), sound.Speech8k(t)
	speech, _ := sample.Speech()
	phrase, _ := sample.Phrase()
	tests := []struct {
		name      string
		sent, got []int16
		rate      int
	}{
		{"nothing", wide, nil, 16000},
		{"silence", wide, sound.Silence(16000, 6*time.Second), 16000},
		{"noise", wide, noisy(sound.Silence(16000, 6*time.Second), 2000), 16000},
		{"a tone", wide, sound.Sine(16000, 440, 10000, 6*time.Second), 16000},
		{"other speech at 16 kHz", wide, speech, 16000},
		{"other speech at 16 kHz, the other way round", speech, wide, 16000},
		{"other speech at 8 kHz", narrow, phrase, 8000},
		{"other speech at 8 kHz, the other way round", phrase, narrow, 8000},
		{"the same speech backwards", wide, reversed(wide), 16000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := measure.Align(tt.sent, tt.got, tt.rate)
			if r.Found || math.Abs(r.Correlation) > 0.35 || math.Abs(r.FullBand) > 0.35 {
				t.Errorf("it is taken for the same: %+v", r)
			}
			if lost := r.MissingTime(); lost < 2*time.Second {
				t.Errorf("only %v are missing, want all", lost)
			}
		})
	}
}

func reversed(s []int16) []int16 {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

func TestClocksThatDifferAreNoLoss(t *testing.T) {
	sent := concat(sound.Speech16k(t), convert(t, sound.Speech8k(t), 8000, 16000))
	for _, ppm := range []float64{-200, -50, 50, 200} {
		r := measure.Align(sent, drifted(sent, ppm), 16000)
		if len(r.Missing)+len(r.Extra) > 0 || r.Correlation < 0.95 {
			t.Errorf("at %v ppm: %+v", ppm, r)
		}
		want := -ppm / 1e6 * float64(len(sent))
		if d := float64(r.FinalDelaySamples-r.DelaySamples) - want; math.Abs(d) > math.Abs(want)/2 {
			t.Errorf("at %v ppm, the delay goes from %d to %d, want a difference of about %.0f", ppm, r.DelaySamples, r.FinalDelaySamples, want)
		}
	}
}

func TestWhatCannotBeComparedIsNotFound(t *testing.T) {
	speech := sound.Speech16k(t)
	for name, r := range map[string]measure.Result{
		"nothing was sent":       measure.Align(nil, speech, 16000),
		"silence was sent":       measure.Align(make([]int16, 16000), speech, 16000),
		"a sample was sent":      measure.Align([]int16{1000}, speech, 16000),
		"no rate":                measure.Align(speech, speech, 0),
		"a rate that is too low": measure.Align(speech, speech, 4000),
		"nothing in nothing":     measure.Align(nil, nil, 8000),
	} {
		if r.Found || r.Correlation > 0.35 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestLevelsAreThoseOfKnownSignals(t *testing.T) {
	square := make([]int16, 1000)
	for i := range square {
		square[i] = int16(32767 - 65534*(i/10%2))
	}
	tests := []struct {
		name    string
		samples []int16
		rms     float64
		level   float64
	}{
		{"nothing", nil, 0, measure.Silence},
		{"silence", make([]int16, 100), 0, measure.Silence},
		{"a square wave at full scale", square, 32767, 0},
		{"a full sine", sound.Sine(8000, 1000, 32767, time.Second), 32767 / math.Sqrt2, -3.01},
		{"a sine a tenth as great", sound.Sine(8000, 1000, 3276.7, time.Second), 3276.7 / math.Sqrt2, -23.01},
		{"the least there is", []int16{1, -1}, 1, -90.31},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := measure.RMS(tt.samples); math.Abs(got-tt.rms) > 1 {
				t.Errorf("the effective value is %v, want %v", got, tt.rms)
			}
			if got := measure.Level(tt.samples); math.Abs(got-tt.level) > 0.01 {
				t.Errorf("the level is %v dBov, want %v", got, tt.level)
			}
		})
	}
}

func BenchmarkAlign10s(b *testing.B) {
	sent := concat(sound.Speech16k(b), convert(b, sound.Speech8k(b), 8000, 16000), make([]int16, 8000))
	line := telephone(b, sent, 16000, true)
	got := concat(make([]int16, 16000), line[:70000], line[70320:])
	b.Run("one hole", func(b *testing.B) {
		for b.Loop() {
			measure.Align(sent, got, 16000)
		}
	})
	b.Run("backwards", func(b *testing.B) {
		backwards := reversed(got)
		for b.Loop() {
			measure.Align(sent, backwards, 16000)
		}
	})
}
