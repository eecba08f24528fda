// Package conceal fills what the network lost: speech goes on with its last pitch periods, fades, and leaves comfort noise.
//
// It follows ITU-T G.711 Appendix I with one difference: it has no look-ahead, so that audio which arrives is never
// delayed. A hole begins with the last period of what was heard; after 10 and 20 ms two and three periods take turns,
// lest the voice buzz; from 10 ms on the repetition loses a fifth of its level every 10 ms. After 60 ms only noise is
// left, as loud and as dark as the quiet moments of the line were. The first samples that arrive are cross-faded with
// what the hole would have gone on with.
//
// A Concealer belongs to one stream and one goroutine. Hand everything that arrives to Good and ask Fill for everything
// that does not, both in pieces of any length: the result does not depend on where they are cut. Nothing is allocated
// after New.
package conceal

import "fmt"

// Lengths in samples at 8 kHz; at 16 kHz they are twice as many.
const (
	historyLen = 390 // what is known: three of the longest periods and a quarter
	minPeriod  = 40  // 200 Hz
	maxPeriod  = 120 // 67 Hz
	compared   = 64  // what is looked for in the history, 8 ms
	stage      = 80  // 10 ms
)

// Concealer is the state of one stream. Its zero value is not usable; use New.
type Concealer struct {
	scale   int     // samples per sample at 8 kHz
	history []int16 // the last samples that were heard, with the holes filled
	noise   noise

	lost   int // samples that the present hole has so far, 0 outside
	joins  int // samples over which the sound that arrives is cross-faded, 0 when it is not
	joined int // how many of them are done
	repeat repeat
}

// New returns a concealer for sound at 8000 or 16000 Hz.
func New(rate int) (*Concealer, error) {
	if rate != 8000 && rate != 16000 {
		return nil, fmt.Errorf("conceal at %d Hz: the rate is not 8000 or 16000", rate)
	}
	scale := rate / 8000
	c := &Concealer{scale: scale, history: make([]int16, historyLen*scale)}
	c.repeat = newRepeat(scale)
	c.Reset()
	return c, nil
}

// Good notes samples that arrived. The first of them after a hole are changed: they are cross-faded with the filling, over
// a quarter of a period and 4 ms more for each 10 ms which the hole had, at most 10 ms.
func (c *Concealer) Good(samples []int16) {
	c.noise.learn(samples)
	if c.lost > 0 {
		more := max(0, c.lost/(stage*c.scale)-1) * 32 * c.scale
		c.joins, c.joined = min(c.repeat.overlap+more, stage*c.scale), 0
	}
	for i := range samples[:min(len(samples), c.joins-c.joined)] {
		c.joined++
		w := float32(c.joined) / float32(c.joins+1)
		samples[i] = clip((1-w)*c.next() + w*float32(samples[i]))
	}
	c.lost = 0
	c.note(samples)
}

// Fill writes what is to be heard in place of samples that did not arrive.
func (c *Concealer) Fill(dst []int16) {
	if len(dst) == 0 {
		return
	}
	if c.lost == 0 {
		c.joins, c.joined = 0, 0
		c.repeat.begin(c.history)
		c.noise.begin()
	}
	for i := range dst {
		dst[i] = clip(c.next())
	}
	c.lost += len(dst)
	c.note(dst)
}

// Reset forgets what was heard, as when another stream begins.
func (c *Concealer) Reset() {
	clear(c.history)
	c.noise = newNoise(c.scale)
	c.repeat.at = 0
	c.lost, c.joins, c.joined = 0, 0, 0
}

// next returns one more sample of the filling: the repetition, and noise as the repetition fades.
func (c *Concealer) next() float32 {
	v, level := c.repeat.next()
	if level < 1 {
		v += (1 - level) * c.noise.next()
	}
	return v
}

// note puts samples at the end of the history.
func (c *Concealer) note(samples []int16) {
	h := c.history
	if len(samples) >= len(h) {
		copy(h, samples[len(samples)-len(h):])
		return
	}
	copy(h, h[len(samples):])
	copy(h[len(h)-len(samples):], samples)
}

// clip returns the nearest sample.
func clip(v float32) int16 {
	if v < 0 {
		return int16(max(v-0.5, -32768))
	}
	return int16(min(v+0.5, 32767))
}
