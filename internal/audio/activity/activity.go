// Package activity tells when somebody on a line begins and ends to speak.
//
// It looks at 10 ms at a time: at their level above the background, and at how often the sound crosses zero. A voice is
// louder than the background and, vowels being low, crosses zero rarely; a hiss crosses it often, and so is taken for
// speech only while somebody speaks. Speech begins after 30 ms of voice, which a click does not last, and ends when
// nothing was heard for the hang-over, which the pauses between words do not last.
//
// The background is the quietest of the last seconds; it rises slowly when nothing is quiet any more, so that a fan
// which is switched on is speech for some seconds only. Music is speech.
//
// A Detector belongs to one stream and one goroutine. Samples go in as they come, in chunks of any size; the result does
// not depend on where they are cut. Nothing is allocated after New.
package activity

import (
	"fmt"
	"math"
	"time"
)

// DefaultHangOver is how long nothing must be heard until speech has ended, when nothing else is asked.
const DefaultHangOver = 300 * time.Millisecond

const (
	// onset is how many blocks of voice in a row are speech.
	onset = 3
	// above is by how much a voice is louder than the background, 9 dB in power.
	above = 8
	// stay is by how much any sound is louder than it while somebody speaks, 5 dB.
	stay = 3
	// quietest is the power below which nothing is speech, −55 dBov.
	quietest = 58 * 58
	// rise is how the background grows with every block which is not quieter, 2 dB a second.
	rise = 1.0046
	// highest bounds the background, −35 dBov, so that a shout remains one.
	highest = 583 * 583
	// crossings is the most that a voice crosses zero per second: 2200 times, as a tone of 1100 Hz does.
	crossings = 2200
	// hum is the least, so that the slow drift of a bad line is no voice.
	hum = 100
)

// Config says what to listen to. Zero values mean the defaults.
type Config struct {
	Rate     int           // Hz, 8000 when zero, to 48000
	HangOver time.Duration // 50 ms to 10 s
}

// Detector is the state of one stream. Use New.
type Detector struct {
	rate, length, hangOver int // samples per second and per block; blocks

	count, crossed int // samples of the block, and how often they crossed zero
	power          float64
	offset         float64 // what the line adds to all samples
	negative       bool    // the last sample without the offset

	background float64 // power; negative while nothing is known
	voiced     int     // blocks of voice in a row
	quiet      int     // blocks since the last sound
	speaking   bool
}

// New returns a detector that has heard nothing.
func New(cfg Config) (*Detector, error) {
	if cfg.Rate == 0 {
		cfg.Rate = 8000
	}
	if cfg.HangOver == 0 {
		cfg.HangOver = DefaultHangOver
	}
	if cfg.Rate < 8000 || cfg.Rate > 48000 {
		return nil, fmt.Errorf("listen for speech at %d Hz: the rate is not 8000 to 48000", cfg.Rate)
	}
	if cfg.HangOver < 50*time.Millisecond || cfg.HangOver > 10*time.Second {
		return nil, fmt.Errorf("listen for speech with a hang-over of %v: it must be 50ms to 10s", cfg.HangOver)
	}
	d := &Detector{rate: cfg.Rate, length: cfg.Rate / 100, hangOver: int(cfg.HangOver / (10 * time.Millisecond))}
	d.Reset()
	return d, nil
}

// Hear listens to samples and tells whether somebody speaks at their end.
func (d *Detector) Hear(samples []int16) bool {
	for len(samples) > 0 {
		piece := samples[:min(len(samples), d.length-d.count)]
		samples = samples[len(piece):]
		d.feed(piece)
		if d.count == d.length {
			d.judge()
			d.count, d.crossed, d.power = 0, 0, 0
		}
	}
	return d.speaking
}

// Speaking tells whether somebody speaks.
func (d *Detector) Speaking() bool { return d.speaking }

// Background returns the level of the background in dBov, −100 while nothing is known of it.
func (d *Detector) Background() float64 {
	if d.background <= 0 {
		return -100
	}
	return max(10*math.Log10(d.background)-20*math.Log10(32768), -100)
}

// Reset forgets what was heard so far.
func (d *Detector) Reset() {
	*d = Detector{rate: d.rate, length: d.length, hangOver: d.hangOver, background: -1}
}

func (d *Detector) feed(samples []int16) {
	follow := 1 / (0.05 * float64(d.rate)) // the offset is what is lower than 3 Hz
	for _, v := range samples {
		x := float64(v) - d.offset
		d.offset += follow * x
		d.power += x * x
		if negative := x < 0; negative != d.negative {
			d.negative = negative
			d.crossed++
		}
	}
	d.count += len(samples)
}

// judge takes a block into the picture.
func (d *Detector) judge() {
	power := d.power / float64(d.length)
	perSecond := d.crossed * 100
	voice := power > max(quietest, above*d.background) && perSecond <= crossings && perSecond >= hum
	if d.background < 0 {
		voice = false // nothing to compare with
		d.background = min(power, highest)
	}
	d.background = min(power, d.background*rise+0.01, highest)

	d.voiced++
	if !voice {
		d.voiced = 0
	}
	d.quiet++
	if d.voiced >= onset || power > max(quietest/2, stay*d.background) && d.speaking {
		d.quiet = 0
	}
	d.speaking = d.voiced >= onset || d.speaking && d.quiet < d.hangOver
}
