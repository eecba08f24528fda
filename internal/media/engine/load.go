package engine

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// place chooses the worker for a new call: the one with the least load, which is what it was measured to
// have plus what the calls that have no sound yet will bring.
func (e *Engine) place() (*worker, error) {
	var best *worker
	var least int64
	for _, w := range e.workers {
		placed := w.placed.Load()
		if w.meter.overloaded(placed) {
			continue
		}
		if load := w.meter.expected(placed); best == nil || load < least || load == least && placed < best.placed.Load() {
			best, least = w, load
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%w: its %d workers are busy or late; end calls, lower MAX_CALLS or give the machine more cores",
			ErrOverloaded, len(e.workers))
	}
	return best, nil
}

// WorkerStats is what one worker does.
type WorkerStats struct {
	// Calls is the number of calls placed on the worker.
	Calls int64 `json:"calls"`
	// Load is the share of a core it is at work, 0 to 1, over the last second.
	Load float64 `json:"load"`
	// Polled tells that it serves sockets itself, Draining that it does so every 2 ms and not for each event.
	Polled   bool `json:"polled"`
	Draining bool `json:"draining"`
	// SkippedTicks counts packets that were never sent because the worker was late.
	SkippedTicks uint64 `json:"skipped_ticks"`
}

// Workers returns what the workers do now.
func (e *Engine) Workers() []WorkerStats {
	all := make([]WorkerStats, 0, len(e.workers))
	for _, w := range e.workers {
		all = append(all, WorkerStats{
			Calls: w.placed.Load(), Load: float64(w.meter.load.Load()) / full, Polled: w.poll != nil,
			Draining: w.meter.drains.Load(), SkippedTicks: w.meter.skipped.Load(),
		})
	}
	return all
}

// lateReport tells at most once a second that workers could not keep up.
type lateReport struct {
	mu    sync.Mutex
	at    time.Time
	total int
}

func (r *lateReport) report(now time.Time, log *slog.Logger, skipped int) {
	r.mu.Lock()
	r.total += skipped
	total, due := r.total, now.Sub(r.at) >= time.Second
	if due {
		r.at, r.total = now, 0
	}
	r.mu.Unlock()
	if due {
		log.Warn("media worker was late: packets were skipped", "skipped_ticks", total)
	}
}
