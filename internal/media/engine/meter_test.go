package engine

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// meterRig moves a meter through windows of one length.
type meterRig struct {
	meter
	now time.Time
}

func newMeterRig() *meterRig {
	r := &meterRig{now: testEpoch}
	r.above, r.below = drainAbove, drainBelow
	r.measure(r.now, 0, true)
	return r
}

// pass lets a window go by in which the worker was busy for a share of it.
func (r *meterRig) pass(share float64, events, late int) {
	r.wakes(r.now)
	r.sleeps(r.now.Add(time.Duration(share * float64(window))))
	r.events, r.late = events, late
	r.now = r.now.Add(window)
	r.wakes(r.now)
	r.measure(r.now, 1, false)
}

func TestTheLoadOfAWorkerFollowsItsWork(t *testing.T) {
	r := newMeterRig()
	for range 40 {
		r.pass(0.5, 0, 0)
	}
	if got := r.load.Load(); got < full*49/100 || got > full*51/100 {
		t.Errorf("load %d of %d after a long time at one half", got, full)
	}
	r.pass(0, 0, 0)
	if got := r.load.Load(); got < full*3/10 {
		t.Errorf("load %d: one quiet window must not make it forget", got)
	}
	r.measure(r.now, 0, true)
	if got := r.load.Load(); got != 0 {
		t.Errorf("load %d of a worker that sleeps for ever", got)
	}
}

func TestDrainingBeginsAndEndsWithHysteresis(t *testing.T) {
	r := newMeterRig()
	perWindow := func(rate int) int { return rate * int(window) / int(time.Second) }
	for _, step := range []struct {
		rate int
		want bool
	}{
		{drainBelow - 1000, false},
		{drainAbove - 1000, false},
		{drainAbove + 1000, true},
		{drainAbove - 1000, true},
		{drainBelow + 1000, true},
		{drainBelow - 1000, false},
		{drainBelow + 1000, false},
	} {
		r.pass(0.1, perWindow(step.rate), 0)
		if r.draining != step.want {
			t.Errorf("at %d events a second draining is %v, want %v", step.rate, r.draining, step.want)
		}
	}
}

func TestOverloadIsABusyWorkerOrOneThatStaysLate(t *testing.T) {
	r := newMeterRig()
	if r.overloaded(100) {
		t.Error("100 new calls overload an idle worker")
	}
	if !r.overloaded(full) {
		t.Error("any number of calls without sound may be placed")
	}
	for range 40 {
		r.pass(0.85, 0, 0)
	}
	if !r.overloaded(1) {
		t.Error("a worker that is busy 85 % of the time takes calls")
	}
	r = newMeterRig()
	for i := range lateWindows {
		if r.overloaded(1) {
			t.Errorf("overloaded after %d late windows", i)
		}
		r.pass(0.1, 0, 1)
	}
	if !r.overloaded(1) {
		t.Error("a worker that is late all the time takes calls")
	}
	r.pass(0.1, 0, 0)
	if r.overloaded(1) {
		t.Error("a worker that is on time again refuses calls")
	}
}

func TestCallsGoToTheLeastLoadedWorkerAndAreRefusedWhenAllAreFull(t *testing.T) {
	eachWay(t, func(t *testing.T, fed bool) {
		e, err := New(Config{Workers: 3, Fed: fed, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer closeWorkers(e)
		for i, load := range []int64{full / 2, full / 10, full / 5} {
			e.workers[i].meter.load.Store(load)
		}
		// 0.1 per cent each: the calls that have no sound yet count too.
		got := [3]int{}
		for range 150 {
			w, err := e.place()
			if err != nil {
				t.Fatal(err)
			}
			w.placed.Add(1)
			for i := range e.workers {
				if e.workers[i] == w {
					got[i]++
				}
			}
		}
		if got[0] != 0 || got[1] < 120 || got[2] < 20 {
			t.Errorf("150 calls went %v to workers with loads of 50, 10 and 20 %%", got)
		}
		for _, w := range e.workers {
			w.meter.load.Store(full)
		}
		if _, err := e.Open(MediaConfig{}); !errors.Is(err, ErrOverloaded) {
			t.Errorf("all workers are full: %v, want ErrOverloaded", err)
		}
		e.workers[2].meter.load.Store(0)
		if w, err := e.place(); err != nil || w != e.workers[2] {
			t.Errorf("one worker is free: %v", err)
		}
	})
}

// closeWorkers frees an engine that is never run.
func closeWorkers(e *Engine) {
	for _, w := range e.workers {
		w.rest.close()
	}
}
