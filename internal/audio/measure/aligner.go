package measure

import (
	"math"
	"slices"
)

const (
	block      = workRate / 100 // samples of the unit in which sound is recognised, 10 ms
	recognised = 0.8            // correlation from which on a block counts as found
	shortest   = 12             // blocks that a piece must have found, net
	mismatch   = 2              // found blocks that weigh as much as one which is not
	audible    = 0.05           // share of the effective value of all that was sent, from which on a block is loud (−26 dB)
	inaudible  = 16             // effective value under which nothing is ever loud
	tolerance  = workRate / 1000
)

// piece is a part of sent, from..to, that is found in got, shifted by the lag. All in samples at workRate.
type piece struct{ from, to, lag int }

// aligner holds the signals in the telephone band, at the rates of comparison and of search.
type aligner struct {
	sent, got             []float32
	coarseSent, coarseGot []float32
	floor                 float64 // energy per sample from which on sent is loud
	loud                  int     // blocks
	sign                  float64 // −1 when the polarity is turned; got is turned back
	guess                 int     // lag at which all of sent fits best
}

func newAligner(sent, got []int16, rate int) *aligner {
	a := &aligner{
		sent: lowpass(floats(sent), rate, workRate, 3400),
		got:  lowpass(floats(got), rate, workRate, 3400),
		sign: 1,
	}
	a.coarseSent = lowpass(a.sent, workRate, coarseRate, 1400)
	a.coarseGot = lowpass(a.got, workRate, coarseRate, 1400)
	rms := math.Sqrt(energy(a.sent) / float64(len(a.sent)))
	a.floor = max(audible*rms, inaudible) * max(audible*rms, inaudible)
	for i := 0; i+block <= len(a.sent); i += block {
		if a.isLoud(i, i+block) {
			a.loud++
		}
	}
	return a
}

func energy(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v * v)
	}
	return sum
}

func (a *aligner) isLoud(from, to int) bool {
	return energy(a.sent[from:to]) >= a.floor*float64(to-from)
}

// pieces returns all pieces that are found, in their order, and sets the guess and the polarity.
func (a *aligner) pieces() []piece {
	lag, negative := a.search(0, len(a.sent), 0, len(a.got), true)
	if negative {
		a.sign = -1
		for _, x := range [][]float32{a.got, a.coarseGot} {
			for i := range x {
				x[i] = -x[i]
			}
		}
	}
	a.guess = lag
	found := a.around(0, len(a.sent), 0, len(a.got), lag)
	slices.SortFunc(found, func(x, y piece) int { return x.from - y.from })
	return found
}

// find returns the pieces of sent[from:to] that are in got[lo:hi], in no order.
func (a *aligner) find(from, to, lo, hi int) []piece {
	if to-from < shortest*block || hi-lo < shortest*block {
		return nil
	}
	lag, _ := a.search(from, to, lo, hi, false)
	return a.around(from, to, lo, hi, lag)
}

// around returns the longest piece at a lag, the one at which all of sent[from:to] fits best, and those which are found to
// the left and to the right of that.
func (a *aligner) around(from, to, lo, hi, lag int) []piece {
	p, ok := a.longest(from, to, lag)
	if !ok {
		return nil
	}
	found := append(a.find(from, p.from, lo, p.from+lag), p)
	return append(found, a.find(p.to, to, p.to+lag, hi)...)
}

// search returns the lag at which sent[from:to] fits best into got[lo:hi], relative to the energy there. With either set,
// the polarity may be the opposite.
func (a *aligner) search(from, to, lo, hi int, either bool) (lag int, negative bool) {
	lo, hi = max(lo, 0), min(hi, len(a.got))
	s := a.coarseSent[from/coarse : min((to+coarse-1)/coarse, len(a.coarseSent))]
	g := a.coarseGot[lo/coarse : min((hi+coarse-1)/coarse, len(a.coarseGot))]
	c := crossCorrelation(s, g)
	sums := make([]float64, len(g)+1)
	for i, v := range g {
		sums[i+1] = sums[i] + float64(v*v)
	}
	window := func(shift int) float64 {
		return sums[min(max(shift+len(s), 0), len(g))] - sums[min(max(shift, 0), len(g))]
	}
	most := 0.0
	for i := range c {
		most = max(most, window(i-len(s)+1))
	}
	best, at := 0.0, len(s)-1
	for i, v := range c {
		// Where got is nearly silent, or overlaps only a little, the quotient says nothing.
		v /= math.Sqrt(window(i-len(s)+1) + 0.05*most + 1)
		if v > best || (either && -v > best) {
			best, at, negative = math.Abs(v), i, v < 0
		}
	}
	near := (lo/coarse + at - (len(s) - 1) - from/coarse) * coarse
	return a.refine(from, to, near, negative), negative
}

// refine looks around a lag from the search for the sample that fits best.
func (a *aligner) refine(from, to, near int, negative bool) int {
	best, lag := math.Inf(-1), near
	for l := near - coarse - 2; l <= near+coarse+2; l++ {
		start, end := max(from, -l), min(to, len(a.got)-l)
		if end <= start {
			continue
		}
		v := float64(dot(a.sent[start:end], a.got[start+l:]))
		if negative {
			v = -v
		}
		if v > best {
			best, lag = v, l
		}
	}
	return lag
}

// longest returns the part of sent[from:to] with the most blocks found at the lag, less those which are not. Blocks that
// were sent silent count for nothing.
func (a *aligner) longest(from, to, lag int) (piece, bool) {
	best, sum := 0, 0
	p, start := piece{lag: lag}, from
	for i := from; i+block <= to; i += block {
		if !a.isLoud(i, i+block) {
			continue
		}
		if sum <= 0 {
			sum, start = 0, i
		}
		if c, _ := a.match(i, i+block, lag); c >= recognised {
			sum++
		} else {
			sum -= mismatch
		}
		if sum > best {
			best, p.from, p.to = sum, start, i+block
		}
	}
	return p, best >= shortest
}

// match returns the correlation of sent[from:to] with got at the lag, and by how much got is louder.
func (a *aligner) match(from, to, lag int) (c, gain float64) {
	start, end := max(from, -lag), min(to, len(a.got)-lag)
	if end <= start {
		return 0, 0
	}
	s, g := a.sent[from:to], a.got[start+lag:end+lag]
	product := float64(dot(a.sent[start:end], g))
	es, eg := energy(s), energy(g)
	if es == 0 || eg == 0 {
		return 0, 0
	}
	return product / math.Sqrt(es*eg), math.Sqrt(eg / es)
}
