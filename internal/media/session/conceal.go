package session

// concealer fills what the network lost: the last frame again, fainter each
// time, then silence.
type concealer struct {
	last  [wireFrame]byte // wire bytes
	known int             // how many of them
	at    int             // where the repetition goes on
	level int             // of the repetition, in 1/256
	pcm   [wireFrame]int16
}

// Levels of the repetition: it begins at 3/4 and is silent after 60 ms.
const (
	levelFull = 256
	levelOne  = 192
	levelStep = levelOne / 3
)

func (c *concealer) reset() { c.known = 0 }

// good remembers the end of what arrived.
func (c *concealer) good(payload []byte) {
	c.known = copy(c.last[:], payload[max(0, len(payload)-wireFrame):])
	c.at, c.level = 0, levelOne
}

// fill writes at most 20 ms in place of what was lost, in wire bytes.
func (c *concealer) fill(dst []byte, w codec) {
	if c.known == 0 || c.level <= 0 {
		fill(dst, w.silence)
		return
	}
	for i := range dst {
		dst[i] = c.last[c.at]
		c.at = (c.at + 1) % c.known
	}
	pcm := c.pcm[:len(dst)]
	w.decode(pcm, dst)
	// The level falls along the frame, so that there is no step between two.
	fall := levelStep * len(dst) / wireFrame
	for i := range pcm {
		pcm[i] = int16(int(pcm[i]) * (c.level*len(pcm) - fall*i) / (levelFull * len(pcm)))
	}
	c.level -= max(fall, 1)
	w.encode(dst, pcm)
}
