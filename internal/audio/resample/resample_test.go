package resample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is one conversion.
type pair struct{ in, out int }

func (p pair) String() string { return fmt.Sprintf("%d to %d Hz", p.in, p.out) }

func (p pair) lower() int { return min(p.in, p.out) }

// step is the distance of the frequencies which are measured, 100 Hz for telephone speech.
func (p pair) step() float64 { return float64(p.lower()) / 80 }

// passEdge is the frequency up to which the conversion promises to be flat.
func (p pair) passEdge() float64 {
	if p.lower() == 8000 {
		return 3400
	}
	return 0.4375 * float64(p.lower())
}

// stopEdge is the frequency from which on the conversion promises to be silent.
func (p pair) stopEdge() float64 { return float64(p.lower()) - p.passEdge() }

// forEachPair runs the test for all pairs of rates, or only for those of different rates.
func forEachPair(t *testing.T, equal bool, test func(t *testing.T, p pair)) {
	t.Helper()
	rates := []int{8000, 16000, 24000, 48000}
	for _, in := range rates {
		for _, out := range rates {
			if in != out || equal {
				p := pair{in, out}
				t.Run(p.String(), func(t *testing.T) { test(t, p) })
			}
		}
	}
}

func mustNew(t testing.TB, p pair) *Resampler {
	t.Helper()
	r, err := New(p.in, p.out)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// convert sends all of src through a new resampler in one piece.
func convert(t testing.TB, p pair, src []int16) []int16 {
	t.Helper()
	r := mustNew(t, p)
	dst := make([]int16, r.MaxOut(len(src)))
	return dst[:r.Process(dst, src)]
}

// sine returns 0.3 s of a tone.
func sine(rate int, hz, amplitude float64) []int16 {
	s := make([]int16, rate*3/10)
	for i := range s {
		s[i] = int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return s
}

func noise(n int) []int16 {
	rng := rand.New(rand.NewPCG(1, 2))
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(rng.IntN(1<<16) - 1<<15)
	}
	return s
}

// steady cuts off what the filter says at the beginning.
func steady(s []int16, rate int) []int16 { return s[rate/10:] }

// fit finds the tone of the given frequency in s: its amplitude, its phase as a delay in seconds against a sine that
// began 0.1 s before s, and the effective value of everything else.
func fit(s []int16, rate int, hz float64) (amplitude, delay, rest float64) {
	// s is 0.2 s long and every frequency here a multiple of 5 Hz: sine and cosine are orthogonal.
	w := 2 * math.Pi * hz / float64(rate)
	var a, b float64
	for i, v := range s {
		sin, cos := math.Sincos(w * (float64(i) + float64(rate)/10))
		a += float64(v) * sin
		b += float64(v) * cos
	}
	a, b = 2*a/float64(len(s)), 2*b/float64(len(s))
	for i, v := range s {
		sin, cos := math.Sincos(w * (float64(i) + float64(rate)/10))
		e := float64(v) - a*sin - b*cos
		rest += e * e
	}
	return math.Hypot(a, b), math.Atan2(-b, a) / (2 * math.Pi * hz), math.Sqrt(rest / float64(len(s)))
}

func rms(s []int16) float64 {
	sum := 0.0
	for _, v := range s {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(s)))
}

func dB(ratio float64) float64 { return 20 * math.Log10(ratio) }

func TestThePassBandIsFlatWithinATwentiethOfADecibel(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		for hz := p.step(); hz <= p.passEdge(); hz += p.step() {
			out := convert(t, p, sine(p.in, hz, 16000))
			amplitude, _, _ := fit(steady(out, p.out), p.out, hz)
			if ripple := dB(amplitude / 16000); math.Abs(ripple) > 0.05 {
				t.Errorf("%v Hz has a gain of %.3f dB, want 0 ± 0.05", hz, ripple)
			}
		}
	})
}

func TestAliasesAre75DecibelsDown(t *testing.T) {
	forEachPair(t, false, func(t *testing.T, p pair) {
		if p.out > p.in {
			t.Skip("only a lower rate has aliases")
		}
		for hz := p.stopEdge(); hz < float64(p.in)/2; hz += p.step() {
			out := convert(t, p, sine(p.in, hz, 32000))
			if level := dB(rms(steady(out, p.out)) / (32000 / math.Sqrt2)); level > -75 {
				t.Errorf("%v Hz comes through at %.1f dB, want at most -75", hz, level)
			}
		}
	})
}

func TestImagesAre75DecibelsDown(t *testing.T) {
	forEachPair(t, false, func(t *testing.T, p pair) {
		if p.out < p.in {
			t.Skip("only a higher rate has images")
		}
		for hz := p.step(); hz <= p.passEdge(); hz += p.step() {
			out := convert(t, p, sine(p.in, hz, 32000))
			_, _, rest := fit(steady(out, p.out), p.out, hz)
			if level := dB(rest / (32000 / math.Sqrt2)); level > -75 {
				t.Errorf("beside %v Hz there is %.1f dB of something else, want at most -75", hz, level)
			}
		}
	})
}

func TestDistortionAndNoiseAre85DecibelsDown(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		for _, hz := range []float64{200, 440, 1000, 1020} {
			out := convert(t, p, sine(p.in, hz, 30000))
			amplitude, _, rest := fit(steady(out, p.out), p.out, hz)
			if level := dB(rest / (amplitude / math.Sqrt2)); level > -85 {
				t.Errorf("THD+N at %v Hz is %.1f dB, want at most -85", hz, level)
			}
		}
	})
}

