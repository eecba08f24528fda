package engine

import (
	"sync"
	"time"
)

// A task is something a worker does for one of its calls or sockets. It runs on
// the worker's goroutine, so it may touch everything that worker owns, and it must
// never block: every other call of the worker waits for it.
type task interface {
	run(w *worker, now time.Time)
}

// command is a task made of a function, for what happens a few times per call.
type command func(w *worker, now time.Time)

func (f command) run(w *worker, now time.Time) { f(w, now) }

// inbox is the one way into a worker. Its length is bounded by what may post: an RTP
// socket and a WebSocket are each in it at most once, commands are a few per call.
type inbox struct {
	mu     sync.Mutex
	tasks  []task
	closed bool
	wake   chan struct{} // capacity 1: a token says that tasks wait
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1)}
}

// put hands over t and never blocks. It reports false when the worker has ended and
// t will not run: what t carried is still the caller's to release.
func (b *inbox) put(t task) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.tasks = append(b.tasks, t)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // a token is already there
	}
	return true
}

// take returns everything that waits and leaves the empty slice spare in its place,
// so that two slices go back and forth and nothing is allocated in the long run.
func (b *inbox) take(spare []task) []task {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.tasks
	b.tasks = spare[:0]
	return full
}

// shut refuses everything from now on and returns what was still waiting.
func (b *inbox) shut() []task {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	rest := b.tasks
	b.tasks = nil
	return rest
}
