package engine

import "time"

// rest is how a worker waits: for its inbox and the clock, and with a poller for its sockets too.
// All methods but wake are called by the worker.
type rest interface {
	// wait returns when until has come, when a task is in the inbox, or when sockets are ready. A zero
	// until means no deadline. When hurry is set it does not sleep.
	wait(w *worker, until time.Time, hurry bool)
	// serve serves the sockets that wait found ready, and reports whether there are more. It comes after the
	// inbox, so that a packet never overtakes a command that was given before it was sent.
	serve(w *worker) (more bool)
	// wake ends a wait. It is the wake of the inbox.
	wake()
	// close gives back what the system lent; the inbox is shut by then.
	close()
}

// channelRest waits in the scheduler of Go. The sockets of such a worker are fed.
type channelRest struct {
	token chan struct{} // capacity 1
	timer *time.Timer
}

func newChannelRest() *channelRest {
	r := &channelRest{token: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	r.timer.Stop()
	return r
}

func (r *channelRest) wait(w *worker, until time.Time, hurry bool) {
	if hurry || !w.inbox.doze() {
		return
	}
	w.meter.sleeps(w.engine.cfg.TimeNow())
	if !until.IsZero() {
		r.timer.Reset(max(until.Sub(w.engine.cfg.TimeNow()), 0))
	}
	select {
	case <-r.token:
		r.timer.Stop()
	case <-r.timer.C:
	}
	w.meter.wakes(w.engine.cfg.TimeNow())
}

func (r *channelRest) serve(*worker) bool { return false }

func (r *channelRest) wake() {
	select {
	case r.token <- struct{}{}:
	default: // a token is already there
	}
}

func (r *channelRest) close() { r.timer.Stop() }
