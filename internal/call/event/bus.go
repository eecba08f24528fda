package event

import (
	"context"
	"errors"
	"sync"
	"time"
)

// DefaultQueue is how many events a queue holds when the subscriber names no size.
const DefaultQueue = 256

// ErrClosed is returned by [Queue.Next] when the queue or its bus was closed
// and everything that was queued before has been read.
var ErrClosed = errors.New("event queue is closed")

// Bus hands every event to every queue. The zero value is not usable, see [NewBus].
type Bus struct {
	mu     sync.Mutex // guards what follows; also orders the events
	queues map[*Queue]struct{}
	number uint64
	closed bool
}

// NewBus returns a bus without queues. It starts no goroutine.
func NewBus() *Bus {
	return &Bus{queues: make(map[*Queue]struct{})}
}

// Publish numbers the event and puts it into all queues. It never blocks on a
// reader. After Close it does nothing.
func (b *Bus) Publish(now time.Time, t Type, d Data) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.number++
	e := Event{Number: b.number, Type: t, Time: now.UTC(), Data: d}
	for q := range b.queues {
		q.put(e)
	}
}

// Subscribe returns a queue for the events from now on. It holds size events
// (at least 1; 0 or less means [DefaultQueue]); when it is full, the oldest goes.
// The caller must Close it.
func (b *Bus) Subscribe(size int) *Queue {
	if size <= 0 {
		size = DefaultQueue
	}
	q := &Queue{bus: b, ring: make([]Event, size), ready: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		q.shut()
		return q
	}
	b.queues[q] = struct{}{}
	return q
}

// Close closes all queues; what is queued can still be read. It is idempotent.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for q := range b.queues {
		q.shut()
	}
	clear(b.queues)
}

// Queue is the view of one reader. One goroutine reads it.
type Queue struct {
	bus   *Bus
	ready chan struct{} // holds a token when there is something to see

	mu      sync.Mutex // guards what follows
	ring    []Event
	first   int
	length  int
	dropped uint64
	closed  bool
}

// Next returns the oldest event, waiting for one if there is none. It returns
// the error of ctx, or [ErrClosed].
func (q *Queue) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, closed := q.take()
		if ok {
			return e, nil
		}
		if closed {
			return Event{}, ErrClosed
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// Dropped returns how many events this reader lost because it was too slow.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Close ends the subscription. It is idempotent.
func (q *Queue) Close() {
	q.bus.mu.Lock()
	delete(q.bus.queues, q)
	q.bus.mu.Unlock()
	q.shut()
}

func (q *Queue) put(e Event) {
	q.mu.Lock()
	if q.length == len(q.ring) {
		q.ring[q.first] = Event{}
		q.first = (q.first + 1) % len(q.ring)
		q.length--
		q.dropped++
	}
	q.ring[(q.first+q.length)%len(q.ring)] = e
	q.length++
	q.mu.Unlock()
	q.wake()
}

func (q *Queue) take() (e Event, ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.length == 0 {
		return Event{}, false, q.closed
	}
	e = q.ring[q.first]
	q.ring[q.first] = Event{}
	q.first = (q.first + 1) % len(q.ring)
	q.length--
	return e, true, false
}

func (q *Queue) shut() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake()
}

func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
