package measure

import "math"

const (
	workRate   = 16000 // Hz; the rate at which signals are compared
	coarseRate = 4000  // Hz; the rate at which they are searched
	coarse     = workRate / coarseRate
)

// floats returns the samples as numbers.
func floats(s []int16) []float32 {
	f := make([]float32, len(s))
	for i, v := range s {
		f[i] = float32(v)
	}
	return f
}

// lowpass returns the signal at another rate, without what is above the edge in Hz. The filter is symmetric and shifts
// nothing in time. Its slope is 600 Hz wide.
func lowpass(x []float32, in, out int, edge float64) []float32 {
	if len(x) == 0 {
		return nil
	}
	common := gcd(in, out)
	up, down := out/common, in/common
	reach := in / 300 // samples to each side: a Hann window whose slope is 600 Hz
	phases := make([][]float32, up)
	for p := range phases {
		phases[p] = windowedSinc(float64(p)/float64(up), reach, edge/float64(in))
	}
	y := make([]float32, (len(x)*up+down-1)/down)
	padded := make([]float32, reach+len(x)+reach+1)
	copy(padded[reach:], x)
	for i := range y {
		at := i * down
		y[i] = dot(phases[at%up], padded[at/up:])
	}
	return y
}

// windowedSinc returns the taps of a low-pass with the edge given as a share of the sampling rate, for an output that
// lies the given fraction of a sample after the middle one.
func windowedSinc(fraction float64, reach int, edge float64) []float32 {
	taps := make([]float32, 2*reach+1)
	for k := range taps {
		t := float64(k-reach) - fraction
		v := 2 * edge
		if t != 0 {
			v = math.Sin(2*math.Pi*edge*t) / (math.Pi * t)
		}
		taps[k] = float32(v * (0.5 + 0.5*math.Cos(math.Pi*t/float64(reach+1))))
	}
	return taps
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// dot returns the sum of the products with the first len(a) elements of b.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	for len(a) >= 4 {
		x, y := (*[4]float32)(a), (*[4]float32)(b)
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		a, b = a[4:], b[4:]
	}
	for i, x := range a {
		s0 += x * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// correlation returns the normalised correlation of two signals of one length, 0 if one of them is silent.
func correlation(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := b[i]
		ab += float64(x * y)
		aa += float64(x * x)
		bb += float64(y * y)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
