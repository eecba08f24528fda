package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// lookAfter is how many tasks or events a worker serves before it looks at the clock again, so
// that a flood of them cannot delay the packets that are due.
const lookAfter = 16

// worker owns calls and sockets completely: everything of them is touched by the goroutine
// of run alone, without locks. Others reach it through its inbox.
type worker struct {
	engine  *Engine
	inbox   *inbox
	rest    rest
	poll    *poller // rest, when it is one; nil when all sockets are fed
	meter   meter
	placed  atomic.Int64 // calls placed here
	packets packetPool
	sockets sync.WaitGroup // readers and writers of its sockets

	// of the goroutine of run only
	wheel   *wheel
	medias  map[*Media]struct{}
	conns   map[*Conn]struct{}
	checkAt time.Time // when the WebSockets are looked after next; meaningless without any
	ending  bool
	giveUp  time.Time // when waiting for the goodbyes of the peers ends
}

func newWorker(e *Engine) *worker {
	w := &worker{
		engine: e, packets: make(packetPool, 256), wheel: newWheel(e.cfg.TimeNow()),
		medias: map[*Media]struct{}{}, conns: map[*Conn]struct{}{},
	}
	w.meter.above, w.meter.below = drainAbove, drainBelow
	w.rest = newChannelRest()
	if !e.cfg.Fed {
		if p, err := newPoller(e.cfg.TimeNow()); err == nil {
			w.rest, w.poll = p, p
		} else {
			e.log.Debug("sockets are read by goroutines", "reason", err)
		}
	}
	w.inbox = &inbox{wake: w.rest.wake}
	return w
}

// run is the loop of the worker. When ctx ends it says goodbye to its sockets, waits for
// them for a bounded time, closes what is left, and returns when all its goroutines have ended.
func (w *worker) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { w.inbox.put(command(goodbye)) })
	defer stop()
	if w.poll != nil {
		w.poll.pin()
	}
	w.meter.wakes(w.engine.cfg.TimeNow())
	var batch []task
	for {
		now := w.engine.cfg.TimeNow()
		w.onTime(now)
		if w.ending && (len(w.conns) == 0 || !now.Before(w.giveUp)) {
			break
		}
		batch = w.inbox.take(batch)
		w.work(batch, now)
		hurry := len(batch) > 0
		clear(batch)
		hurry = w.rest.serve(w) || hurry
		until, timed := w.next()
		w.meter.measure(now, w.wheel.count, !timed && !hurry)
		w.rest.wait(w, until, hurry)
	}
	w.end()
}

// work does a batch of tasks and keeps the clock meanwhile.
func (w *worker) work(batch []task, now time.Time) {
	for i, t := range batch {
		if i%lookAfter == lookAfter-1 {
			now = w.engine.cfg.TimeNow()
			w.onTime(now)
		}
		t.run(w, now)
	}
}

// onTime does what the clock asks for.
func (w *worker) onTime(now time.Time) {
	if skipped := w.wheel.advance(now, (*Media).tick); skipped > 0 {
		w.meter.late += skipped
		w.meter.skipped.Add(uint64(skipped))
		w.engine.late.report(now, w.engine.log, skipped)
	}
	if len(w.conns) > 0 && !now.Before(w.checkAt) {
		for c := range w.conns {
			c.check(now)
		}
		w.checkAt = now.Add(w.engine.checkEvery)
	}
}

// next returns when the clock will ask for something, and false when it never will: without
// calls and sockets a worker sets no timer at all.
func (w *worker) next() (at time.Time, ok bool) {
	earliest := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if t, ticks := w.wheel.next(); ticks {
		earliest(t)
	}
	if len(w.conns) > 0 {
		earliest(w.checkAt)
	}
	if w.ending {
		earliest(w.giveUp)
	}
	return at, ok
}

// goodbye ends the calls and tells the sockets that the program goes away.
func goodbye(w *worker, now time.Time) {
	w.ending = true
	w.giveUp = now.Add(min(w.engine.cfg.CloseTimeout, shortLinger))
	for c := range w.conns {
		c.beginClose(now, closeShutdown())
	}
	for m := range w.medias {
		m.shut(now)
	}
	w.checkAt = now
}

// end closes what is left and waits for the goroutines of the sockets.
func (w *worker) end() {
	now := w.engine.cfg.TimeNow()
	w.ending = true
	for _, t := range w.inbox.shut() {
		t.run(w, now)
	}
	for m := range w.medias {
		m.shut(now)
	}
	for c := range w.conns {
		c.drop(now)
	}
	w.sockets.Wait()
	w.rest.close()
}

// admit makes w the owner of c.
func (w *worker) admit(c *Conn, now time.Time) {
	if len(w.conns) == 0 {
		w.checkAt = now.Add(w.engine.checkEvery)
	}
	w.conns[c] = struct{}{}
}
