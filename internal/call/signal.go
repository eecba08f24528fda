package call

import (
	"log/slog"

	"phonesocket/internal/media/sdp"
	"phonesocket/internal/sip/dialog"
)

// hear takes an event of SIP; it is called by the SIP loop and does not block.
func (c *live) hear(e dialog.Event) {
	switch e := e.(type) {
	case dialog.Ringing:
		c.inbox.offer(func() { c.ringing(e.Code) })
	case dialog.Early:
		c.inbox.offer(func() { c.early(e) })
	case dialog.Answered:
		c.inbox.put(func() { c.answered(e) })
	case dialog.Reoffer:
		c.inbox.put(func() { c.reoffer(e) })
	case dialog.Renegotiated:
		c.inbox.put(func() { c.renegotiated(e) })
	case dialog.Ended:
		c.inbox.put(func() { c.finish(e.Cause) })
	}
}

// ringing notes that the other side rings, or that we do.
func (c *live) ringing(code int) {
	if c.hanging != nil || c.state.Status != StatusQueued {
		return
	}
	at := stamp(c.x.cfg.TimeNow())
	c.state.Status, c.state.RingingAt, c.state.SIP.Code = StatusRinging, &at, code
	c.sound.Ringing()
	c.publish()
}

// early starts the sound before the answer. A description that cannot be used
// is no reason to end the call: the answer may bring a better one.
func (c *live) early(e dialog.Early) {
	if c.hanging != nil || c.state.AnsweredAt != nil {
		return
	}
	c.ringing(codeSessionProgress)
	r, err := c.readAnswer(e.SDP)
	if err != nil {
		c.log.Info("early media not usable", slog.Any("error", err))
		return
	}
	c.agree(r)
	c.publish()
}

// answered begins the conversation, or ends the call when its sound cannot be agreed.
func (c *live) answered(e dialog.Answered) {
	if c.hanging != nil || c.state.AnsweredAt != nil {
		return
	}
	r, err := c.takeAnswer(e.SDP)
	if err != nil {
		c.log.Warn("answer not usable", slog.Any("error", err))
		c.hangup(dialog.Cause{Reason: answerReason(err), Code: codeNotAcceptable, Text: "Not Acceptable Here", By: dialog.BySystem})
		return
	}
	now := c.x.cfg.TimeNow()
	at := stamp(now)
	c.state.Status, c.state.AnsweredAt, c.state.answered = StatusInProgress, &at, now
	c.state.SIP.Code, c.state.SIP.Reason = codeOK, "OK"
	c.agree(r)
	c.sound.Answered()
	close(c.up)
	c.disarm(ringDeadline)
	c.arm(maxDeadline, c.maxDuration())
	if !c.attended || !c.due[socketsDeadline].IsZero() {
		c.waitForSockets()
	}
	c.publish()
	c.log.Info("call answered", slog.String("codec", r.Codec.Name))
}

// reoffer takes a new description of the other side within the call (hold,
// resume, another codec or address). One that cannot be used is refused and
// the call goes on as it was (RFC 3261 14.2).
func (c *live) reoffer(e dialog.Reoffer) {
	if c.hanging != nil || c.ended {
		e.Reject(codeNotAcceptable)
		return
	}
	answer, r, err := sdp.Answer(c.local, e.SDP)
	if err == nil {
		err = c.usable(r)
	}
	if err != nil {
		c.log.Info("offer refused", slog.Any("error", err))
		e.Reject(codeNotAcceptable)
		return
	}
	c.local.Previous = answer
	e.Accept(answer)
	c.agree(r)
	c.publish()
}

// renegotiated takes another answer to the offer that was sent last. When it
// cannot be used, the sound stays as it was.
func (c *live) renegotiated(e dialog.Renegotiated) {
	if c.hanging != nil || c.ended {
		return
	}
	r, err := c.readAnswer(e.SDP)
	if err != nil {
		c.log.Info("new answer not usable", slog.Any("error", err))
		return
	}
	c.agree(r)
	c.publish()
}
