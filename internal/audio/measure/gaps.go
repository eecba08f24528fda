package measure

import "math"

const (
	probe   = workRate / 200 // samples of the unit in which losses are looked for, 5 ms
	lost    = 0.7            // correlation under which a probe counts as lost
	faint   = 0.125          // share of the usual gain under which it does, too
	atLeast = 2              // probes that a loss must have
)

// cut is a place where the lag changes: sent[at:at+missing] was cut out there, or some samples were put in.
type cut struct {
	at, missing, extra int
}

// join makes one path of the pieces, which covers all of sent but what was cut out, and returns the cuts in it. Lags that
// differ by less than the tolerance make no cut.
func (a *aligner) join(pieces []piece) (path []piece, cuts []cut) {
	path = append(path, pieces[0])
	path[0].from = 0
	for _, next := range pieces[1:] {
		last := &path[len(path)-1]
		step := next.lag - last.lag
		at := a.split(*last, next)
		missing := 0
		switch {
		case step <= -tolerance:
			missing = min(-step, next.to-at)
			cuts = append(cuts, cut{at: at, missing: missing})
		case step >= tolerance:
			cuts = append(cuts, cut{at: at, extra: step})
		}
		last.to, next.from = at, at+missing
		path = append(path, next)
	}
	path[len(path)-1].to = len(a.sent)
	return path, cuts
}

// split returns the place in sent, in or between two pieces, at which going over from the lag of the first to that of the
// second leaves the smallest difference.
func (a *aligner) split(first, second piece) int {
	const reach = workRate / 4
	missing := max(0, first.lag-second.lag)
	lo := max(first.from, first.to-reach)
	hi := min(second.to-missing, second.from+reach)
	if hi <= lo {
		return min(first.to, second.from)
	}
	_, gain := a.match(first.from, first.to, first.lag)
	difference := func(t, lag int) float64 {
		g := 0.0
		if i := t + lag; i >= 0 && i < len(a.got) && gain > 0 {
			g = float64(a.got[i]) / gain
		}
		d := float64(a.sent[t]) - g
		return d * d
	}
	// The sum up to lo is left out: it is the same for every place.
	sum, best, at := 0.0, 0.0, lo
	for t := lo; t < hi; t++ {
		sum += difference(t, first.lag) - difference(t+missing, second.lag)
		if sum < best {
			best, at = sum, t+1
		}
	}
	return at
}

// follow returns what arrived for each sample that was sent, along the path.
func (a *aligner) follow(path []piece) []float32 { return follow(a.got, path, len(a.sent)) }

func follow(got []float32, path []piece, n int) []float32 {
	out := make([]float32, n)
	for _, p := range path {
		start, end := max(p.from, -p.lag, 0), min(p.to, len(got)-p.lag, n)
		if start < end {
			copy(out[start:end], got[start+p.lag:end+p.lag])
		}
	}
	return out
}

// spans returns what is missing and what was put in, in samples at the given rate.
func (a *aligner) spans(path []piece, cuts []cut, rate int) (missing, extra []Span) {
	scale := func(n int) int { return int(math.Round(float64(n) * float64(rate) / workRate)) }
	next := 0
	for i, p := range path {
		for _, s := range a.losses(p, i > 0, i+1 < len(path)) {
			missing = append(missing, Span{scale(s.Start), scale(s.Samples)})
		}
		if next < len(cuts) && cuts[next].at == p.to {
			c := cuts[next]
			next++
			if c.missing > 0 {
				missing = append(missing, Span{scale(c.at), scale(c.missing)})
			} else {
				extra = append(extra, Span{scale(c.at + p.lag), scale(c.extra)})
			}
		}
	}
	return missing, extra
}

// losses returns the parts of a piece which are loud in sent and something else in got. At a cut the filters of the
// comparison ring, so the probe there does not count. The lag is followed as it drifts.
func (a *aligner) losses(p piece, afterCut, beforeCut bool) []Span {
	_, usual := a.match(p.from, p.to, p.lag)
	from, to := p.from, p.to
	if afterCut {
		from += probe
	}
	if beforeCut {
		to -= probe
	}
	var found []Span
	var run Span
	lag := p.lag
	end := func() {
		if run.Samples >= atLeast*probe {
			found = append(found, run)
		}
		run = Span{}
	}
	for i := from; i+probe <= to; i += probe {
		if !a.isLoud(i, i+probe) {
			continue // it cannot be said; the run goes on if the next loud one is lost too
		}
		c, gain, at := a.matchNear(i, i+probe, lag)
		switch {
		case c >= lost && gain >= faint*usual:
			if at != lag && max(at-p.lag, p.lag-at) < tolerance {
				lag = at
			}
			end()
		case run.Samples == 0:
			run = Span{i, probe}
		default:
			run.Samples = i + probe - run.Start
		}
	}
	end()
	return found
}

// matchNear is match at the best of the lags next to the given one, which it returns too: clocks that differ move the lag
// by a sample now and then.
func (a *aligner) matchNear(from, to, lag int) (c, gain float64, at int) {
	const enough = 0.98
	c, gain = a.match(from, to, lag)
	at = lag
	for _, d := range [...]int{-1, 1, -2, 2} {
		if c >= enough {
			break
		}
		if other, g := a.match(from, to, lag+d); other > c {
			c, gain, at = other, g, lag+d
		}
	}
	return c, gain, at
}

// everything returns all of sent from the first loud block to the last one, as nothing of it was found.
func (a *aligner) everything(rate, n int) []Span {
	first, last := -1, 0
	for i := 0; i+block <= len(a.sent); i += block {
		if a.isLoud(i, i+block) {
			if first < 0 {
				first = i
			}
			last = i + block
		}
	}
	if first < 0 {
		return nil
	}
	start := first * rate / workRate
	return []Span{{start, min(last*rate/workRate, n) - start}}
}

// toRate converts a path to the rate of the samples themselves and refines its lags there, by at most a sample at
// workRate and the same for all pieces.
func toRate(path []piece, sent, got []int16, rate int) []piece {
	native := make([]piece, len(path))
	scale := func(n int) int { return int(math.Round(float64(n) * float64(rate) / workRate)) }
	longest := 0
	for i, p := range path {
		native[i] = piece{scale(p.from), min(scale(p.to), len(sent)), scale(p.lag)}
		if p.to-p.from > path[longest].to-path[longest].from {
			longest = i
		}
	}
	native[len(native)-1].to = len(sent)
	p := native[longest]
	s, g := floats(sent[p.from:p.to]), floats(got)
	reach := rate/workRate + 1
	best, shift := 0.0, 0
	for d := -reach; d <= reach; d++ {
		v := math.Abs(correlation(s, follow(g, []piece{{0, len(s), p.from + p.lag + d}}, len(s))))
		if v > best {
			best, shift = v, d
		}
	}
	for i := range native {
		native[i].lag += shift
	}
	return native
}
