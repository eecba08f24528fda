package conceal

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/test/sound"
)

func mustNew(t testing.TB, rate int) *Concealer {
	t.Helper()
	c, err := New(rate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func forEachRate(t *testing.T, test func(t *testing.T, rate int)) {
	t.Helper()
	t.Run("8 kHz", func(t *testing.T) { test(t, 8000) })
	t.Run("16 kHz", func(t *testing.T) { test(t, 16000) })
}

func rms(s []int16) float64 {
	sum := 0.0
	for _, v := range s {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(s)))
}

// background is noise of the given effective value.
func background(n int, level float64, seed uint64) []int16 {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := make([]int16, n)
	for i := range s {
		s[i] = int16(math.Round(level * rng.NormFloat64()))
	}
	return s
}

func TestAToneGoesOnThroughAHole(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		for _, hz := range []float64{80, 100, 125, 160, 200, 400, 1000} {
			tone := sound.Sine(rate, hz, 10000, time.Second)
			c := mustNew(t, rate)
			from, ten := rate/2+7, rate/100
			c.Good(append([]int16{}, tone[:from]...))
			hole := make([]int16, ten)
			c.Fill(hole)
			rest := append([]int16{}, tone[from+ten:]...)
			c.Good(rest)
			for i, v := range slices.Concat(hole, rest) {
				if e := math.Abs(float64(v) - float64(tone[from+i])); e > 400 {
					t.Fatalf("%v Hz: %d samples after the hole began it is wrong by %v", hz, i, e)
				}
			}
		}
	})
}

func TestThereIsNoStepWhereAHoleBeginsOrEnds(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		// Low enough that neighbours never differ by more than 1300 at 8 kHz; holes of all lengths, and a voice that
		// is elsewhere when it comes back.
		tone := sound.Sine(rate, 165, 10000, 4*time.Second)
		c := mustNew(t, rate)
		heard := append([]int16{}, tone[:rate/5]...)
		c.Good(heard)
		for i := range 40 {
			hole := make([]int16, (i+1)*rate/300)
			c.Fill(hole)
			good := append([]int16{}, tone[rate/5+i*rate/25:][:rate/20]...)
			c.Good(good)
			heard = append(append(heard, hole...), good...)
		}
		for i := 1; i < len(heard); i++ {
			if step := math.Abs(float64(heard[i]) - float64(heard[i-1])); step > 2600*8000/float64(rate) {
				t.Fatalf("there is a step of %v after %d ms", step, i*1000/rate)
			}
		}
	})
}

func TestAfterSixtyMillisecondsOnlyTheBackgroundIsLeft(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		for _, level := range []float64{0, 30, 200} {
			c := mustNew(t, rate)
			c.Good(background(2*rate, level, 5))
			c.Good(sound.Sine(rate, 200, 10000, time.Second))
			hole := make([]int16, rate)
			c.Fill(hole)
			if v := rms(hole[:rate/100]); v < 6000 {
				t.Errorf("the hole begins with a level of %.0f, want about 7000", v)
			}
			// While the tone lasted, the picture of the background rose by 4 dB.
			after := rms(hole[rate*60/1000:])
			if after < 0.6*level || after > 1.7*level+2 {
				t.Errorf("with a background of %v, the hole goes on with %.1f", level, after)
			}
		}
	})
}

func TestTheNoiseIsAsDarkAsTheBackground(t *testing.T) {
	c := mustNew(t, 8000)
	dark := background(16000, 300, 6)
	for i := 1; i < len(dark); i++ {
		dark[i] = int16(0.8*float64(dark[i-1]) + 0.3*float64(dark[i]))
	}
	c.Good(slices.Clone(dark))
	hole := make([]int16, 16000)
	c.Fill(hole)
	if got, want := likeNeighbour(hole[480:]), likeNeighbour(dark); math.Abs(got-want) > 0.1 {
		t.Errorf("neighbours in the noise have a correlation of %.2f, want %.2f", got, want)
	}
}

func likeNeighbour(s []int16) float64 {
	product, power := 0.0, 0.0
	for i := 1; i < len(s); i++ {
		product += float64(s[i]) * float64(s[i-1])
		power += float64(s[i]) * float64(s[i])
	}
	return product / power
}

func TestLoudSoundIsNoBackground(t *testing.T) {
	c := mustNew(t, 8000)
	c.Good(background(80000, 8000, 7))
	hole := make([]int16, 8000)
	c.Fill(hole)
	if v := rms(hole[480:]); v > 1.5*loudestNoise {
		t.Errorf("the noise has a level of %.0f, want at most about %d", v, loudestNoise)
	}
}

func TestWithoutAHoleNothingIsChanged(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		speech := background(rate, 3000, 8)
		c := mustNew(t, rate)
		got := slices.Clone(speech)
		for i := 0; i < len(got); i += rate / 50 {
			c.Good(got[i : i+rate/50])
		}
		if !slices.Equal(got, speech) {
			t.Error("samples are changed though none is missing")
		}
	})
}

