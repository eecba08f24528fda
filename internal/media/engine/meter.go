package engine

import (
	"sync/atomic"
	"time"
)

const (
	// window is how long a worker measures before it draws conclusions.
	window = 250 * time.Millisecond
	// full is a load of one whole core.
	full = 10000
	// nominal is the load that a call without measured sound is expected to bring: 60 ms of CPU a minute.
	nominal = full / 1000
	// overload is the load from which a worker takes no more calls. Above it the tail of the wake-up
	// times grows until packets are late.
	overload = full * 8 / 10
	// lateWindows is how many windows in a row must have late packets before calls are refused: one
	// hiccup of the machine is not overload.
	lateWindows = 4
)

// Thresholds of the way a polled worker waits, in socket events a second (a call with a speaker and a
// listener has 100). Below drainBelow it wakes for each, above drainAbove it wakes every drainEvery and
// serves all that came; between them it goes on as it was.
//
// BenchmarkFrame shows why: a wake-up costs more than the packet it is for, so 100 calls on one worker cost
// twice as much CPU when it wakes for each. But a packet is then with its listener within 0.1 ms, and not
// within 1.5 ms. Up to a hundred calls the latency is worth it; beyond, the core is needed.
const (
	drainAbove = 12000
	drainBelow = 9000
	drainEvery = 2 * time.Millisecond
)

// meter measures the load of one worker: the share of time in which it is not asleep, which
// counts what it does and also what it waits for when others use the core.
type meter struct {
	// of the worker only
	above, below int       // thresholds of draining
	begin        time.Time // of the window
	woke         time.Time
	busy         time.Duration // in this window
	events       int           // of sockets, in this window
	late         int           // ticks skipped, in this window
	wakeups      uint64
	draining     bool
	smooth       float64

	// read by everybody
	load    atomic.Int64  // share of a core, of full
	ticking atomic.Int64  // calls whose sound is in load
	behind  atomic.Int64  // windows in a row with late ticks
	skipped atomic.Uint64 // ticks that were never made up for
	drains  atomic.Bool
}

// sleeps and wakes are told when the worker sleeps; between the two time does not count as work.
func (m *meter) sleeps(now time.Time) { m.busy += now.Sub(m.woke) }

func (m *meter) wakes(now time.Time) {
	m.woke = now
	m.wakeups++
}

// measure ends the window when it is over. idle says that there is nothing to wake up for: then nobody
// may come back to measure, so the load is zero from now on.
func (m *meter) measure(now time.Time, ticking int, idle bool) {
	m.ticking.Store(int64(ticking))
	length := now.Sub(m.begin)
	if idle {
		m.smooth, m.draining = 0, false
		m.behind.Store(0)
	} else if length < window {
		return
	} else {
		m.conclude(now, length)
	}
	m.load.Store(int64(m.smooth * full))
	m.drains.Store(m.draining)
	m.begin, m.woke, m.busy, m.events, m.late = now, now, 0, 0, 0
}

func (m *meter) conclude(now time.Time, length time.Duration) {
	m.busy += now.Sub(m.woke)
	share := min(m.busy.Seconds()/length.Seconds(), 1)
	m.smooth += (share - m.smooth) / 4 // so it follows within a second
	switch rate := float64(m.events) / length.Seconds(); {
	case rate > float64(m.above):
		m.draining = true
	case rate < float64(m.below):
		m.draining = false
	}
	if m.late > 0 {
		m.behind.Add(1)
	} else {
		m.behind.Store(0)
	}
}

// expected is the load when all calls placed here have sound, of full.
func (m *meter) expected(placed int64) int64 {
	return m.load.Load() + max(placed-m.ticking.Load(), 0)*nominal
}

// overloaded reports whether one more call would make those that run suffer.
func (m *meter) overloaded(placed int64) bool {
	return m.expected(placed) >= overload || m.behind.Load() >= lateWindows
}
