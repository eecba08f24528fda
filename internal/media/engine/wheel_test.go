package engine

import (
	"log/slog"
	"testing"
	"time"
)

var testEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestTheWheelTicksEveryCallEvery20Milliseconds(t *testing.T) {
	w := newWheel(testEpoch)
	ticks := map[*Media][]time.Time{}
	var calls []*Media
	for range 25 {
		m := &Media{}
		calls = append(calls, m)
		w.add(testEpoch, m)
	}
	end := testEpoch.Add(time.Second)
	for {
		at, ok := w.next()
		if !ok {
			t.Fatal("a wheel with calls has no deadline")
		}
		if at.After(end) {
			break
		}
		late := at.Add(300 * time.Microsecond) // a wake-up is never exact
		if skipped := w.advance(late, func(m *Media, _ time.Time) { ticks[m] = append(ticks[m], at) }); skipped > 0 {
			t.Fatalf("%d ticks skipped at %v", skipped, at)
		}
	}
	most := 0
	at := map[time.Time]int{}
	for _, m := range calls {
		if n := len(ticks[m]); n < 49 || n > 50 {
			t.Errorf("%d ticks in a second, want 50 (or 49 and one on the edge)", n)
		}
		for i := 1; i < len(ticks[m]); i++ {
			if d := ticks[m][i].Sub(ticks[m][i-1]); d != period {
				t.Errorf("tick after %v, want %v", d, period)
			}
		}
		at[ticks[m][0]]++
		most = max(most, at[ticks[m][0]])
	}
	if most > 3 {
		t.Errorf("%d of 25 calls tick in the same instant, want at most 3", most)
	}
}

func TestAnEmptyWheelHasNoDeadline(t *testing.T) {
	w := newWheel(testEpoch)
	if _, ok := w.next(); ok {
		t.Error("a new wheel has a deadline")
	}
	m := &Media{}
	w.add(testEpoch.Add(time.Hour), m)
	at, ok := w.next()
	if d := at.Sub(testEpoch.Add(time.Hour)); !ok || d <= 0 || d > period {
		t.Errorf("first tick after %v, want within one period", d)
	}
	w.remove(m)
	if _, ok := w.next(); ok {
		t.Error("an emptied wheel has a deadline")
	}
}

func TestAfterAStallEveryCallTicksOnceAndInItsOldPhase(t *testing.T) {
	tests := []struct {
		stall   time.Duration
		skipped int
	}{
		{0, 0},
		{19 * time.Millisecond, 0},
		{20 * time.Millisecond, 0}, // one missed tick is made up for by the session
		{40 * time.Millisecond, 1},
		{time.Second, 49},
	}
	for _, c := range tests {
		w := newWheel(testEpoch)
		w.add(testEpoch, &Media{})
		first, _ := w.next()
		ticks := 0
		skipped := w.advance(first.Add(c.stall), func(*Media, time.Time) { ticks++ })
		if ticks != 1 || skipped != c.skipped {
			t.Errorf("stall of %v: %d ticks and %d skipped, want 1 and %d", c.stall, ticks, skipped, c.skipped)
		}
		if at, _ := w.next(); at.Sub(first)%period != 0 || !at.After(first.Add(c.stall)) {
			t.Errorf("stall of %v: next tick %v after the first, want a later multiple of %v", c.stall, at.Sub(first), period)
		}
	}
}

func TestACallMayLeaveTheWheelInItsOwnTick(t *testing.T) {
	w := newWheel(testEpoch)
	var calls []*Media
	for range 30 {
		m := &Media{}
		calls = append(calls, m)
		w.add(testEpoch, m)
	}
	ticked := map[*Media]int{}
	w.advance(testEpoch.Add(period), func(m *Media, _ time.Time) {
		ticked[m]++
		w.remove(m)
	})
	for i, m := range calls {
		if ticked[m] != 1 {
			t.Errorf("call %d ticked %d times, want once", i, ticked[m])
		}
	}
	if w.count != 0 {
		t.Errorf("%d calls left", w.count)
	}
}

func TestAWorkerWithoutCallsAndSocketsSetsNoTimer(t *testing.T) {
	e, err := New(Config{TimeNow: func() time.Time { return testEpoch }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := e.workers[0]
	if at, ok := w.next(); ok {
		t.Errorf("an idle worker wakes at %v, want never", at)
	}
	m := &Media{}
	w.wheel.add(testEpoch, m)
	if at, ok := w.next(); !ok || at.Sub(testEpoch) > period {
		t.Errorf("a worker with a call wakes at %v (%v), want within a period", at, ok)
	}
	w.wheel.remove(m)
	if at, ok := w.next(); ok {
		t.Errorf("after its last call a worker wakes at %v, want never", at)
	}
}
