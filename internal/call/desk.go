package call

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/sip/dialog"
)

// hangupWait is how long Hangup waits for the other side to confirm; SIP gives
// up on one that does not after 2 s.
const hangupWait = 3 * time.Second

// Limits of a page of a list.
const (
	DefaultPage = 50
	MaxPage     = 500
)

// Filter chooses calls of a list, the newest first.
type Filter struct {
	Status []Status // any of these; empty = all
	After  string   // only calls older than the one with this id; "" = from the newest
	Limit  int      // at most so many, 1 to MaxPage; 0 = DefaultPage
}

// Page is a part of a list.
type Page struct {
	Calls []Call
	// Next is the After of the next page, "" when this is the last one.
	Next string
}

// Get returns a call with the counters of its sound as they are now. The error
// is an [*Error].
func (x *Exchange) Get(ctx context.Context, id string) (Call, error) {
	c, err := x.find(id)
	if err != nil {
		return Call{}, err
	}
	return c.current(ctx), nil
}

// List returns the calls that the filter chooses, those that run with the
// counters of their sound as they are now.
func (x *Exchange) List(ctx context.Context, f Filter) Page {
	limit := f.Limit
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	now := x.cfg.TimeNow()
	x.mu.Lock()
	x.book.prune(now)
	older := x.book.before(f.After)
	x.mu.Unlock()

	// All share the time that one call gets: a media engine in trouble costs the counters, not the list.
	bounded, cancel := context.WithTimeout(ctx, statsWait)
	defer cancel()
	var p Page
	for _, c := range older {
		s := c.snapshot(now)
		if len(f.Status) > 0 && !slices.Contains(f.Status, s.Status) {
			continue
		}
		if len(p.Calls) == limit {
			p.Next = p.Calls[limit-1].ID
			break
		}
		p.Calls = append(p.Calls, c.counted(bounded, s))
	}
	return p
}

// Hangup ends a call, also one that still rings, and returns it; it waits a
// moment for the other side to confirm, so the status is nearly always final.
// A call that has ended already is returned as it is. The error is an [*Error].
func (x *Exchange) Hangup(ctx context.Context, id string) (Call, error) {
	c, err := x.find(id)
	if err != nil {
		return Call{}, err
	}
	return x.end(ctx, c), nil
}

// HangupOnly ends the one call there is. The error is an [*Error] with
// CodeNoCall or CodeSeveralCalls when there is not exactly one.
func (x *Exchange) HangupOnly(ctx context.Context) (Call, error) {
	running := x.all()
	switch len(running) {
	case 1:
		return x.end(ctx, running[0]), nil
	case 0:
		return Call{}, &Error{Class: NotFound, Code: CodeNoCall, Message: "There is no call to hang up."}
	default:
		return Call{}, &Error{
			Class: Conflict, Code: CodeSeveralCalls,
			Message: "There are several calls; say which one with DELETE /v1/calls/{id}.",
		}
	}
}

// Media returns the sound of a call for a socket. The error is an [*Error]:
// CodeNotFound, or CodeEnded for a call that is over.
func (x *Exchange) Media(id string) (*engine.Media, error) {
	c, err := x.find(id)
	if err != nil {
		return nil, err
	}
	m := c.media.Load()
	if m == nil || m.media == nil {
		return nil, &Error{Class: Conflict, Code: CodeEnded, Message: "The call has ended."}
	}
	return m.media, nil
}

// Running returns how many calls there are now.
func (x *Exchange) Running() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.running
}

// Draining reports whether new calls are refused because the gateway stops.
func (x *Exchange) Draining() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.draining
}

// Ready says why no call can be placed now: nil, or an [*Error] whose message is for the user.
func (x *Exchange) Ready() error {
	if x.Draining() {
		return draining()
	}
	if x.cfg.Ready != nil {
		if err := x.cfg.Ready(); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// Drain refuses new calls and lets the others end until ctx does; then it hangs
// up what is left, waits for it (see Config.ByeWait) and returns how many calls
// it had to hang up. The exchange takes no calls afterwards.
func (x *Exchange) Drain(ctx context.Context) int {
	select {
	case <-x.refuse():
		return 0
	case <-ctx.Done():
	}
	n := x.hangupAll()
	x.await(x.cfg.ByeWait)
	return n
}

// refuse lets no new call in, and returns a channel that is closed when none is left.
func (x *Exchange) refuse() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.draining = true
	if x.idle == nil {
		idle := make(chan struct{})
		if x.running == 0 {
			close(idle)
			return idle
		}
		x.idle = idle
	}
	return x.idle
}

// await waits until no call is left, but not longer than d.
func (x *Exchange) await(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-x.refuse():
	case <-timer.C:
		x.cfg.Logger.Warn("calls left without a confirmed end", slog.Int("calls", x.Running()))
	}
}

// hangupAll hangs up every call, also one that is about to be placed, and
// returns how many there were.
func (x *Exchange) hangupAll() int {
	x.mu.Lock()
	x.cut = true
	x.mu.Unlock()
	running := x.all()
	for _, c := range running {
		c.inbox.put(func() { c.hangup(shutdown()) })
	}
	return len(running)
}

// cutOff reports whether all calls were hung up because the gateway stops.
func (x *Exchange) cutOff() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cut
}

func shutdown() dialog.Cause {
	return dialog.Cause{Reason: dialog.ReasonShutdown, By: dialog.BySystem}
}

// all returns the calls that have not ended.
func (x *Exchange) all() []*live {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.DeleteFunc(x.book.before(""), func(c *live) bool { return c.view.Load().Status.Final() })
}

func (x *Exchange) find(id string) (*live, error) {
	now := x.cfg.TimeNow()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.book.prune(now)
	if c, found := x.book.calls[id]; found {
		return c, nil
	}
	return nil, notFound()
}

// end hangs up one call for the API.
func (x *Exchange) end(ctx context.Context, c *live) Call {
	c.inbox.put(func() { c.hangup(dialog.Cause{Reason: dialog.ReasonAPIHangup, By: dialog.ByLocal}) })
	timer := time.NewTimer(hangupWait)
	defer timer.Stop()
	select {
	case <-c.over:
	case <-timer.C:
	case <-ctx.Done():
	}
	return c.current(ctx)
}

// enter puts a call into the book, leave marks it as ended there.
func (x *Exchange) enter(c *live) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.book.add(c)
}

func (x *Exchange) leave(c *live) {
	now := x.cfg.TimeNow()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.book.end(c.id, now)
}

// current is the snapshot with the counters of the sound as they are now.
func (c *live) current(ctx context.Context) Call {
	bounded, cancel := context.WithTimeout(ctx, statsWait)
	defer cancel()
	return c.counted(bounded, c.snapshot(c.x.cfg.TimeNow()))
}

// counted is a snapshot with the counters of the sound, while it is open.
func (c *live) counted(ctx context.Context, s Call) Call {
	m := c.media.Load()
	if m == nil || s.Audio != nil {
		return s
	}
	stats, err := m.Stats(ctx)
	if err == nil {
		s.Audio = &stats
	} else if !errors.Is(err, engine.ErrStopped) {
		c.log.Debug("no counters of the sound", slog.Any("error", err))
	}
	return s
}
