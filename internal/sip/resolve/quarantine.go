package resolve

import (
	"slices"
	"time"
)

// Fail puts an address at the end of all lists until a time (RFC 3263 section
// 4.3: a failed server is not the first choice again before its time is over).
func (r *Resolver) Fail(t Target, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) >= maxFailed {
		clear(r.failed)
	}
	r.failed[t] = until
}

// Good ends the quarantine of an address.
func (r *Resolver) Good(t Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, t)
}

// Order returns a list with the addresses in quarantine at its end, the one that
// is free next before the others. No address is left out: with all of them
// failed, the oldest failure is the best choice.
func (r *Resolver) Order(now time.Time, targets []Target) []Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(targets)
	slices.SortStableFunc(out, func(a, b Target) int { return r.rank(now, a).Compare(r.rank(now, b)) })
	return out
}

// rank is the end of a quarantine, or zero for an address that is free.
func (r *Resolver) rank(now time.Time, t Target) time.Time {
	until := r.failed[t]
	if !until.After(now) {
		return time.Time{}
	}
	return until
}
