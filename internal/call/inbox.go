package call

import "sync"

// inboxLimit is how many messages may wait for a call. A call gets a handful in
// its life; only a broken or hostile peer sends more.
const inboxLimit = 256

// inbox is the one way into the goroutine of a call: functions, run in the
// order in which they came. Putting one in never blocks.
type inbox struct {
	ready chan struct{} // holds a token when something waits

	mu      sync.Mutex // guards what follows
	waiting []func()
	dropped int
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// put adds a message that must not be lost: an end, a command, an offer that
// waits for its answer. There are only a few of them in the life of a call.
func (b *inbox) put(f func()) {
	b.mu.Lock()
	b.waiting = append(b.waiting, f)
	b.mu.Unlock()
	b.wake()
}

// offer adds a message that may be lost when too many wait, as the hundredth
// ringing tone.
func (b *inbox) offer(f func()) {
	b.mu.Lock()
	if len(b.waiting) >= inboxLimit {
		b.dropped++
		b.mu.Unlock()
		return
	}
	b.waiting = append(b.waiting, f)
	b.mu.Unlock()
	b.wake()
}

// take returns all that waits.
func (b *inbox) take() []func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.waiting
	b.waiting = nil
	return all
}

// lost returns how many messages were dropped.
func (b *inbox) lost() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}
