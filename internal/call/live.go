package call

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"phonesocket/internal/call/policy"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
	"phonesocket/internal/sip/dialog"
)

// sound is what a call wants of the media; [engine.Media] is one.
type sound interface {
	Start(sdp.Remote)
	Ringing()
	Answered()
	End(session.End)
	Close()
	Addr() netip.AddrPort
	Stats(context.Context) (engine.Stats, error)
}

// live is one call. Its goroutine (loop) is the only one that touches what
// stands under "of the loop"; the rest is constant, or safe by itself.
type live struct {
	x        *Exchange
	id       string
	request  Request
	number   policy.Number
	callerID string
	key      *keyEntry
	log      *slog.Logger

	inbox  *inbox
	view   atomic.Pointer[Call]      // the newest snapshot, without what changes by itself
	media  atomic.Pointer[openSound] // nil before it is opened and after it is closed
	up     chan struct{}             // closed when the call is answered
	opened chan struct{}             // closed when the call is placed, or refused has been set
	over   chan struct{}             // closed when the call has ended

	refused *Error // why it could not be placed; read after opened

	tasks sync.WaitGroup // goroutines of the call beside its own

	// of the loop
	in       *incoming // nil: the call was placed from here
	state    Call
	sound    sound
	leg      Leg
	local    sdp.Local
	remote   sdp.Remote // what was agreed last
	heard    bool       // sound has been started with remote
	attended bool       // a socket was here
	present  bool       // and is
	quiet    bool       // the sound has been ended
	hanging  *dialog.Cause
	due      [deadlines]time.Time // zero = never
	ended    bool
}

// openSound lets readers see the sound of a call while it is open.
type openSound struct {
	sound
	media *engine.Media // nil in tests
}

func newLive(x *Exchange, id string, now time.Time) *live {
	return &live{
		x: x, id: id,
		log:    x.cfg.Logger.With(slog.String("call_id", id)),
		inbox:  newInbox(),
		up:     make(chan struct{}),
		opened: make(chan struct{}),
		over:   make(chan struct{}),
		state:  Call{ID: id, Status: StatusQueued, Direction: Outbound, CreatedAt: stamp(now)},
	}
}

