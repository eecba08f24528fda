package demo

import (
	"context"
	"time"
)

const (
	watchEvery = 5 * time.Millisecond
	// stall is the lateness of this process from which on a line cannot be
	// judged: a packet is due every 20 ms, and both its ends are in here.
	stall = 15 * time.Millisecond
)

// watch measures how late this process is woken until ctx ends, and then hands
// out the worst. It is the control beside the measurement: when the machine
// stands still, so does every call on it.
func watch(ctx context.Context) <-chan time.Duration {
	worst := make(chan time.Duration, 1)
	go func() {
		timer := time.NewTimer(watchEvery)
		defer timer.Stop()
		var most time.Duration
		for due := time.Now().Add(watchEvery); ; due = time.Now().Add(watchEvery) {
			timer.Reset(time.Until(due))
			select {
			case <-timer.C:
				most = max(most, time.Since(due))
			case <-ctx.Done():
				worst <- most
				return
			}
		}
	}()
	return worst
}
