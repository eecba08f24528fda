package reorder

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"
)

// network describes what happens to the packets of a trace.
type network struct {
	name       string
	packets    int
	jitter     string  // exponential (jitterMS is its 99th percentile), route, bursts, spikes
	jitterMS   float64 //
	loss, stay float64 // chance to become and to stay lossy
	reordered  float64 // chance to come 35 ms later
	doubled    float64
	ppm        float64 // the sender's clock is faster by this
	pauses     bool    // 2.9 s of silence in every 6 s are not sent
}

// arrival is one packet of a trace, in milliseconds of the receiver's clock.
type arrival struct {
	seq   int // counts the packets that were sent
	place int // counts 20 ms of the sender's time
	ms    float64
}

func (n network) trace() []arrival {
	r := rand.New(rand.NewPCG(1, 2))
	var out []arrival
	lossy := false
	seq := -1
	for i := range n.packets {
		sent := float64(i) * 20 * (1 - n.ppm*1e-6)
		if n.pausing(i) {
			continue
		}
		seq++
		if lossy {
			lossy = r.Float64() < n.stay
		} else {
			lossy = r.Float64() < n.loss
		}
		delay := 40.0
		switch n.jitter {
		case "exponential":
			delay += r.ExpFloat64() * n.jitterMS / 4.6
		case "route":
			delay += float64(i/500%2)*n.jitterMS + r.ExpFloat64()*3
		case "spikes": // the way is congested: a queue that fills at once and drains
			delay += max(0, n.jitterMS-float64(i%400)*10) + r.ExpFloat64()*3
		case "bursts":
			k := int(n.jitterMS / 20)
			delay += float64(k-1-i%k) * 20
		}
		if r.Float64() < n.reordered {
			delay += 35
		}
		if lossy && i > 0 {
			continue
		}
		out = append(out, arrival{seq, i, sent + delay})
		if r.Float64() < n.doubled {
			out = append(out, arrival{seq, i, sent + delay + r.ExpFloat64()*30})
		}
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].ms < out[b].ms })
	return out
}

func (n network) pausing(i int) bool { return n.pauses && i/150%2 == 1 && i%150 > 5 }

// scale measures how long packets take from the fastest way through the
// network to the listener.
type scale struct {
	line
	now   float64
	delay []float64 // of each packet against its timestamp
	ts    int       // of the next sample
}

func (s *scale) Audio(p Packet) {
	s.delay = append(s.delay, s.now-float64(s.ts)/8)
	s.ts += p.Samples
	s.samples += p.Samples
}

func (s *scale) Gap(n int, why Gap) {
	s.ts += n
	s.line.Gap(n, why)
}

