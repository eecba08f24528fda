package call

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"
)

// keyring remembers which requests were made under which idempotency key.
// The mutex of the exchange guards it.
type keyring struct {
	most    int
	keepFor time.Duration
	entries map[string]*keyEntry
	order   []*keyEntry // in the order of their coming
}

// keyEntry is one key. What stands behind done is written before done is
// closed and read after it.
type keyEntry struct {
	key   string
	print [sha256.Size]byte
	at    time.Time

	done chan struct{}
	id   string // of the call, when one was placed
	last Call   // the first snapshot, for when the call itself is forgotten
	err  error  // why none was placed
}

func newKeyring(most int, keepFor time.Duration) keyring {
	return keyring{most: most, keepFor: keepFor, entries: make(map[string]*keyEntry)}
}

func (k *keyring) add(e *keyEntry) {
	k.entries[e.key] = e
	k.order = append(k.order, e)
	k.prune(e.at)
}

// drop forgets a key under which no call was placed, so that it can be tried
// again, and so that many refusals do not push out keys of calls.
func (k *keyring) drop(e *keyEntry) {
	if k.entries[e.key] != e {
		return // too many or too old, and forgotten already
	}
	delete(k.entries, e.key)
	if at := slices.Index(k.order, e); at >= 0 {
		k.order = slices.Delete(k.order, at, at+1)
	}
}

// prune forgets keys that are too many or too old.
func (k *keyring) prune(now time.Time) {
	n := max(len(k.order)-k.most, 0)
	for n < len(k.order) && now.Sub(k.order[n].at) >= k.keepFor {
		n++
	}
	for _, e := range k.order[:n] {
		delete(k.entries, e.key)
	}
	k.order = slices.Delete(k.order, 0, n)
}

// claim says whether the request is the first under its key (or has none) and
// must be carried out, and the entry in which its result is to be settled.
func (x *Exchange) claim(r Request) (entry *keyEntry, first bool, err error) {
	if r.Key == "" {
		return nil, true, nil
	}
	mark, now := r.fingerprint(), x.cfg.TimeNow()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keys.prune(now)
	if e, found := x.keys.entries[r.Key]; found {
		if e.print != mark {
			return nil, false, &Error{
				Class: Invalid, Code: CodeKeyReused, Field: "Idempotency-Key",
				Message: "This key was used with another request before; take a new one for a new call.",
			}
		}
		return e, false, nil
	}
	e := &keyEntry{key: r.Key, print: mark, at: now, done: make(chan struct{})}
	x.keys.add(e)
	return e, true, nil
}

// settle stores what became of the request: a call, or the reason for none. A
// key without a call is free again.
func (x *Exchange) settle(e *keyEntry, c *live, err error) {
	if e == nil {
		return
	}
	if c != nil {
		e.id, e.last = c.id, c.snapshot(x.cfg.TimeNow())
		e.last.Metadata = nil // it may be long, and is kept for a day
	}
	e.err = err
	if err != nil {
		x.mu.Lock()
		x.keys.drop(e)
		x.mu.Unlock()
	}
	close(e.done)
}

// replay returns what became of the first request under a key, waiting for it
// if need be.
func (x *Exchange) replay(ctx context.Context, e *keyEntry) (Call, error) {
	select {
	case <-e.done:
	case <-ctx.Done():
		return Call{}, &Error{
			Class: Conflict, Code: CodeKeyInUse, RetryAfter: time.Second, Err: context.Cause(ctx),
			Message: "The first request with this key is still at work.",
		}
	}
	if e.err != nil {
		return Call{}, e.err
	}
	c, err := x.Get(ctx, e.id)
	if err != nil {
		c = e.last // ended so long ago that it is forgotten
	}
	c.Replayed = true
	return c, nil
}
