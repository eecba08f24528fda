package tone

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Durations of a digit and of the pause after it when nothing else is asked.
const (
	DefaultTone  = 100 * time.Millisecond
	DefaultPause = 100 * time.Millisecond
)

// Levels in 16-bit samples, the peaks of −8 and −6 dBm0: the high tone is louder as lines weaken it more.
const (
	levelLow  = 9057
	levelHigh = 11402
)

// ramp is how long a tone takes to rise and to fall, so that it does not click.
const ramp = 2 * time.Millisecond

// Config says how digits are played. Zero values mean the defaults.
type Config struct {
	Rate  int           // Hz, 8000 when zero, to 48000
	Tone  time.Duration // of each digit, 40 ms to 10 s
	Pause time.Duration // after each digit, 40 ms to 10 s
}

// Generator plays digits. Use NewGenerator.
type Generator struct {
	rate, tone, pause, ramp int // in samples but for the rate
	digits                  string
	at                      int // samples since the digit began
	low, high               oscillator
}

// NewGenerator returns a generator that is silent until Play.
func NewGenerator(cfg Config) (*Generator, error) {
	if cfg.Rate == 0 {
		cfg.Rate = 8000
	}
	if cfg.Tone == 0 {
		cfg.Tone = DefaultTone
	}
	if cfg.Pause == 0 {
		cfg.Pause = DefaultPause
	}
	if cfg.Rate < 8000 || cfg.Rate > 48000 {
		return nil, fmt.Errorf("play digits at %d Hz: the rate is not 8000 to 48000", cfg.Rate)
	}
	for _, d := range []time.Duration{cfg.Tone, cfg.Pause} {
		if d < 40*time.Millisecond || d > 10*time.Second {
			return nil, fmt.Errorf("play digits of %v with pauses of %v: both must be 40ms to 10s", cfg.Tone, cfg.Pause)
		}
	}
	samples := func(d time.Duration) int { return int(d * time.Duration(cfg.Rate) / time.Second) }
	return &Generator{rate: cfg.Rate, tone: samples(cfg.Tone), pause: samples(cfg.Pause), ramp: samples(ramp)}, nil
}

// Play puts digits behind those that are still to be played. It plays none of them when one is no digit.
func (g *Generator) Play(digits string) error {
	if i := strings.IndexFunc(digits, func(r rune) bool { return r > 127 || !Valid(byte(r)) }); i >= 0 {
		return fmt.Errorf("play digits %q: the one at place %d is not 0 to 9, *, # or A to D", digits, i+1)
	}
	g.digits += digits
	return nil
}

// Read writes what is due to dst and returns the number of samples, less than len(dst) when all digits and the pause
// after the last have been played.
func (g *Generator) Read(dst []int16) int {
	for i := range dst {
		if g.digits == "" {
			return i
		}
		dst[i] = g.next()
	}
	return len(dst)
}

// Playing tells whether digits are left.
func (g *Generator) Playing() bool { return g.digits != "" }

// Stop forgets the digits that are left.
func (g *Generator) Stop() { g.digits, g.at = "", 0 }

func (g *Generator) next() int16 {
	if g.at == 0 {
		digit := g.digits[0]
		g.low.tune(frequency(digit), g.rate)
		g.high.tune(highs[strings.IndexByte(keys, digit)%4], g.rate)
	}
	var v float64
	if g.at < g.tone {
		v = levelLow*g.low.next() + levelHigh*g.high.next()
		if edge := min(g.at, g.tone-1-g.at); edge < g.ramp {
			v *= float64(edge) / float64(g.ramp)
		}
	}
	if g.at++; g.at == g.tone+g.pause {
		g.digits, g.at = g.digits[1:], 0
	}
	return int16(math.Round(v))
}

// frequency returns the low frequency of a digit.
func frequency(digit byte) float64 { return lows[strings.IndexByte(keys, digit)/4] }

// oscillator is a sine, each sample of which follows from the two before.
type oscillator struct{ factor, now, before float64 }

func (o *oscillator) tune(hz float64, rate int) {
	w := 2 * math.Pi * hz / float64(rate)
	*o = oscillator{factor: 2 * math.Cos(w), before: -math.Sin(w)}
}

func (o *oscillator) next() float64 {
	v := o.now
	o.now, o.before = o.factor*o.now-o.before, o.now
	return v
}