func TestTracesKeepTheTimeLine(t *testing.T) {
	for _, c := range []struct {
		network
		addedMS float64 // golden: mean delay above the fastest packet
		lost    float64 // golden: share of the time line that was lost, in percent
	}{
		{network{name: "clean", packets: 6000, jitter: "exponential", jitterMS: 2}, 0.43, 0.00},
		{network{name: "20 ms of jitter", packets: 6000, jitter: "exponential", jitterMS: 20}, 4.31, 0.00},
		{network{name: "60 ms of jitter, 0.8 % loss", packets: 6000, jitter: "exponential", jitterMS: 60, loss: .008}, 15.08, 0.90},
		{network{name: "120 ms of jitter, 4.6 % loss", packets: 6000, jitter: "exponential", jitterMS: 120, loss: .046}, 49.59, 4.83},
		{network{name: "loss in bursts, 20 %", packets: 6000, jitter: "exponential", jitterMS: 30, loss: .1, stay: .6}, 10.92, 19.95},
		{network{name: "5 % out of order", packets: 6000, jitter: "exponential", jitterMS: 5, reordered: .05}, 3.44, 0.00},
		{network{name: "5 % doubled", packets: 6000, jitter: "exponential", jitterMS: 5, doubled: .05}, 1.09, 0.00},
		{network{name: "a route that changes by 80 ms", packets: 6000, jitter: "route", jitterMS: 80}, 42.98, 0.12},
		{network{name: "packets in bursts of three", packets: 6000, jitter: "bursts", jitterMS: 60}, 20.00, 0.00},
		// The fastest packet is the first here: 60 ms of drift are counted as delay.
		{network{name: "a clock that is 100 ppm fast, ten minutes", packets: 30000, jitter: "exponential", jitterMS: 2, ppm: 100}, 30.39, 0.00},
		{network{name: "a clock that is 100 ppm slow, ten minutes", packets: 30000, jitter: "exponential", jitterMS: 2, ppm: -100}, 30.41, 0.00},
		{network{name: "congestion of 300 ms every 8 s", packets: 6000, jitter: "spikes", jitterMS: 300}, 10.84, 0},
		{network{name: "pauses that are not sent", packets: 6000, jitter: "exponential", jitterMS: 20, pauses: true}, 4.32, 0.00},
		{network{name: "over two wraps of the sequence", packets: 140000, jitter: "exponential", jitterMS: 2}, 0.44, 0.00},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace := c.trace()
			s := &scale{}
			b := New(8000, s)
			start := time.Unix(1000, 0)
			clock := func(ms float64) time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }
			tick := 0.0
			fastest := math.Inf(1)
			payload := make([]byte, 160)
			for _, a := range trace {
				fastest = min(fastest, a.ms-float64(a.place)*20)
				for ; tick < a.ms; tick += 20 {
					s.now = tick
					b.Tick(clock(tick))
				}
				s.now = a.ms
				b.Push(clock(a.ms), Packet{Sequence: uint16(a.seq), Timestamp: uint32(a.place) * 160, Samples: 160, Payload: payload})
			}
			b.Flush(clock(tick))
			last := 0
			for _, a := range trace {
				last = max(last, a.place)
			}
			if want := (last + 1) * 160; s.samples != want {
				t.Errorf("%d samples came out, the time line has %d", s.samples, want)
			}
			mean := 0.0
			for _, d := range s.delay {
				mean += (d - fastest) / float64(len(s.delay))
			}
			lost := 100 * float64(s.lost) / float64(s.samples)
			if math.Abs(mean-c.addedMS) > 0.05 || math.Abs(lost-c.lost) > 0.01 {
				t.Errorf("adds %.2f ms, loses %.2f %%; want %.2f ms, %.2f %%", mean, lost, c.addedMS, c.lost)
			}
			t.Logf("adds %.2f ms, loses %.2f %%, %+v", mean, lost, b.Counts())
			if n := b.Counts().Restarts; n != 0 {
				t.Errorf("%d restarts in one stream", n)
			}
		})
	}
}

func TestStreamsThatTakeTurnsKeepTheirTimeLines(t *testing.T) {
	// A far end that is transferred five times in a minute, with loss and jitter.
	network := network{packets: 3000, jitter: "exponential", jitterMS: 20, loss: .03, stay: .3}
	s := &scale{}
	b := New(8000, s)
	start := time.Unix(1000, 0)
	payload := make([]byte, 160)
	tick, last := 0.0, -1
	want := 0
	for _, a := range network.trace() {
		if a.place/600 != last/600 || last < 0 {
			want += 160 // the first packet of a stream begins its time line
			last = a.place
		} else if a.place > last {
			want += (a.place - last) * 160
			last = a.place
		}
		for ; tick < a.ms; tick += 20 {
			b.Tick(start.Add(time.Duration(tick * float64(time.Millisecond))))
		}
		stream := a.place / 600
		b.Push(start.Add(time.Duration(a.ms*float64(time.Millisecond))), Packet{
			SSRC: uint32(stream), Sequence: uint16(a.seq + stream*7777), Timestamp: uint32(a.place+stream*1000000) * 160,
			Samples: 160, Payload: payload,
		})
	}
	b.Flush(start.Add(time.Duration(tick * float64(time.Millisecond))))
	if s.samples != want {
		t.Errorf("%d samples came out, the time lines have %d", s.samples, want)
	}
	if n := b.Counts().Restarts; n != 4 {
		t.Errorf("%d restarts, want 4", n)
	}
}
