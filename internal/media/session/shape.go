package session

// shape does to audio in the form of a codec what the playout queue asks for.
type shape codec

const (
	// viewSamples is the longest run that is looked at: 40 ms of wideband.
	viewSamples = 2 * wideFrame
	// quietPeak is the level below which nobody hears that a piece is missing:
	// -45 dB of full scale.
	quietPeak = 184
	// The longest and shortest pitch period, and the run that is compared, in
	// samples at 8 kHz.
	longPeriod  = 120
	shortPeriod = 40
	matchRun    = 80
)

// Fade lets a short run end in silence.
func (c shape) Fade(p []byte) {
	var buf [viewSamples]int16
	pcm := c.encoding.decode(buf[:], p)
	for i, v := range pcm {
		pcm[i] = int16(int(v) * (len(pcm) - 1 - i) / len(pcm))
	}
	c.encoding.encode(p, pcm)
}

// Quiet says that no sample is loud.
func (c shape) Quiet(p []byte) bool {
	var buf [viewSamples]int16
	for _, v := range c.encoding.decode(buf[:], p) {
		if v > quietPeak || v < -quietPeak {
			return false
		}
	}
	return true
}

// Period finds the lag at which the beginning is most like itself.
func (c shape) Period(p []byte) int {
	scale := c.rate / wireClock
	var buf [viewSamples]int16
	pcm := c.encoding.decode(buf[:], p)
	if len(pcm) < (longPeriod+matchRun)*scale {
		return 0
	}
	best, lag := float32(-1), longPeriod*scale
	for l := shortPeriod * scale; l <= longPeriod*scale; l++ {
		var ab, bb float32 = 0, 1
		for i := 0; i < matchRun*scale; i += scale {
			a, b := float32(pcm[i]), float32(pcm[i+l])
			ab, bb = ab+a*b, bb+b*b
		}
		if ab > 0 && ab*ab/bb > best {
			best, lag = ab*ab/bb, l
		}
	}
	return lag * c.encoding.bytes()
}

// Join goes over from one run to another.
func (c shape) Join(dst, from, to []byte) {
	var a, b [viewSamples]int16
	x, y := c.encoding.decode(a[:], from), c.encoding.decode(b[:], to)
	for i := range x {
		x[i] = int16((int(x[i])*(len(x)-i) + int(y[i])*i) / len(x))
	}
	c.encoding.encode(dst, x)
}