// loop owns the call from the opening of its sound to its end. When ctx ends,
// the call is given up as it stands.
func (c *live) loop(ctx context.Context) {
	defer close(c.over)
	defer c.x.release()
	if !c.begin(ctx) {
		return
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !c.ended {
		timer.Reset(c.untilDue())
		select {
		case <-c.inbox.ready:
			for _, f := range c.inbox.take() {
				f()
			}
		case <-timer.C:
			c.expire(c.x.cfg.TimeNow())
		case <-ctx.Done():
			c.hangup(shutdown())
			c.finish(shutdown())
		}
	}
	if c.in != nil {
		c.in.stopAsk()
		c.tasks.Wait()
	}
	c.closeSound(ctx)
	c.conclude()
}

// open opens the sound and sends the INVITE. It reports false when that was
// not possible: then there is no call.
func (c *live) open() bool {
	err := c.openSound()
	if err != nil {
		c.log.Warn("call refused", slog.String("code", err.Code), slog.Any("error", err))
		c.refused = err
		c.x.settle(c.key, nil, err)
		close(c.opened)
		return false
	}
	c.state.To, c.state.From = c.number.Dial, c.from()
	c.state.Metadata = maps.Clone(c.request.Metadata)
	c.publish()
	c.x.enter(c)
	c.log.Info("call placed", slog.Any("to", c.number), slog.String("direction", Outbound))
	if started := c.x.cfg.Started; started != nil {
		started(c.id, c.media.Load().media)
	}
	ring := c.ringTimeout()
	c.arm(ringDeadline, ring)
	c.leg = c.x.cfg.Dial(dialog.Invitation{
		To: c.number.Dial, CallerID: c.callerID, Offer: c.local.Previous, RingTimeout: ring,
	}, c.hear)
	c.state.SIP.CallID = c.leg.ID()
	c.publish()
	c.x.settle(c.key, c, nil)
	close(c.opened)
	if c.x.cutOff() {
		c.hangup(shutdown()) // it was on its way when all others were hung up
	}
	return true
}

func (c *live) from() string {
	if c.callerID != "" {
		return c.callerID
	}
	return c.x.cfg.From
}

func (c *live) ringTimeout() time.Duration {
	if c.request.RingTimeout > 0 {
		return c.request.RingTimeout
	}
	return c.x.cfg.RingTimeout
}

func (c *live) maxDuration() time.Duration {
	if c.request.MaxDuration > 0 {
		return c.request.MaxDuration
	}
	return c.x.cfg.MaxDuration
}

// hangup ends the call from here: the sound stops at once, the state becomes
// final when SIP has said its last word.
func (c *live) hangup(cause dialog.Cause) {
	if c.hanging != nil || c.ended {
		return
	}
	c.hanging = &cause
	now := c.x.cfg.TimeNow()
	c.setEnd(now)
	c.log.Info("hanging up", slog.String("reason", cause.Reason), slog.String("by", cause.By))
	c.silence(finalStatus(c.state.AnsweredAt != nil, cause), cause)
	c.due = [deadlines]time.Time{}
	c.arm(guardDeadline, guardTime)
	c.leg.Hangup(cause)
}

// finish makes the state final.
func (c *live) finish(cause dialog.Cause) {
	if c.ended {
		return
	}
	c.ended = true
	if cause.Code != 0 {
		c.state.SIP.Code, c.state.SIP.Reason = cause.Code, cause.Text
	}
	c.state.SIP.Q850 = cause.Q850
	if c.hanging != nil {
		cause.Reason, cause.By = c.hanging.Reason, c.hanging.By
	}
	c.setEnd(c.x.cfg.TimeNow())
	c.state.Status = finalStatus(c.state.AnsweredAt != nil, cause)
	c.state.Reason, c.state.HangupBy = cause.Reason, cause.By
	c.silence(c.state.Status, cause)
}

// setEnd notes the time of the end, the first time it is called.
func (c *live) setEnd(now time.Time) {
	if c.state.EndedAt != nil {
		return
	}
	at := stamp(now)
	c.state.EndedAt = &at
	if c.state.AnsweredAt != nil {
		c.state.DurationMS = now.Sub(c.state.answered).Milliseconds()
	}
}

// silence ends the sound and tells the sockets, once.
func (c *live) silence(status Status, cause dialog.Cause) {
	if c.quiet {
		return
	}
	c.quiet = true
	c.sound.End(session.End{Status: string(status), Reason: cause.Reason, SIPCode: cause.Code})
	if c.x.cfg.Ended != nil {
		c.x.cfg.Ended(c.id)
	}
}

// conclude publishes the last state.
func (c *live) conclude() {
	c.publish()
	c.x.leave(c)
	attributes := []any{
		slog.String("status", string(c.state.Status)), slog.String("reason", c.state.Reason), slog.String("by", c.state.HangupBy),
		slog.Int("sip_code", c.state.SIP.Code), slog.Int64("duration_ms", c.state.DurationMS),
	}
	if lost := c.inbox.lost(); lost > 0 {
		attributes = append(attributes, slog.Int("events_dropped", lost))
	}
	c.log.Info("call ended", attributes...)
}

// publish makes the state visible.
func (c *live) publish() {
	snapshot := c.state
	if !snapshot.Status.Final() {
		snapshot.EndedAt, snapshot.DurationMS = nil, 0 // hanging up, not over
	}
	c.view.Store(&snapshot)
}

// snapshot is the newest state with the duration at this time.
func (c *live) snapshot(now time.Time) Call {
	v := *c.view.Load()
	if v.Status == StatusInProgress {
		v.DurationMS = now.Sub(v.answered).Milliseconds()
	}
	return v
}

// stamp is a time as the interfaces show it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
