package phonenet

import (
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Script is what a callee does with a call. It runs on the loop when the call
// has come in and got its 100 Trying, and must not block: what comes later is
// handed to Leg.After and Leg.OnAck. All methods of Leg may be called there,
// at any moment of the call; what makes no sense then does nothing. The methods of
// Net would wait for the loop and must not be called.
type Script func(*Leg)

// Request is the INVITE that began the call. It must not be changed.
func (leg *Leg) Request() *sip.Request { return leg.invite }

// Ring sends 180 Ringing.
func (leg *Leg) Ring() { leg.Provisional(sip.StatusRinging) }

// Provisional sends an 18x without a session description.
func (leg *Leg) Provisional(code int) {
	if leg.over() || leg.tx.code >= 200 {
		return
	}
	leg.tx.send(leg.response(code))
	if leg.call.State == StateTrying {
		leg.call.State = StateRinging
	}
}

// Early sends 183 with a session description and lets the caller hear the sound before the answer.
func (leg *Leg) Early(s Sound) {
	if leg.over() || leg.tx.code >= 200 {
		return
	}
	res := leg.response(sip.StatusSessionInProgress)
	setSDP(res, leg.local.write())
	leg.call.State = StateEarly
	leg.Play(s)
	leg.listen()
	leg.tx.send(res)
}

// Play changes what the caller hears, from the sound's beginning.
func (leg *Leg) Play(s Sound) {
	if leg.media != nil {
		leg.media.play(s)
	}
}

// Answer sends 200 OK, repeated until its ACK comes, and the sound begins.
func (leg *Leg) Answer(s Sound) {
	if leg.over() || leg.tx.code >= 200 || leg.media == nil {
		return
	}
	leg.call.State, leg.call.Answered, leg.call.Code = StateAnswered, time.Now(), sip.StatusOK
	leg.Play(s)
	leg.listen()
	leg.watchAnswered()
	leg.sendOK(leg.tx)
}

// Reject sends a final refusal.
func (leg *Leg) Reject(code int, headers ...sip.Header) { leg.refuse(EndRejected, code, headers...) }

func (leg *Leg) refuse(why EndReason, code int, headers ...sip.Header) {
	if leg.over() || leg.tx.code >= 200 {
		return
	}
	res := leg.response(code)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	leg.tx.send(res)
	leg.finish(why, code)
}

// Hangup ends an answered call with a BYE and refuses one that was not answered with 480.
func (leg *Leg) Hangup() {
	if leg.call.Answered.IsZero() {
		leg.Reject(sip.StatusTemporarilyUnavailable)
		return
	}
	leg.bye(EndLocalBye, nil)
}

// Hold asks the caller to be silent (sendonly), Resume takes it back.
func (leg *Leg) Hold() { leg.reoffer(sendonly, nil) }

// Resume ends a hold.
func (leg *Leg) Resume() { leg.reoffer(sendrecv, nil) }

// After runs f after d, unless the call has ended by then.
func (leg *Leg) After(d time.Duration, f func()) {
	if leg.over() {
		return
	}
	leg.timers = append(leg.timers, leg.net.timer(d, func() {
		if !leg.over() {
			f()
		}
	}))
}

// OnAck runs f when the ACK of the answer has come.
func (leg *Leg) OnAck(f func()) { leg.onAck = append(leg.onAck, f) }

// Knob is a duration out of the Request-URI's parameters, up to an hour, or the default.
func (leg *Leg) Knob(name string, otherwise time.Duration) time.Duration {
	text, ok := leg.invite.Recipient.UriParams.Get(name)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > time.Hour {
		return otherwise
	}
	return d
}

// response begins an answer to the INVITE that the dialog's data belong to.
func (leg *Leg) response(code int) *sip.Response {
	res := leg.net.respond(leg.tx.req, leg.tx.from, code, leg.tag)
	if code < 300 {
		res.AppendHeader(leg.net.contact(leg.call.Number, leg.tx.from))
	}
	return res
}

// sendOK answers an INVITE with 200 and repeats it until the ACK comes; if none
// does the call is ended (RFC 3261 13.3.1.4).
func (leg *Leg) sendOK(tx *serverTx) {
	res := leg.net.respond(tx.req, tx.from, sip.StatusOK, leg.tag)
	res.AppendHeader(leg.net.contact(leg.call.Number, tx.from))
	setSDP(res, leg.local.write())
	tx.send(res)
	leg.repeatOK(tx, leg.net.cfg.T1, time.Now())
}

func (leg *Leg) repeatOK(tx *serverTx, wait time.Duration, since time.Time) {
	leg.quiet()
	leg.resend = leg.net.timer(wait, func() {
		if leg.over() {
			return
		}
		if time.Since(since) >= 64*leg.net.cfg.T1 {
			leg.bye(EndNoAck, nil)
			return
		}
		tx.repeat()
		leg.repeatOK(tx, min(2*wait, t2), since)
	})
}

// quiet ends the repetition of the 200.
func (leg *Leg) quiet() {
	if leg.resend != nil {
		leg.resend()
	}
}

// reject makes the script that answers with a status.
func reject(code int, headers ...sip.Header) Script {
	return func(leg *Leg) {
		leg.Reject(code, headers...)
	}
}

// moved makes the script that names another callee.
func moved(code int, to string) Script {
	return func(leg *Leg) {
		leg.Reject(code, leg.net.contact(to, leg.from))
	}
}

// statusScript serves the numbers that name a status.
func statusScript(digits string) (string, Script) {
	code, err := strconv.Atoi(digits)
	switch {
	case err != nil || code < 300 || code > 699:
		return "", nil
	case code < 400:
		return "moved", moved(code, "100")
	case code == sip.StatusServiceUnavailable:
		return "status", reject(code, sip.NewHeader("Retry-After", "5"))
	}
	return "status", reject(code)
}
