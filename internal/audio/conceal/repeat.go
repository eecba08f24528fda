package conceal

// repeat goes on with the last periods of a voice.
type repeat struct {
	scale   int
	known   []int16   // the sound before the hole
	loop    []float32 // the periods in turn, with a seamless end
	old     []float32 // what the loop before would have gone on with, or at first the sound before the hole
	period  int       // samples
	overlap int       // samples over which loops are joined, a quarter of a period
	periods int       // in the loop
	place   int       // in the loop
	since   int       // samples since this loop began
	at      int       // samples since the hole began
}

func newRepeat(scale int) repeat {
	return repeat{
		scale: scale, known: make([]int16, historyLen*scale),
		loop: make([]float32, 0, 3*maxPeriod*scale), old: make([]float32, maxPeriod/4*scale),
	}
}

// begin starts the repetition of what was heard.
func (r *repeat) begin(history []int16) {
	copy(r.known, history)
	r.period = period(r.known, r.scale)
	r.overlap = r.period / 4
	r.at, r.since, r.place = 0, 0, 0
	r.fill(1)
	// Nothing is known of the sound after the end, but that it does not jump: the difference between the last sample and
	// that a period before fades away.
	last := len(r.known) - 1
	step := float32(r.known[last]) - float32(r.known[last-r.period])
	for i := range r.overlap {
		r.old[i] = r.loop[i] + step
	}
}

// next returns the next sample and the level of the repetition, from 1 down to 0.
func (r *repeat) next() (v, level float32) {
	ten := stage * r.scale
	level = min(1, max(0, 1.2-float32(r.at)/float32(5*ten)))
	if level == 0 {
		return 0, 0
	}
	if r.at == ten || r.at == 2*ten {
		r.grow()
	}
	v = r.loop[r.place]
	if r.since < r.overlap {
		w := float32(r.since+1) / float32(r.overlap+1)
		v = (1-w)*r.old[r.since] + w*v
	}
	r.place = (r.place + 1) % len(r.loop)
	r.since++
	r.at++
	return level * v, level
}

// grow goes on with one period more, at the same place within a period.
func (r *repeat) grow() {
	for i := range r.overlap {
		r.old[i] = r.loop[(r.place+i)%len(r.loop)]
	}
	r.place %= r.period
	r.fill(r.periods + 1)
	r.since = 0
}

// fill puts the last periods into the loop. Its end is cross-faded with what was before its beginning, so that the end
// leads to the beginning.
func (r *repeat) fill(periods int) {
	r.periods = periods
	start := len(r.known) - periods*r.period
	r.loop = r.loop[:periods*r.period]
	for i, v := range r.known[start:] {
		r.loop[i] = float32(v)
	}
	end := r.loop[len(r.loop)-r.overlap:]
	before := r.known[start-r.overlap : start]
	for i, v := range before {
		w := float32(i+1) / float32(r.overlap+1)
		end[i] = (1-w)*end[i] + w*float32(v)
	}
}

// period returns after how many samples the last 8 ms are most like what was before: first every second lag is tried with
// every second sample, then the neighbours of the best with all. Longer stretches tell less of the voice as it is at the end:
// 20 ms cost half a decibel of the ratio to what was lost.
func period(known []int16, scale int) int {
	shortest, longest := minPeriod*scale, maxPeriod*scale
	near := mostAlike(known, shortest, longest, 2, compared*scale)
	return mostAlike(known, max(near-1, shortest), min(near+1, longest), 1, compared*scale)
}

// mostAlike returns the best of the lags between the two, of which it tries every step-th with every step-th sample.
func mostAlike(known []int16, shortest, longest, step, n int) int {
	best, most := longest, float32(0)
	for lag := shortest; lag <= longest; lag += step {
		if l := likeness(known, lag, n, step); l > most {
			best, most = lag, l
		}
	}
	return best
}

// likeness is the correlation of the last n samples with those before them by lag, squared and related to the power of
// the latter; it is 0 where they are opposed. Only every step-th sample counts.
func likeness(known []int16, lag, n, step int) float32 {
	now, then := known[len(known)-n:], known[len(known)-n-lag:]
	then = then[:n]
	product, power := float32(0), float32(1600)
	for i := 0; i < n; i += step {
		a, b := float32(now[i]), float32(then[i])
		product += a * b
		power += b * b
	}
	if product <= 0 {
		return 0
	}
	return product / power * product
}
