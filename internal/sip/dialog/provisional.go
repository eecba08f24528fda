package dialog

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transaction"
)

// provisionalEvery is how often a provisional answer is repeated while nobody
// decides: "a UAS [...] MUST send a non-100 provisional response at every
// minute, to handle the possibility of lost provisional responses" (RFC 3261
// section 13.3.1.1), and proxies cancel after three minutes without one.
const provisionalEvery = time.Minute

// Ring tells the caller of an incoming call by 180 that we ring. Any goroutine.
func (d *Dialog) Ring() {
	d.ua.cfg.Layer.Do(func() { d.progress(sip.StatusRinging, nil) })
}

// Progress tells the caller of an incoming call by 183 that there is sound
// before the answer. The description is the answer to its offer and has to be
// the one that Answer gets; without an offer there is no early sound, and the
// caller gets 180. Any goroutine.
func (d *Dialog) Progress(sdp []byte) {
	d.ua.cfg.Layer.Do(func() { d.progress(sip.StatusSessionInProgress, sdp) })
}

// progress sends a provisional answer now and once a minute.
func (d *Dialog) progress(code int, sdp []byte) {
	if !d.open() {
		return
	}
	d.stopRing()
	c := d.arriving
	if c.sdp == nil {
		code, sdp = sip.StatusRinging, nil
	}
	d.stopRing = d.ua.cfg.Layer.After(provisionalEvery, func() { d.progress(code, sdp) })
	res := transaction.NewResponse(c.s.Request(), code, "")
	d.ua.capabilities(res)
	res.AppendHeader(d.contact())
	if len(sdp) > 0 {
		setSDP(res, sdp)
	}
	if !has(c.s.Request(), "100rel", "Require") {
		c.s.Respond(res)
		return
	}
	// Reliably: the first one would have to carry our offer if the caller made
	// none (RFC 3262 section 5); then the caller hears of the answer only.
	if c.sdp != nil && !d.reliable.waiting() {
		d.reliable.send(d, res)
	}
}

// stopProgress ends the provisional answers.
func (d *Dialog) stopProgress() {
	d.stopRing()
	d.reliable.stop()
}

// reliableProvisional is a provisional answer of ours that the caller wants to
// acknowledge (RFC 3262 section 3).
type reliableProvisional struct {
	rseq   uint32
	resend func()
	give   func()
	then   func() // what waits for the PRACK
}

func (r *reliableProvisional) waiting() bool { return r.resend != nil }

func (r *reliableProvisional) stop() {
	if r.waiting() {
		r.resend()
		r.give()
	}
	r.resend, r.give, r.then = nil, nil, nil
}

// send repeats the answer "with an exponential backoff [...] starting with an
// interval of T1 [...]; if a matching PRACK is not received within 64*T1, the
// UAS SHOULD reject the original request with a 5xx response".
func (r *reliableProvisional) send(d *Dialog, res *sip.Response) {
	if r.rseq == 0 {
		r.rseq = rand.Uint32N(1 << 30) //nolint:gosec // a first number, no secret
	}
	r.rseq++
	res.AppendHeader(sip.NewHeader("Require", "100rel"))
	res.AppendHeader(sip.NewHeader("RSeq", strconv.FormatUint(uint64(r.rseq), 10)))
	layer := d.ua.cfg.Layer
	var again func(every time.Duration)
	again = func(every time.Duration) {
		d.arriving.s.Respond(res)
		r.resend = layer.After(every, func() { again(2 * every) })
	}
	again(layer.T1())
	r.give = layer.After(64*layer.T1(), func() {
		d.hangup(Cause{Reason: ReasonNoAck, Code: sip.StatusGatewayTimeout, Text: "the caller does not acknowledge that we ring", By: BySystem})
	})
}

// acknowledged takes a PRACK.
func (l *leg) acknowledged(s *transaction.Server) {
	d, u := l.d, l.d.ua
	f := strings.Fields(headerValue(s.Request(), "RAck"))
	if d.arriving == nil || !d.reliable.waiting() || len(f) != 3 ||
		f[0] != strconv.FormatUint(uint64(d.reliable.rseq), 10) ||
		f[1] != strconv.FormatUint(uint64(d.arriving.s.Request().CSeq().SeqNo), 10) || f[2] != string(sip.INVITE) {
		s.Respond(u.response(s, sip.StatusCallTransactionDoesNotExists))
		return
	}
	then := d.reliable.then
	d.reliable.stop()
	s.Respond(u.response(s, sip.StatusOK))
	if then != nil {
		then()
	}
}
