package playout

import (
	"math/rand/v2"
	"sort"
	"testing"
	"time"
)

// bit is a piece of speech that comes at a time.
type bit struct {
	at    time.Duration
	bytes int
	quiet bool
}

// steadily is a writer in real time: 20 ms every 20 ms by a clock that is
// faster by so many parts in a million, each some 2 ms late, with a pause of
// 200 ms in every second of speech.
func steadily(to time.Duration, ppm float64) (bits []bit) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := 0; ; i++ {
		at := time.Duration(float64(i) * 20e6 * (1 - ppm*1e-6))
		if at >= to {
			return bits
		}
		late := time.Duration(r.ExpFloat64() * 2e6)
		bits = append(bits, bit{at + late, frame, i%50 >= 40})
	}
}

// stall keeps back what comes between from and to, and gives it all at to.
func stall(bits []bit, from, to time.Duration) []bit {
	for i := range bits {
		if bits[i].at >= from && bits[i].at < to {
			bits[i].at = to
		}
	}
	return bits
}

// gone takes out what comes between from and to.
func gone(bits []bit, from, to time.Duration) (rest []bit) {
	for _, b := range bits {
		if b.at < from || b.at >= to {
			rest = append(rest, b)
		}
	}
	return rest
}

// levels lets bits come until the given time, and returns how many milliseconds
// wait after each tick.
func (d *desk) levels(bits []bit, until time.Duration) (ms []int64) {
	sort.SliceStable(bits, func(i, k int) bool { return bits[i].at < bits[k].at })
	start := d.now
	voice := speech(frame, 1)
	p := make([]byte, frame)
	for d.now.Sub(start) < until {
		for len(bits) > 0 && bits[0].at <= d.now.Sub(start) {
			b := bits[0]
			bits = bits[1:]
			for n := b.bytes; n > 0; n -= frame {
				piece := voice[:min(n, frame)]
				if b.quiet {
					piece = full(silence, len(piece))
				}
				d.Write(start.Add(b.at), piece)
			}
		}
		d.Next(d.now, p)
		d.now = d.now.Add(20 * time.Millisecond)
		ms = append(ms, d.Counts().QueuedMS)
	}
	return ms
}

// least is the lowest level between two times: the delay that is not needed.
func least(ms []int64, from, to time.Duration) int64 {
	low := int64(1 << 40)
	for _, v := range ms[from/(20*time.Millisecond) : to/(20*time.Millisecond)] {
		low = min(low, v)
	}
	return low
}

const second = time.Second

func TestAStallNeverBecomesDelay(t *testing.T) {
	for _, c := range []struct {
		name  string
		bits  func() []bit
		back  time.Duration // when the delay must be the old one
		until time.Duration
	}{
		{"300 ms late, all at once", func() []bit {
			return stall(steadily(20*second, 0), 8*second, 8300*time.Millisecond)
		}, 10300 * time.Millisecond, 20 * second},
		{"300 ms late, and nobody pauses", func() []bit {
			b := stall(steadily(20*second, 0), 8*second, 8300*time.Millisecond)
			for i := range b {
				b[i].quiet = false
			}
			return b
		}, 10300 * time.Millisecond, 20 * second},
		{"150 ms late, again and again", func() []bit {
			b := steadily(70*second, 0)
			for at := 3 * second; at < 12*second; at += second {
				b = stall(b, at, at+150*time.Millisecond)
			}
			return b
		}, 60 * second, 70 * second},
		{"three seconds late, all at once", func() []bit {
			return stall(steadily(30*second, 0), 8*second, 11*second)
		}, 22 * second, 30 * second},
		{"a pause in which nothing is sent", func() []bit {
			return gone(steadily(20*second, 0), 5*second, 9*second)
		}, 11 * second, 20 * second},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(0)
			ms := d.levels(c.bits(), c.until)
			before, after := least(ms, second, 3*second), least(ms, c.back, c.until)
			if after > before+20 {
				t.Errorf("%d ms wait in the end, %d ms before", after, before)
			}
			t.Logf("%d ms before, %d after, %+v", before, after, d.Counts())
		})
	}
}

func TestClocksThatDifferNeverBecomeDelayInAnHour(t *testing.T) {
	for _, ppm := range []float64{100, -100} {
		d := newDesk(0)
		ms := d.levels(steadily(time.Hour, ppm), time.Hour-second)
		first, last := least(ms, second, 20*second), least(ms, time.Hour-30*second, time.Hour-2*second)
		worst := int64(0)
		for at := 20 * second; at < time.Hour-30*second; at += 20 * second {
			worst = max(worst, least(ms, at, at+20*second))
		}
		c := d.Counts()
		if last > first+20 || worst > first+40 {
			t.Errorf("%+.0f ppm: %d ms wait at first, %d in the end, %d in between", ppm, first, last, worst)
		}
		// What is trimmed is what is too much.
		if ppm >= 0 && (c.TrimmedMS > int64(ppm*3.6)+40 || c.Underruns > 3) {
			t.Errorf("%+.0f ppm: %+v", ppm, c)
		}
		t.Logf("%+.0f ppm: %d ms at first, %d in the end, %d in between, %+v", ppm, first, last, worst, c)
	}
}

func TestWhatComesInBurstsIsNeverTrimmed(t *testing.T) {
	utterances := func(pieceMS int, speed float64, pause time.Duration) (bits []bit) {
		r := rand.New(rand.NewPCG(3, 1))
		at := time.Duration(0)
		for range 8 {
			for k := range 5000 / pieceMS {
				late := time.Duration(r.ExpFloat64() * 3e6)
				bits = append(bits, bit{at + time.Duration(float64(k*pieceMS)/speed*1e6) + late, pieceMS * 8, k%10 == 0})
			}
			at += 5*second + pause
		}
		return bits
	}
	// Real time at first, then ten seconds at once, in which there is much silence.
	switches := steadily(6*second, 0)
	for i := range 500 {
		switches = append(switches, bit{6 * second, frame, i%2 == 0})
	}
	for range 1200 {
		switches = append(switches, bit{17 * second, frame, false})
	}
	for name, bits := range map[string][]bit{
		"at once after real time":          switches,
		"all at once":                      utterances(250, 100, 3*second),
		"at 1.1 times real time":           utterances(100, 1.1, 3*second),
		"at twice real time, short pauses": utterances(40, 2, 200*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(0)
			d.levels(bits, 90*second)
			if c := d.Counts(); c.TrimmedMS != 0 || c.PlayedMS != 40000 {
				t.Errorf("%+v, want nothing trimmed of 40 s", c)
			}
		})
	}
}

func TestJitterDoesNotMakeSyntheticSpeechRealTime(t *testing.T) {
	trimmed := int64(0)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		var bits []bit
		for u := range 12 {
			for k := range 50 {
				ms := float64(u)*8000 + float64(k)*100/1.1 + r.ExpFloat64()*30
				bits = append(bits, bit{time.Duration(ms * 1e6), 800, k%10 == 0})
			}
		}
		d := newDesk(0)
		d.levels(bits, 100*second)
		trimmed += d.Counts().TrimmedMS
	}
	if trimmed != 0 {
		t.Errorf("%d ms of 600 s were trimmed, want nothing", trimmed)
	}
}
