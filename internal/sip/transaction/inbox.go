package transaction

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// inbox is the queue of the loop. Only messages of the network can be refused:
// timers, commands and news of the transport must not get lost, and their
// number is bounded by what the program has running.
type inbox struct {
	wake chan struct{} // holds one when the queue is not empty

	mu      *sync.Mutex
	queue   []func()
	spare   []func()
	fromNet int // how many of queue came from the network
	limit   int
	closed  bool
}

func newInbox(limit int) inbox {
	return inbox{wake: make(chan struct{}, 1), mu: new(sync.Mutex), limit: limit}
}

// offer queues a message of the network unless too many wait.
func (b *inbox) offer(f func()) bool {
	b.mu.Lock()
	if b.closed || b.fromNet >= b.limit {
		full := !b.closed
		b.mu.Unlock()
		return !full
	}
	b.fromNet++
	b.queue = append(b.queue, f)
	b.mu.Unlock()
	b.signal()
	return true
}

// post queues anything else.
func (b *inbox) post(f func()) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.queue = append(b.queue, f)
	b.mu.Unlock()
	b.signal()
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all that waits. The result is valid until the next call.
func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	clear(b.spare)
	b.queue, b.spare = b.spare[:0], q
	b.fromNet = 0
	return q
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.queue, b.spare = true, nil, nil
}

// timer is a time.Timer that posts to the loop.
type timer struct {
	t       *time.Timer
	stopped atomic.Bool
}

func (t *timer) stop() {
	t.stopped.Store(true)
	t.t.Stop()
}

type counters struct {
	shed, panics, refused, stray atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Shed:    c.shed.Load(),
		Panics:  c.panics.Load(),
		Refused: c.refused.Load(),
		Stray:   c.stray.Load(),
	}
}

// contain is the barrier: what panicked is dropped, the loop goes on.
func (l *Layer) contain(p any) {
	l.count.panics.Add(1)
	l.cfg.Logger.Error("panic while handling a sip message", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	end := l.current
	l.current = nil
	if end == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.count.panics.Add(1)
			l.cfg.Logger.Error("panic while ending a sip transaction", "panic", fmt.Sprint(p))
		}
	}()
	end()
}
