package policy

import (
	"fmt"
	"time"
)

// Limiter bounds how many calls run and how many begin within any minute. It has
// one owner and no lock.
type Limiter struct {
	// PerMinute is the number of calls that may begin within any 60 seconds; 0 or
	// less means no limit. It must not grow after the first Admit.
	PerMinute int
	// MaxCalls is the number of calls at the same time; 0 or less means no limit.
	MaxCalls int

	begun []time.Time // ring of the last PerMinute beginnings
	next  int         // where the oldest of them is, once the ring is full
}

const window = time.Minute

// Admit counts a call that wants to begin now, while running others exist, or
// returns a *Denied with the time after which another may be tried. A refused
// call is not counted.
func (l *Limiter) Admit(now time.Time, running int) error {
	if l.MaxCalls > 0 && running >= l.MaxCalls {
		return &Denied{
			Code:    TooManyCalls,
			Message: fmt.Sprintf("%d calls are running, and no more are allowed at the same time", running),
			Cure:    "wait until one ends, or raise MAX_CALLS",
		}
	}
	if l.PerMinute <= 0 {
		return nil
	}
	if len(l.begun) < l.PerMinute {
		l.begun = append(l.begun, now)
		return nil
	}
	if wait := l.begun[l.next].Add(window).Sub(now); wait > 0 {
		return &Denied{
			Code:       CallsPerMinute,
			Message:    fmt.Sprintf("%d calls began within the last minute, and no more are allowed", l.PerMinute),
			Cure:       "wait a little, or raise CALLS_PER_MINUTE",
			RetryAfter: min(wait, window),
		}
	}
	l.begun[l.next] = now
	l.next = (l.next + 1) % l.PerMinute
	return nil
}