func TestTheDelayIsAsSaidAndAtMost2200Microseconds(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		said := mustNew(t, p).Delay()
		if said > 2200*time.Microsecond {
			t.Errorf("the delay is %v, want at most 2.2 ms", said)
		}
		for _, hz := range []float64{50, 100, 200} {
			out := convert(t, p, sine(p.in, hz, 30000))
			_, delay, _ := fit(steady(out, p.out), p.out, hz)
			if d := time.Duration(delay*1e9) - said; d.Abs() > time.Microsecond {
				t.Errorf("%v Hz is late by %v, want %v", hz, said+d, said)
			}
		}
	})
}

func TestTheOutputDoesNotDependOnTheChunks(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		src := noise(p.in / 5)
		want := convert(t, p, src)
		rng := rand.New(rand.NewPCG(3, 4))
		chunks := map[string]func() int{
			"one sample":          func() int { return 1 },
			"seven samples":       func() int { return 7 },
			"20 ms":               func() int { return p.in / 50 },
			"100 ms":              func() int { return p.in / 10 },
			"anything up to 60ms": func() int { return rng.IntN(p.in * 6 / 100) },
		}
		for name, size := range chunks {
			r := mustNew(t, p)
			var got []int16
			for rest := src; len(rest) > 0; {
				n := min(size(), len(rest))
				dst := make([]int16, r.MaxOut(n))
				got = append(got, dst[:r.Process(dst, rest[:n])]...)
				rest = rest[n:]
			}
			if !slices.Equal(got, want) {
				t.Errorf("chunks of %s give another output", name)
			}
		}
	})
}

func TestAFrameInIsAFrameOut(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		r := mustNew(t, p)
		src := noise(p.in / 50)
		for frame := range 50 {
			dst := make([]int16, r.MaxOut(len(src)))
			if n, want := r.Process(dst, src), p.out/50; n != want {
				t.Fatalf("frame %d of 20 ms gives %d samples, want %d", frame, n, want)
			}
		}
	})
}

func TestLoudSoundIsClippedAndNeverWraps(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		// A full-scale square wave: its edges overshoot in the filter.
		src := make([]int16, p.in/10)
		half := p.in / 100
		for i := range src {
			src[i] = math.MaxInt16
			if i/half%2 == 1 {
				src[i] = math.MinInt16
			}
		}
		out := convert(t, p, src)
		if !slices.Contains(out, math.MaxInt16) || !slices.Contains(out, math.MinInt16) {
			t.Error("the square wave does not reach full scale")
		}
		// In the middle of each half wave the sign is that of the input.
		delay := int(mustNew(t, p).Delay() * time.Duration(p.out) / time.Second)
		outHalf := p.out / 100
		for i := 0; (i+1)*outHalf+delay < len(out); i++ {
			quarter := out[i*outHalf+outHalf/4+delay : i*outHalf+outHalf*3/4+delay]
			for _, v := range quarter {
				if (v < 0) != (i%2 == 1) || math.Abs(float64(v)) < 30000 {
					t.Fatalf("half wave %d contains %d", i, v)
				}
			}
		}
	})
}

func TestSilenceStaysSilent(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		for _, v := range convert(t, p, make([]int16, p.in/10)) {
			if v != 0 {
				t.Fatalf("silence becomes %d", v)
			}
		}
	})
}

func TestAConstantStaysConstant(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		src := make([]int16, p.in/4)
		for i := range src {
			src[i] = 12345
		}
		for _, v := range steady(convert(t, p, src), p.out) {
			if v != 12345 {
				t.Fatalf("12345 becomes %d", v)
			}
		}
	})
}

func TestAfterAResetTheResamplerIsAsNew(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		src := noise(p.in / 50)
		want := convert(t, p, src)
		r := mustNew(t, p)
		dst := make([]int16, r.MaxOut(len(src)))
		r.Process(dst, src[:len(src)/2+1])
		r.Reset()
		if n := r.Process(dst, src); !slices.Equal(dst[:n], want) {
			t.Error("the output after a reset differs")
		}
	})
}

func TestOtherRatesAreRefusedByName(t *testing.T) {
	for _, p := range []pair{{8000, 11025}, {44100, 8000}, {0, 8000}, {8000, -8000}} {
		r, err := New(p.in, p.out)
		if err == nil {
			t.Errorf("%v gives %v, want an error", p, r)
			continue
		}
		bad := p.in
		if bad == 8000 {
			bad = p.out
		}
		if want := fmt.Sprintf("rate %d is not one of [8000 16000 24000 48000]", bad); !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %q does not say %q", p, err, want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	forEachPair(t, true, func(t *testing.T, p pair) {
		r := mustNew(t, p)
		src := noise(p.in / 50 * 3)
		dst := make([]int16, r.MaxOut(len(src)))
		if n := testing.AllocsPerRun(100, func() { r.Process(dst, src) }); n != 0 {
			t.Errorf("a chunk costs %v allocations, want 0", n)
		}
	})
}

func Benchmark20ms(b *testing.B) {
	for _, p := range []pair{{8000, 16000}, {16000, 8000}, {8000, 24000}, {24000, 8000}, {8000, 48000}, {48000, 8000}} {
		b.Run(p.String(), func(b *testing.B) {
			r := mustNew(b, p)
			src := noise(p.in / 50)
			dst := make([]int16, r.MaxOut(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				r.Process(dst, src)
			}
		})
	}
}
