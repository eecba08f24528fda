package conceal

import "math"

const (
	// loudestNoise bounds the comfort noise at −40 dBov: what is louder is no background.
	loudestNoise = 328
	// rise is how the level of the background grows with every 10 ms in which nothing was quieter, 4 dB a second.
	rise = 1.01
)

// noise is the background of a line: its level is that of the quietest moments lately, its colour the likeness of
// neighbouring samples then.
type noise struct {
	scale  int
	power  float32 // of a sample; negative while nothing is known
	colour float32 // the correlation of neighbouring samples, −1 to 1

	count            int // samples of the present 10 ms
	squares, product float32
	last             int16

	level   float32 // of the noise that is made in the present hole
	state   float32 // its last sample
	rest    float32 // what is new in each sample
	shifted uint32  // random bits
}

func newNoise(scale int) noise { return noise{scale: scale, power: -1, shifted: 0x9E3779B9} }

// learn listens to what arrived.
func (n *noise) learn(samples []int16) {
	for _, v := range samples {
		x := float32(v)
		n.squares += x * x
		n.product += x * float32(n.last)
		n.last = v
		if n.count++; n.count == stage*n.scale {
			n.judge()
			n.count, n.squares, n.product = 0, 0, 0
		}
	}
}

// judge takes 10 ms into the picture of the background when they were quiet.
func (n *noise) judge() {
	power := n.squares / float32(n.count)
	if n.power < 0 || power < n.power {
		n.power = power
	} else {
		n.power = min(n.power*rise+0.01, loudestNoise*loudestNoise)
	}
	if power <= 2*n.power && n.squares > 0 {
		n.colour += (min(max(n.product/n.squares, -0.95), 0.95) - n.colour) / 4
	}
}

// begin makes the noise fit what was learned.
func (n *noise) begin() {
	n.level = float32(math.Sqrt(float64(min(max(n.power, 0), loudestNoise*loudestNoise))))
	n.rest = float32(math.Sqrt(float64(1 - n.colour*n.colour)))
}

// next returns one sample of noise.
func (n *noise) next() float32 {
	// xorshift (Marsaglia 2003); a number between −1 and 1 has a variance of 1/3.
	n.shifted ^= n.shifted << 13
	n.shifted ^= n.shifted >> 17
	n.shifted ^= n.shifted << 5
	white := float32(int32(n.shifted)) * (1.7320508 / (1 << 31))
	n.state = n.colour*n.state + n.rest*white
	return n.level * n.state
}
