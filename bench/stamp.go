package main

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Frames carry their number in the loudness of a tone: frame k has one of 16 levels, 2.5 dB apart. That
// survives A-law, resampling and any shift of the frame borders, so the frames whose cost is measured
// are the same ones that are counted, checked and timed.
const (
	stamps    = 16
	windows   = 8 // a frame is read in 8 windows of 2.5 ms
	agreement = 3 // windows that must agree: with one border per frame, one side always has as many
	loudest   = 24000.0
	stepDB    = 2.5
	toneHz    = 1000 // 2.5 periods in each window, so that its phase does not matter
	silent    = stamps

	packetMS        = 20
	framesPerMinute = 60 * 1000 / packetMS
	phoneRate       = 8000
	phoneFrame      = phoneRate / 1000 * packetMS
)

// levelOf orders the levels so that neighbours in time are neighbours in loudness, also where the row begins
// anew: a loud tone that a filter smears must not cover a faint one.
func levelOf(frame uint32) int {
	k := int(frame % stamps)
	if k < stamps/2 {
		return 2 * k
	}
	return 2*(stamps-1-k) + 1
}

// stampOf is the inverse of levelOf.
func stampOf(level int) int {
	if level%2 == 0 {
		return level / 2
	}
	return stamps - 1 - level/2
}

func amplitude(level int) float64 { return loudest * math.Pow(10, -stepDB*float64(level)/20) }

// tone returns one frame at a rate.
func tone(level, rate int) []int16 {
	out := make([]int16, rate/1000*packetMS)
	for i := range out {
		out[i] = int16(math.Round(amplitude(level) * math.Sin(2*math.Pi*toneHz*float64(i)/float64(rate)+math.Pi/8)))
	}
	return out
}

// codec knows how samples look on a socket.
type codec struct {
	name  string // value of the query parameter format
	rate  int
	alaw  bool
	table *[256]int16
	// edges[l] is the least energy per sample of level l; below the last one is silence.
	edges [stamps]float64
}

func newCodec(name string) codec {
	c := codec{name: name, rate: phoneRate, alaw: true, table: alawTable()}
	if name == "pcm16" {
		c.rate, c.alaw = 16000, false
	}
	for l := range c.edges {
		edge := amplitude(l) * math.Pow(10, -stepDB/2/20)
		c.edges[l] = edge * edge / 2
	}
	return c
}

// frameBytes is the size of one message or payload.
func (c *codec) frameBytes() int {
	n := c.rate / 1000 * packetMS
	if c.alaw {
		return n
	}
	return 2 * n
}

// frame returns one frame as bytes.
func (c *codec) frame(level int) []byte {
	var out []byte
	for _, s := range tone(level, c.rate) {
		if c.alaw {
			out = append(out, c.encode(s))
		} else {
			out = binary.LittleEndian.AppendUint16(out, uint16(s))
		}
	}
	return out
}

// reading is what a frame says: a bit for each stamp that enough windows carry.
type reading struct {
	stamps uint16
	silent bool // the windows agree that nobody speaks
}

// read finds the stamps in a frame. It allocates nothing.
func (c *codec) read(p []byte) reading {
	var count [stamps + 1]int
	for w := range windows {
		count[c.level(p[w*len(p)/windows:(w+1)*len(p)/windows])]++
	}
	var r reading
	for l, n := range count[:stamps] {
		if n >= agreement {
			r.stamps |= 1 << stampOf(l)
		}
	}
	r.silent = r.stamps == 0 && count[silent] >= agreement
	return r
}

// level reads one window.
func (c *codec) level(p []byte) int {
	var sum, n int64
	if c.alaw {
		n = int64(len(p))
		for _, b := range p {
			v := int64(c.table[b])
			sum += v * v
		}
	} else {
		n = int64(len(p) / 2)
		for ; len(p) >= 2; p = p[2:] {
			v := int64(int16(binary.LittleEndian.Uint16(p)))
			sum += v * v
		}
	}
	energy := float64(sum) / float64(max(n, 1))
	for l, edge := range c.edges {
		if energy >= edge {
			return l
		}
	}
	return silent
}

// encode is A-law by search: only used to make the frames that are sent over and over.
func (c *codec) encode(s int16) byte {
	best, distance := 0, math.MaxInt
	for b, v := range c.table {
		if d := int(v) - int(s); max(d, -d) < distance {
			best, distance = b, max(d, -d)
		}
	}
	return byte(best)
}

// alawTable decodes A-law (ITU-T G.711, table 1a: even bits are inverted on the line).
func alawTable() *[256]int16 {
	var t [256]int16
	for i := range t {
		b := i ^ 0x55
		segment, v := b>>4&7, b&15<<4+8
		if segment > 0 {
			v = (v + 0x100) << (segment - 1)
		}
		if b&0x80 == 0 {
			v = -v
		}
		t[i] = int16(v)
	}
	return &t
}

// verdict is what a reading means for the row of frames.
type verdict uint8

const (
	fresh    verdict = iota // the next frame, or a later one: then those between are lost
	repeated                // a frame that was there already
	nothing                 // silence, or no frame that could be read
)

// row follows the numbers of the frames of one direction of one call, from the first frame on, however late they
// are. It loses track when 14 and more are lost at once.
type row struct {
	next   uint32
	synced bool
	astray int // how often it lost track, and then took frames for the latest ones
}

// take judges a reading when frames below sent are on their way, and returns the frame's number.
func (r *row) take(is reading, sent uint32) (uint32, verdict) {
	if is.stamps == 0 || sent == 0 {
		return 0, nothing
	}
	if !r.synced {
		r.synced = true // the first frames of all
		frame := uint32(bits.TrailingZeros16(is.stamps))
		r.next = frame + 1
		return frame, fresh
	}
	// Of two stamps in one frame the one that comes first in the row counts.
	ahead := uint32(bits.TrailingZeros16(bits.RotateLeft16(is.stamps, -int(r.next%stamps))))
	if ahead >= stamps-2 { // behind: one or two frames old
		return r.next - (stamps - ahead), repeated
	}
	frame := r.next + ahead
	if frame >= sent { // cannot be
		r.astray++
		return r.latest(is, sent), fresh
	}
	r.next = frame + 1
	return frame, fresh
}

// latest takes the latest frame that the reading can mean.
func (r *row) latest(is reading, sent uint32) uint32 {
	frame := sent - 1
	for range stamps - 1 {
		if frame == 0 || is.stamps>>(frame%stamps)&1 == 1 {
			break
		}
		frame--
	}
	r.next = frame + 1
	return frame
}
