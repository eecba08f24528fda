package measure

import (
	"math"
	"math/bits"
	"math/cmplx"
)

// crossCorrelation returns c with c[i] = Σ a[t]·b[t+i−(len(a)−1)], for all lags at which the two overlap.
func crossCorrelation(a, b []float32) []float64 {
	n := 1 << bits.Len(uint(len(a)+len(b)-2))
	// Both are real, so one transform does for both: a is its real part, turned in time, and b its imaginary part.
	z := make([]complex128, n)
	for i, v := range a {
		z[len(a)-1-i] = complex(float64(v), 0)
	}
	for i, v := range b {
		z[i] += complex(0, float64(v))
	}
	twiddles := roots(n)
	transform(z, twiddles)
	product := make([]complex128, n)
	for k := range z {
		// A = (Z(k) + Z*(−k))/2 and B = (Z(k) − Z*(−k))/2i; their product, conjugated, makes the next transform the inverse one.
		x, y := z[k], cmplx.Conj(z[(n-k)%n])
		product[k] = cmplx.Conj((x + y) * (x - y) / 4i)
	}
	transform(product, twiddles)
	c := make([]float64, len(a)+len(b)-1)
	for i := range c {
		c[i] = real(product[i]) / float64(n)
	}
	return c
}

// roots returns the first half of the n-th roots of unity.
func roots(n int) []complex128 {
	w := make([]complex128, n/2)
	for k := range w {
		sin, cos := math.Sincos(-2 * math.Pi * float64(k) / float64(n))
		w[k] = complex(cos, sin)
	}
	return w
}

// transform is the fast Fourier transform of x in place; the length is a power of two.
func transform(x, roots []complex128) {
	n := len(x)
	if n < 2 {
		return
	}
	shift := 64 - bits.Len(uint(n-1))
	for i := range x {
		if j := int(bits.Reverse64(uint64(i)) >> shift); i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for half := 1; half < n; half *= 2 {
		stride := n / (2 * half)
		for start := 0; start < n; start += 2 * half {
			low, high := x[start:start+half], x[start+half:start+2*half]
			for k := range low {
				t := high[k] * roots[k*stride]
				high[k] = low[k] - t
				low[k] += t
			}
		}
	}
}
