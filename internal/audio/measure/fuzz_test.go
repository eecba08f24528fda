package measure_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"phonesocket/internal/audio/measure"
)

func FuzzAlign(f *testing.F) {
	f.Add([]byte("some samples"), []byte("and some others"), uint64(1), uint8(0))
	f.Add([]byte{}, []byte{0xFF}, uint64(2), uint8(3))
	f.Fuzz(func(t *testing.T, head, tail []byte, seed uint64, which uint8) {
		rate := []int{8000, 16000, 24000, 48000}[which%4]
		rng := rand.New(rand.NewPCG(seed, 0))
		body := noisy(make([]int16, rng.IntN(rate/2)), float64(rng.IntN(8000)))
		sent := concat(stretch(head), body)
		got := concat(body[:rng.IntN(len(body)+1)], stretch(tail), body[rng.IntN(len(body)+1):])
		r := measure.Align(sent, got, rate)
		if math.IsNaN(r.Correlation) || math.Abs(r.Correlation) > 1.001 || math.IsNaN(r.FullBand) || math.Abs(r.FullBand) > 1.001 {
			t.Errorf("the correlation is %v, %v", r.Correlation, r.FullBand)
		}
		for _, s := range r.Missing {
			if s.Start < 0 || s.Samples <= 0 || s.Start+s.Samples > len(sent)+rate/1000 {
				t.Errorf("missing %v of %d samples", s, len(sent))
			}
		}
		for _, s := range r.Extra {
			if s.Start < 0 || s.Samples <= 0 || s.Start+s.Samples > len(got)+rate/1000 {
				t.Errorf("extra %v in %d samples", s, len(got))
			}
		}
	})
}

// stretch makes a staircase of samples from bytes.
func stretch(b []byte) []int16 {
	var s []int16
	for _, v := range b {
		for range 20 {
			s = append(s, int16(v)<<8)
		}
	}
	return s
}
