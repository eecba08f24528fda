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
	wake func() // rouses the worker; called with the lock held, and only while it dozes

	mu     sync.Mutex
	tasks  []task
	dozing bool // the worker sleeps, or is about to
	closed bool
}

// put hands over t and never blocks. It reports false when the worker has ended and
// t will not run: what t carried is still the caller's to release.
func (b *inbox) put(t task) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.tasks = append(b.tasks, t)
	if b.dozing {
		b.dozing = false
		b.wake() // under the lock, so that it never comes after shut
	}
	return true
}

// doze says that the worker is going to sleep and must be woken for the next task. It
// reports false when there is one already.
func (b *inbox) doze() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dozing = len(b.tasks) == 0
	return b.dozing
}

// take returns everything that waits and leaves the empty slice spare in its place,
// so that two slices go back and forth and nothing is allocated in the long run.
func (b *inbox) take(spare []task) []task {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dozing = false
	full := b.tasks
	b.tasks = spare[:0]
	return full
}

// shut refuses everything from now on and returns what was still waiting.
func (b *inbox) shut() []task {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.dozing = true, false
	rest := b.tasks
	b.tasks = nil
	return rest
}
