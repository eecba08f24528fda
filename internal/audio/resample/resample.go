// Package resample converts streams of 16-bit samples between 8, 16, 24 and 48 kHz.
//
// A Resampler belongs to one stream and one goroutine. Samples go in as they come, in chunks of any size; the output does
// not depend on where the chunks are cut, and whole frames of 20 ms come out as whole frames of 20 ms. Nothing is
// allocated after New.
//
// The filters are windowed sincs (Kaiser), at most 2.2 ms long to their middle. Up to 42.5 % of the lower rate (43.75 %
// from 16 kHz on: 7 kHz, wideband speech) they are flat within 0.05 dB; images and aliases are 75 dB down. Loud input
// that overshoots in the filter is clipped, never wrapped.
package resample

import (
	"fmt"
	"slices"
	"time"
)

// Resampler converts one stream. Its zero value is not usable; use New.
type Resampler struct {
	up, down  int // the ratio of the rates in lowest terms
	in        int // Hz
	delay     int // of the filter, in samples at in×up
	converter converter
	chunk     int // the largest input of the converter, in samples
}

// converter is one of the filters. It turns at most the agreed number of samples into all samples that are due.
type converter interface {
	convert(dst, src []int16) int
	reset()
}

// New returns a resampler from in Hz to out Hz, each of them 8000, 16000, 24000 or 48000. Equal rates are a copy.
func New(in, out int) (*Resampler, error) {
	rates := []int{8000, 16000, 24000, 48000}
	for _, rate := range []int{in, out} {
		if !slices.Contains(rates, rate) {
			return nil, fmt.Errorf("resample from %d to %d Hz: rate %d is not one of %v", in, out, rate, rates)
		}
	}
	common := gcd(in, out)
	r := &Resampler{up: out / common, down: in / common, in: in, chunk: in / 50}
	// The band edges are a share of the lower rate: telephone speech ends at 3.4 of 8 kHz, wideband speech at 7 of 16.
	lower := min(in, out)
	pass := 0.425
	if lower >= 16000 {
		pass = 0.4375
	}
	switch {
	case in == out:
	case r.up == 2 && r.down == 1:
		up := newDoubler(pass, r.chunk)
		r.converter, r.delay = up, up.delay()
	case r.up == 1 && r.down == 2:
		down := newHalver(pass, r.chunk)
		r.converter, r.delay = down, down.delay()
	default:
		poly := newPolyphase(r.up, r.down, pass, r.chunk)
		r.converter, r.delay = poly, poly.delay()
	}
	return r, nil
}

// Process takes all of src and writes all samples which are due to dst, of which it returns the number. It panics, as an
// index does, when dst has no room for them: MaxOut(len(src)) samples are always enough. The slices must not overlap.
func (r *Resampler) Process(dst, src []int16) int {
	if r.converter == nil {
		return copy(dst[:len(src)], src)
	}
	n := 0
	for len(src) > 0 {
		chunk := src[:min(len(src), r.chunk)]
		n += r.converter.convert(dst[n:], chunk)
		src = src[len(chunk):]
	}
	return n
}

// MaxOut returns the largest number of samples which Process writes for n samples.
func (r *Resampler) MaxOut(n int) int {
	return (n*r.up + r.down - 1) / r.down
}

// Delay returns by how much the output lags behind the input: half the length of the filter, at most 2.2 ms.
func (r *Resampler) Delay() time.Duration {
	return time.Duration(r.delay) * time.Second / time.Duration(r.in*r.up)
}

// Reset forgets what was heard so far, as if the resampler were new: the next sample begins another stream.
func (r *Resampler) Reset() {
	if r.converter != nil {
		r.converter.reset()
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
