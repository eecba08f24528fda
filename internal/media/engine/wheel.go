package engine

import (
	"slices"
	"time"
)

const (
	// period is the packet time of the phone side: every call ticks this often.
	period = 20 * time.Millisecond
	// phases is the number of slots the calls of a worker are spread over, so that
	// their packets do not all leave in the same instant.
	phases = 10
)

// wheel is the clock of one worker: calls sit in phase slots with absolute
// deadlines, so that a late wake-up never moves the ticks that follow.
// It reads no clock itself; an empty wheel has no deadline and so needs no timer.
type wheel struct {
	epoch time.Time
	slots [phases]slot
	count int
}

type slot struct {
	next  time.Time // when the calls of this slot tick next; meaningless when empty
	calls []*Media
}

// newWheel returns a wheel whose phases count from epoch.
func newWheel(epoch time.Time) *wheel { return &wheel{epoch: epoch} }

// add puts m into the emptiest slot; its first tick is at most one period away.
func (w *wheel) add(now time.Time, m *Media) {
	best := 0
	for i := range w.slots {
		if len(w.slots[i].calls) < len(w.slots[best].calls) {
			best = i
		}
	}
	s := &w.slots[best]
	if len(s.calls) == 0 {
		s.next = w.after(now, best)
	}
	m.slot, m.place = best, len(s.calls)
	s.calls = append(s.calls, m)
	w.count++
}

// remove takes m out; m must be in the wheel. In a tick it may be called for m itself only.
func (w *wheel) remove(m *Media) {
	s := &w.slots[m.slot]
	last := len(s.calls) - 1
	moved := s.calls[last]
	s.calls[m.place] = moved
	moved.place = m.place
	s.calls[last] = nil
	s.calls = s.calls[:last]
	w.count--
}

// after returns the first deadline of slot i that lies after now.
func (w *wheel) after(now time.Time, i int) time.Time {
	first := w.epoch.Add(time.Duration(i) * period / phases)
	behind := now.Sub(first)
	if behind < 0 {
		return first
	}
	periods := int64(behind/period) + 1
	return first.Add(time.Duration(periods) * period)
}

// next returns the earliest deadline, and false when the wheel is empty.
func (w *wheel) next() (time.Time, bool) {
	var at time.Time
	if w.count == 0 {
		return at, false
	}
	for i := range w.slots {
		s := &w.slots[i]
		if len(s.calls) > 0 && (at.IsZero() || s.next.Before(at)) {
			at = s.next
		}
	}
	return at, true
}

// advance calls tick once for every call whose deadline has passed, and returns how many packets that
// leaves unsent: a session makes up for one missed tick and skips the time of further ones.
func (w *wheel) advance(now time.Time, tick func(*Media, time.Time)) (skipped int) {
	for i := range w.slots {
		s := &w.slots[i]
		if len(s.calls) == 0 || s.next.After(now) {
			continue
		}
		missed := int(now.Sub(s.next) / period)
		s.next = s.next.Add(time.Duration(missed+1) * period)
		skipped += max(missed-1, 0) * len(s.calls)
		for _, m := range slices.Backward(s.calls) { // backward: m may leave the wheel in its tick
			tick(m, now)
		}
	}
	return skipped
}
