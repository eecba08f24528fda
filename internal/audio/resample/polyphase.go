package resample

// polyphase converts by any ratio up/down: it computes only those samples of the up-sampled, filtered signal which
// survive the down-sampling.
type polyphase struct {
	up, down int
	taps     int         // of each phase
	middle   int         // of the filter, in samples at the up-sampled rate
	phases   [][]float32 // taps in the order of the samples, oldest first
	samples  []float32   // taps-1 samples of history, then the new ones
	next     int         // position of the next output, in up-sampled steps from the first new sample
}

// newPolyphase designs a filter whose pass band ends at the given share of the lower of the two rates.
func newPolyphase(up, down int, pass float64, chunk int) *polyphase {
	// In steps of the up-sampled rate, the lower rate has one sample every max(up, down) steps.
	step := max(up, down)
	length := taps(pass) * step
	perPhase := (length + up - 1) / up
	// An odd length makes the delay a whole number of steps. Where the phases have room for an even one, a tap stays zero.
	length = perPhase * up
	if length%2 == 0 {
		length--
	}
	p := &polyphase{
		up: up, down: down, taps: perPhase, middle: (length - 1) / 2,
		samples: make([]float32, perPhase-1+chunk),
	}
	half := float64(p.middle)
	for phase := range up {
		row := make([]float64, perPhase)
		for k := range perPhase {
			if i := phase + k*up; i < length {
				t := float64(i) - half
				row[perPhase-1-k] = sinc(t/float64(step)) * window(t/half)
			}
		}
		p.phases = append(p.phases, normalise(row))
	}
	return p
}

func (p *polyphase) delay() int { return p.middle }

func (p *polyphase) reset() {
	clear(p.samples)
	p.next = 0
}

func (p *polyphase) convert(dst, src []int16) int {
	history := p.taps - 1
	load(p.samples[history:], src)
	n := 0
	position, phase := p.next/p.up, p.next%p.up
	for position < len(src) {
		dst[n] = round(dot(p.phases[phase], p.samples[position:position+p.taps]))
		n++
		for phase += p.down; phase >= p.up; phase -= p.up {
			position++
		}
	}
	p.next = (position-len(src))*p.up + phase
	copy(p.samples[:history], p.samples[len(src):])
	return n
}
