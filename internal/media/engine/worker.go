package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// lookAfter is how many tasks a worker does before it looks at the clock again, so that
// a flood of tasks cannot delay the packets that are due.
const lookAfter = 16

// worker owns calls and sockets completely: everything of them is touched by the goroutine
// of run alone, without locks. Others reach it through its inbox.
type worker struct {
	engine  *Engine
	inbox   *inbox
	load    atomic.Int64 // calls placed here, read by Open to find the least loaded worker
	packets packetPool
	sockets sync.WaitGroup // readers and writers of its sockets

	// of the goroutine of run only
	wheel   *wheel
	medias  map[*Media]struct{}
	conns   map[*Conn]struct{}
	checkAt time.Time // when the WebSockets are looked after next; meaningless without any
	ending  bool
}

func newWorker(e *Engine) *worker {
	return &worker{
		engine: e, inbox: newInbox(), packets: make(packetPool, 256), wheel: newWheel(e.cfg.TimeNow()),
		medias: map[*Media]struct{}{}, conns: map[*Conn]struct{}{},
	}
}

// run is the loop of the worker. When ctx ends it says goodbye to its sockets, waits for
// them for a bounded time, closes what is left, and returns when all its goroutines have ended.
func (w *worker) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var batch []task
	var giveUp time.Time
	stop := ctx.Done()
	for {
		now := w.engine.cfg.TimeNow()
		w.onTime(now)
		if w.ending && (len(w.conns) == 0 || !now.Before(giveUp)) {
			break
		}
		batch = w.inbox.take(batch)
		if len(batch) > 0 {
			w.work(batch, now)
			clear(batch)
			continue
		}
		timer.Reset(w.untilNext(now, giveUp))
		select {
		case <-w.inbox.wake:
		case <-timer.C:
		case <-stop:
			stop = nil
			giveUp = w.engine.cfg.TimeNow().Add(min(w.engine.cfg.CloseTimeout, shortLinger))
			w.goodbye(w.engine.cfg.TimeNow())
		}
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
		w.engine.late.report(now, w.engine.log, skipped)
	}
	if len(w.conns) > 0 && !now.Before(w.checkAt) {
		for c := range w.conns {
			c.check(now)
		}
		w.checkAt = now.Add(w.engine.checkEvery)
	}
}

// untilNext returns how long the worker may sleep. Without calls and sockets that is for
// ever: the timer then only fires once an hour, which costs nothing.
func (w *worker) untilNext(now, giveUp time.Time) time.Duration {
	wait := time.Hour
	if at, ok := w.wheel.next(); ok {
		wait = min(wait, at.Sub(now))
	}
	if len(w.conns) > 0 {
		wait = min(wait, w.checkAt.Sub(now))
	}
	if w.ending {
		wait = min(wait, giveUp.Sub(now))
	}
	return max(wait, 0)
}

// goodbye ends the calls and tells the sockets that the program goes away.
func (w *worker) goodbye(now time.Time) {
	w.ending = true
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
}

// admit makes w the owner of c.
func (w *worker) admit(c *Conn, now time.Time) {
	if len(w.conns) == 0 {
		w.checkAt = now.Add(w.engine.checkEvery)
	}
	w.conns[c] = struct{}{}
}
