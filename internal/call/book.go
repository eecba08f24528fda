package call

import (
	"slices"
	"time"
)

// book holds the calls: all that run, and those that ended a while ago.
// The mutex of the exchange guards it.
type book struct {
	keep    int
	keepFor time.Duration
	calls   map[string]*live
	order   []string // names in the order of their making, which is their order as text
	ended   []ending // in the order of their ends
}

type ending struct {
	id string
	at time.Time
}

func newBook(keep int, keepFor time.Duration) book {
	return book{keep: keep, keepFor: keepFor, calls: make(map[string]*live)}
}

// add enters a call.
func (b *book) add(c *live) {
	b.calls[c.id] = c
	at, _ := slices.BinarySearch(b.order, c.id) // nearly always the end
	b.order = slices.Insert(b.order, at, c.id)
}

// end marks a call as ended; from now on it may be forgotten.
func (b *book) end(id string, now time.Time) {
	b.ended = append(b.ended, ending{id: id, at: now})
	b.prune(now)
}

// prune forgets ended calls that are too many or too old.
func (b *book) prune(now time.Time) {
	n := max(len(b.ended)-b.keep, 0)
	for n < len(b.ended) && now.Sub(b.ended[n].at) >= b.keepFor {
		n++
	}
	for _, e := range b.ended[:n] {
		delete(b.calls, e.id)
		if at, found := slices.BinarySearch(b.order, e.id); found {
			b.order = slices.Delete(b.order, at, at+1)
		}
	}
	b.ended = slices.Delete(b.ended, 0, n)
}

// before returns the calls that are older than the one named, the newest first;
// all of them when the name is empty. The named call need not exist any more.
func (b *book) before(id string) []*live {
	end := len(b.order)
	if id != "" {
		end, _ = slices.BinarySearch(b.order, id)
	}
	all := make([]*live, 0, end)
	for _, name := range slices.Backward(b.order[:end]) {
		all = append(all, b.calls[name])
	}
	return all
}
