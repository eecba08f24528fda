package tone

import "math"

// block is how many samples are judged together: 12.75 ms, the length at which the eight frequencies are told apart best.
const block = 102

const (
	// quietest is the least power of a tone, about −37 dBov; the scale is that of Goertzel's algorithm.
	quietest = 2e7
	// twist is by how much one of the two tones may be louder than the other, 8 dB.
	twist = 6.3
	// apart is by how much a tone is louder than the others of its group, 8 dB.
	apart = 6.3
	// share is how much of the power is in the two tones, 33 parts of 51; it keeps speech and other frequencies out.
	share = 33.0 / 51
	// drift is by how much a low tone may differ from its frequency. A block is too short to tell 3.5 % from a low tone
	// by its power; its phase from block to block tells.
	drift = 0.025
)

// factors are 2 cos ω of the eight frequencies.
//
//nolint:gochecknoglobals // A table that never changes, computed once from the frequencies.
var factors = func() *[8]float32 {
	var f [8]float32
	for i := range 4 {
		f[i] = float32(2 * math.Cos(2*math.Pi*lows[i]/8000))
		f[4+i] = float32(2 * math.Cos(2*math.Pi*highs[i]/8000))
	}
	return &f
}()

// Detector hears digits at 8 kHz. Its zero value is ready for use.
//
// A digit counts once two blocks in a row agree, which a tone of 40 ms always gives and one of 15 ms never. It has ended
// after three blocks without it: a pause of 40 ms always tells it from the next, and a hole of 10 ms never doubles it.
// Accepted are frequencies within 1.5 % and, of the two tones, either one that is 6 dB louder; refused are frequencies
// that are both 3.5 % away, and any low one that is.
type Detector struct {
	now, before [8]float32 // Goertzel's recursion for each frequency
	power       float32
	count       int // samples in the block

	phase    float64 // of the low tone at the end of the last block
	last     byte    // what the last block held, 0 for no digit
	sounding byte    // the digit that was told and has not ended
	missing  int     // blocks without it
}

// Detect appends to digits those which it recognised in src, and returns them. Nothing is allocated while the capacity
// suffices: a digit takes at least 200 samples.
func (d *Detector) Detect(digits []byte, src []int16) []byte {
	for len(src) > 0 {
		piece := src[:min(len(src), block-d.count)]
		src = src[len(piece):]
		d.feed(piece)
		if d.count < block {
			break
		}
		if digit := d.judge(); digit != 0 {
			digits = append(digits, digit)
		}
		d.now, d.before, d.power, d.count = [8]float32{}, [8]float32{}, 0, 0
	}
	return digits
}

// Sounding returns the digit that is on the line, or 0. It begins when Detect tells the digit, and ends about 38 ms late.
func (d *Detector) Sounding() byte { return d.sounding }

// Reset forgets what was heard so far.
func (d *Detector) Reset() { *d = Detector{} }

func (d *Detector) feed(src []int16) {
	for _, v := range src {
		x := float32(v)
		d.power += x * x
		for i, f := range factors {
			d.now[i], d.before[i] = f*d.now[i]-d.before[i]+x, d.now[i]
		}
	}
	d.count += len(src)
}

// judge ends a block and returns a digit that begins with it.
func (d *Detector) judge() byte {
	digit, phase := d.digit()
	steady := digit != 0 && digit == d.last && d.steady(digit, phase-d.phase)
	d.last, d.phase = digit, phase
	switch {
	case steady && digit != d.sounding:
		d.sounding, d.missing = digit, 0
		return digit
	case digit != 0 && digit == d.sounding:
		d.missing = 0
	default:
		if d.missing++; d.missing == 3 {
			d.sounding = 0
		}
	}
	return 0
}

// digit returns what the block holds, or 0, and the phase of its low tone.
func (d *Detector) digit() (digit byte, phase float64) {
	var power [8]float32
	for i, f := range factors {
		power[i] = d.now[i]*d.now[i] + d.before[i]*d.before[i] - f*d.now[i]*d.before[i]
	}
	low, high := loudest(power[:4]), loudest(power[4:])
	l, h := power[low], power[4+high]
	// Goertzel's power of a tone is block/2 times the power of its samples.
	if min(l, h) < quietest || l > twist*h || h > twist*l || l+h < share*block/2*d.power {
		return 0, 0
	}
	for i := range 4 {
		if i != low && apart*power[i] > l || i != high && apart*power[4+i] > h {
			return 0, 0
		}
	}
	// The end of the recursion is now − before·e^(−jω).
	sin, cos := math.Sincos(2 * math.Pi * lows[low] / 8000)
	phase = math.Atan2(float64(d.before[low])*sin, float64(d.now[low])-float64(d.before[low])*cos)
	return keys[4*low+high], phase
}

// steady tells whether the phase of the low tone moved on in a block as its frequency asks.
func (d *Detector) steady(digit byte, moved float64) bool {
	hz := frequency(digit)
	turn := 2 * math.Pi * block / 8000
	return math.Abs(math.Remainder(moved-turn*hz, 2*math.Pi)) <= drift*turn*hz
}

// loudest returns the index of the largest number.
func loudest(power []float32) int {
	best := 0
	for i, p := range power {
		if p > power[best] {
			best = i
		}
	}
	return best
}
