package call

import (
	"log/slog"
	"time"

	"phonesocket/internal/sip/dialog"
)

// guardTime is how long the last word of SIP may take after a hang-up: CANCEL
// and BYE give up after 64·T1 = 32 s (RFC 3261 17.1.2.2), and the INVITE that
// is canceled after as long again.
const guardTime = 70 * time.Second

// deadline names what a call waits for; they all share one timer.
type deadline int

const (
	ringDeadline    deadline = iota // the other side must answer
	maxDeadline                     // the call must end
	socketsDeadline                 // a socket must come (back)
	guardDeadline                   // SIP must have said its last word
	deadlines
)

// arm sets a deadline.
func (c *live) arm(d deadline, after time.Duration) { c.due[d] = c.x.cfg.TimeNow().Add(after) }

// disarm takes it back.
func (c *live) disarm(d deadline) { c.due[d] = time.Time{} }

// untilDue is the time until the next deadline, an hour when there is none.
func (c *live) untilDue() time.Duration {
	now, wait := c.x.cfg.TimeNow(), time.Hour
	for _, at := range c.due {
		if !at.IsZero() {
			wait = min(wait, max(at.Sub(now), 0))
		}
	}
	return wait
}

// expire does what is due.
func (c *live) expire(now time.Time) {
	for d, at := range c.due {
		if at.IsZero() || now.Before(at) || c.ended {
			continue
		}
		c.disarm(deadline(d))
		switch deadline(d) {
		case ringDeadline:
			c.hangup(dialog.Cause{Reason: dialog.ReasonRingTimeout, By: dialog.BySystem})
		case maxDeadline:
			c.hangup(dialog.Cause{Reason: ReasonMaxDuration, By: dialog.BySystem})
		case socketsDeadline:
			reason := ReasonUnattended
			if c.attended && c.x.cfg.HangupWithSockets {
				reason = ReasonSocketsGone
			}
			c.hangup(dialog.Cause{Reason: reason, By: dialog.BySystem})
		case guardDeadline:
			c.log.Error("call given up, sip did not confirm its end", slog.Duration("after", guardTime))
			c.finish(*c.hanging)
		case deadlines:
		}
	}
}
