package resample

// A half-band filter has its edge at a quarter of the higher rate. Every second tap is zero but the middle one, so that
// one of its two phases is a mere delay.

// doubler converts 1:2.
type doubler struct {
	taps    []float32 // of the phase which is not a mere delay
	half    int
	samples []float32 // 2×half−1 samples of history, then the new ones
}

func newDoubler(pass float64, chunk int) *doubler {
	taps := halfBand(pass)
	return &doubler{taps: taps, half: len(taps) / 2, samples: make([]float32, len(taps)-1+chunk)}
}

// delay is counted in samples of the higher rate, here of the output.
func (d *doubler) delay() int { return 2 * d.half }

func (d *doubler) reset() { clear(d.samples) }

func (d *doubler) convert(dst, src []int16) int {
	history := len(d.taps) - 1
	load(d.samples[history:], src)
	dst = dst[:2*len(src)]
	for i := range src {
		dst[2*i] = int16(d.samples[i+d.half-1])
		dst[2*i+1] = round(dot(d.taps, d.samples[i:i+len(d.taps)]))
	}
	copy(d.samples[:history], d.samples[len(src):])
	return len(dst)
}

// halver converts 2:1.
type halver struct {
	taps    []float32 // for the odd samples; of the even ones only the middle one counts
	half    int
	even    []float32 // half samples of history, then the new ones
	odd     []float32 // 2×half−1 samples of history, then the new ones
	first   int16     // the even sample that waits for its odd one
	waiting bool
}

func newHalver(pass float64, chunk int) *halver {
	taps := halfBand(pass)
	half := len(taps) / 2
	pairs := chunk/2 + 1
	return &halver{
		taps: taps, half: half,
		even: make([]float32, half+pairs), odd: make([]float32, len(taps)-1+pairs),
	}
}

// delay is counted in samples of the higher rate, here of the input.
func (h *halver) delay() int { return 2 * (h.half - 1) }

func (h *halver) reset() {
	clear(h.even)
	clear(h.odd)
	h.waiting = false
}

func (h *halver) convert(dst, src []int16) int {
	history := len(h.taps) - 1
	pairs := 0
	for _, v := range src {
		if !h.waiting {
			h.first, h.waiting = v, true
			continue
		}
		h.waiting = false
		h.even[h.half+pairs] = float32(h.first)
		h.odd[history+pairs] = float32(v)
		pairs++
	}
	dst = dst[:pairs]
	for i := range dst {
		dst[i] = round(0.5*h.even[i+1] + 0.5*dot(h.taps, h.odd[i:i+len(h.taps)]))
	}
	copy(h.even[:h.half], h.even[pairs:])
	copy(h.odd[:history], h.odd[pairs:])
	return pairs
}

// halfBand returns the taps of the phase between the samples of the lower rate, an even number.
func halfBand(pass float64) []float32 {
	half := taps(pass) / 2
	row := make([]float64, 2*half)
	for i := range row {
		t := float64(i) - float64(half) + 0.5
		row[i] = sinc(t) * window(t/float64(half))
	}
	return normalise(row)
}