func TestTheCrossFadeEndsAfterTenMilliseconds(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		for _, lost := range []int{1, rate / 100, rate / 50, rate / 10, rate} {
			c := mustNew(t, rate)
			c.Good(background(rate, 3000, 9))
			c.Fill(make([]int16, lost))
			sent := background(rate/50, 3000, 10)
			got := slices.Clone(sent)
			c.Good(got)
			if slices.Equal(got[:rate/1000], sent[:rate/1000]) {
				t.Errorf("after %d lost samples nothing is cross-faded", lost)
			}
			if !slices.Equal(got[rate/100:], sent[rate/100:]) {
				t.Errorf("after %d lost samples more than 10 ms are changed", lost)
			}
		}
	})
}

func TestAtTheBeginningNothingIsInvented(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		hole := background(rate/5, 1000, 11)
		mustNew(t, rate).Fill(hole)
		if rms(hole) != 0 {
			t.Errorf("before anything was heard, a hole has a level of %.1f, want silence", rms(hole))
		}
	})
}

// play sends frames through the concealer in pieces of the given length; every lost frame is one of zeros.
func play(c *Concealer, frames []int16, lost []bool, piece func() int) []int16 {
	heard := slices.Clone(frames)
	n := len(frames) / len(lost)
	for i, l := range lost {
		for rest := heard[i*n : (i+1)*n]; len(rest) > 0; {
			p := rest[:min(len(rest), piece())]
			if l {
				c.Fill(p)
			} else {
				c.Good(p)
			}
			rest = rest[len(p):]
		}
	}
	return heard
}

func TestTheOutputDoesNotDependOnThePieces(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		speech := background(rate, 2000, 12)
		lost := networks()[3].losses(50, 3)
		want := play(mustNew(t, rate), speech, lost, func() int { return rate })
		rng := rand.New(rand.NewPCG(3, 4))
		for name, piece := range map[string]func() int{
			"one sample":       func() int { return 1 },
			"seven samples":    func() int { return 7 },
			"anything to 20ms": func() int { return 1 + rng.IntN(rate/50) },
		} {
			if got := play(mustNew(t, rate), speech, lost, piece); !slices.Equal(got, want) {
				t.Errorf("pieces of %s give another output", name)
			}
		}
	})
}

func TestAfterAResetTheConcealerIsAsNew(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		speech := background(rate, 2000, 13)
		lost := networks()[2].losses(50, 4)
		want := play(mustNew(t, rate), speech, lost, func() int { return 100 })
		c := mustNew(t, rate)
		c.Good(background(rate+33, 500, 14))
		c.Fill(make([]int16, 100))
		c.Good(make([]int16, 3))
		c.Reset()
		if got := play(c, speech, lost, func() int { return 100 }); !slices.Equal(got, want) {
			t.Error("the output after a reset differs")
		}
	})
}

func TestOtherRatesAreRefused(t *testing.T) {
	for _, rate := range []int{0, -8000, 44100, 48000} {
		if _, err := New(rate); err == nil || !strings.Contains(err.Error(), "not 8000 or 16000") {
			t.Errorf("%d Hz gives the error %v", rate, err)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	forEachRate(t, func(t *testing.T, rate int) {
		c := mustNew(t, rate)
		frame := background(rate/50, 2000, 15)
		if n := testing.AllocsPerRun(100, func() {
			c.Good(frame)
			c.Fill(frame)
			c.Fill(frame)
		}); n != 0 {
			t.Errorf("three frames cost %v allocations, want 0", n)
		}
	})
}

// FuzzPieces runs any sound with any holes in any pieces: nothing may panic, and the pieces must not matter.
func FuzzPieces(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0xFF, 0x7F, 0, 0x80}, uint64(0x0F0F), 3, false)
	f.Add(make([]byte, 3000), uint64(1), 160, true)
	f.Add([]byte(strings.Repeat("\x00\x80\xff\x7f", 500)), uint64(0xAAAA5555AAAA5555), 33, true)
	f.Fuzz(func(t *testing.T, data []byte, holes uint64, piece int, wide bool) {
		data = data[:min(len(data), 8192)]
		rate := 8000
		if wide {
			rate = 16000
		}
		lost := make([]bool, 64)
		for i := range lost {
			lost[i] = holes>>i&1 == 1
		}
		sent := make([]int16, len(data)/2/64*64)
		for i := range sent {
			sent[i] = int16(data[2*i]) | int16(data[2*i+1])<<8
		}
		want := play(mustNew(t, rate), sent, lost, func() int { return len(sent) + 1 })
		got := play(mustNew(t, rate), sent, lost, func() int { return 1 + piece&0x3FF })
		if !slices.Equal(got, want) {
			t.Errorf("pieces of %d samples give another output", 1+piece&0x3FF)
		}
	})
}

func Benchmark20ms(b *testing.B) {
	for name, rate := range map[string]int{"8 kHz": 8000, "16 kHz": 16000} {
		speech := sound.Speech8k(b)
		if rate == 16000 {
			speech = sound.Speech16k(b)
		}
		frame, hole := speech[rate:rate+rate/50], make([]int16, rate/50)
		b.Run("good "+name, func(b *testing.B) {
			c := mustNew(b, rate)
			b.ReportAllocs()
			for b.Loop() {
				c.Good(frame)
			}
		})
		b.Run("a hole and the end of it "+name, func(b *testing.B) {
			c := mustNew(b, rate)
			c.Good(slices.Clone(speech[:rate]))
			b.ReportAllocs()
			for b.Loop() {
				c.Fill(hole)
				c.Good(frame)
			}
		})
	}
}
