package phonenet

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"
)

// State is how far a call has come.
type State string

// The states of a call, in their order.
const (
	StateTrying    State = "trying"    // the INVITE has come, nothing but 100 was said
	StateRinging   State = "ringing"   // 180 or another 18x without sound
	StateEarly     State = "early"     // 183 with sound
	StateAnswered  State = "answered"  // the 200 was sent
	StateConfirmed State = "confirmed" // and its ACK has come
	StateEnded     State = "ended"
)

// EndReason says why a call ended.
type EndReason string

// The reasons.
const (
	EndRemoteBye   EndReason = "remote_bye"   // the caller hung up
	EndLocalBye    EndReason = "local_bye"    // the callee hung up
	EndCanceled    EndReason = "canceled"     // CANCEL came in time
	EndRejected    EndReason = "rejected"     // the callee refused
	EndNoAck       EndReason = "no_ack"       // the ACK of the 200 never came
	EndRTPSilence  EndReason = "rtp_silence"  // the caller sent no sound
	EndRingLimit   EndReason = "ring_limit"   // nobody answered
	EndMaxDuration EndReason = "max_duration" // the call was too long
	EndClosed      EndReason = "closed"       // the network was closed
)

// Seen counts what came in for one call.
type Seen struct {
	Invite      int // the first INVITE, without its challenged forerunner
	Retransmits int // repeated requests
	Ack         int
	Bye         int
	Cancel      int
	Reinvite    int
	Update      int
	Options     int
	Info        int
}

// Call is what is known about a call. It is a snapshot.
type Call struct {
	ID        string // Call-ID
	User      string // whose credentials placed it
	From      string // URI of the From header
	FromName  string
	To        string // Request-URI
	Number    string // the user part of To
	Script    string
	State     State
	Reason    EndReason
	Code      int // status of the final answer
	Held      bool
	Seen      Seen
	Created   time.Time
	Answered  time.Time
	Ended     time.Time
	UserAgent string
	Headers   map[string]string // P-Asserted-Identity, P-Preferred-Identity, Diversion, Privacy and Supported of the INVITE
	Offer     string            // session description of the INVITE
	RTP       RTP               // at most 100 ms old while the call runs, exact once it has ended
}

// Leg is one call on the network's side. It belongs to the loop; a Script gets
// it there and may keep it for functions handed to After and OnAck.
type Leg struct {
	net  *Net
	log  *slog.Logger
	call Call
	seen Seen

	key       string // dialogKey
	tx        *serverTx
	invite    *sip.Request
	tag       string // ours
	from      flow   // of the latest request
	remote    remoteMedia
	media     *media
	local     localMedia
	direction string // ours, as we would like it
	target    sip.Uri
	routes    []sip.Uri
	localSeq  uint32
	remoteSeq uint32
	pending   *clientTx // our re-INVITE that is not answered yet
	calling   *clientTx // our INVITE, when it is the network that calls
	canceled  bool      // and it has given up
	resend    func()    // stops the repetition of the 200
	timers    []func()
	onAck     []func()
}

// dialogKey identifies a call by the Call-ID and the tag of the side that began it, which is the caller's.
func dialogKey(req *sip.Request) string {
	return req.CallID().Value() + "|" + tagOf(req.From().Params)
}

func (n *Net) newLeg(tx *serverTx, user, script string) *Leg {
	req := tx.req
	leg := &Leg{
		net: n, tx: tx, invite: req, from: tx.from, key: dialogKey(req), tag: token(),
		log:       n.log.With("call_id", req.CallID().Value(), "script", script),
		direction: sendrecv,
		localSeq:  1 + random()%1000,
		remoteSeq: req.CSeq().SeqNo,
		target:    req.From().Address,
	}
	leg.call = Call{
		ID: req.CallID().Value(), User: user, From: req.From().Address.String(), FromName: req.From().DisplayName,
		To: req.Recipient.String(), Number: req.Recipient.User, Script: script, State: StateTrying,
		Created: time.Now(), Offer: string(sdpBody(req)), Headers: map[string]string{},
	}
	for _, name := range []string{"P-Asserted-Identity", "P-Preferred-Identity", "Diversion", "Privacy", "Supported"} {
		if h := req.GetHeader(name); h != nil {
			leg.call.Headers[name] = h.Value()
		}
	}
	if h := req.GetHeader("user-agent"); h != nil {
		leg.call.UserAgent = h.Value()
	}
	if h := req.Contact(); h != nil {
		leg.target = h.Address
	}
	for _, h := range req.GetHeaders("record-route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			leg.routes = append(leg.routes, rr.Address) // RFC 3261 12.1.1: in order for the callee
		}
	}
	leg.seen.Invite = 1
	tx.leg = leg
	n.remember(leg)
	return leg
}

// remember adds a leg to the running ones and forgets the oldest ended ones.
func (n *Net) remember(leg *Leg) {
	n.legs[leg.key] = leg
	n.calls = append(n.calls, leg)
	surplus := len(n.calls) - len(n.legs) - n.cfg.History
	kept := n.calls[:0]
	for _, l := range n.calls {
		if surplus > 0 && l.call.State == StateEnded {
			surplus--
			continue
		}
		kept = append(kept, l)
	}
	clear(n.calls[len(kept):])
	n.calls = kept
}

// negotiate reads the caller's offer and prepares our answer; without an offer
// we make one, whose answer comes with the ACK (RFC 3261 13.3.1.4). It opens the sound.
func (leg *Leg) negotiate() error {
	names := leg.net.cfg.Codecs
	if want, ok := leg.invite.Recipient.UriParams.Get("codec"); ok {
		names = []string{want}
	}
	at := leg.net.sockets.local(leg.from).Addr()
	offer := sdpBody(leg.invite)
	if offer != nil {
		remote, err := readSDP(offer, names)
		if err != nil {
			return err
		}
		leg.remote = remote
	}
	m, err := openMedia(leg.net, at, leg.net.cfg.Record)
	if err != nil {
		return err
	}
	leg.media = m
	leg.local = localMedia{addr: m.addr, ptime: int(leg.net.cfg.Ptime.Milliseconds()), session: uint64(random()), version: 1, direction: sendrecv}
	if offer != nil {
		leg.adopt(leg.remote)
	} else {
		for _, name := range names {
			if c, ok := codecByName(name); ok {
				leg.local.codecs = append(leg.local.codecs, c)
			}
		}
		if len(leg.local.codecs) == 0 {
			leg.media.close()
			leg.media = nil
			return errNoCodec
		}
		leg.local.dtmf = 101
	}
	m.publish = func(s RTP) { leg.net.post(func() { leg.heardOf(s) }) }
	m.finish = func(s RTP) { leg.net.post(func() { leg.buried(s) }) }
	leg.net.medias.Go(m.run)
	return nil
}

// adopt makes the answer to the peer's description, and lets the sound follow it.
func (leg *Leg) adopt(r remoteMedia) {
	leg.remote = r
	leg.local.codecs, leg.local.dtmf = []codec{r.codec}, r.dtmf
	leg.local.streams, leg.local.audio = r.streams, r.audio
	leg.local.direction = answerDirection(r.direction, leg.direction)
}

// listen lets the sound run as both sides agreed.
func (leg *Leg) listen() {
	if leg.media != nil && leg.remote.addr.IsValid() {
		leg.media.set(leg.remote, leg.local.direction)
	}
	leg.call.Held = leg.local.direction != sendrecv
}

// heardOf takes the latest counters of the sound.
func (leg *Leg) heardOf(s RTP) { leg.call.RTP = s }

// finish ends the call, once. Its last state shows when the sound has stopped,
// so that whoever waits for the end sees final counters.
func (leg *Leg) finish(why EndReason, code int) {
	if leg.call.Reason != "" {
		return
	}
	leg.call.Reason, leg.call.Ended = why, time.Now()
	if code != 0 {
		leg.call.Code = code
	}
	for _, stop := range leg.timers {
		stop()
	}
	leg.timers = nil
	leg.quiet()
	leg.log.Info("call ended", "reason", string(why), "code", leg.call.Code)
	if leg.media == nil {
		leg.buried(leg.call.RTP)
		return
	}
	leg.media.stop()
}

// buried is the last thing that happens to a call.
func (leg *Leg) buried(s RTP) {
	leg.call.RTP = s
	leg.call.State = StateEnded
	delete(leg.net.legs, leg.key)
	leg.net.forgetRecordings()
}

// keptRecordings is how many ended calls keep what they heard.
const keptRecordings = 10

func (n *Net) forgetRecordings() {
	kept := 0
	for _, leg := range slices.Backward(n.calls) {
		if leg.media == nil || leg.call.State != StateEnded {
			continue
		}
		if kept++; kept > keptRecordings {
			leg.media = nil
		}
	}
}

// over reports whether the call has ended or is about to.
func (leg *Leg) over() bool { return leg.call.Reason != "" }

// snapshot is the call as others may see it.
func (leg *Leg) snapshot() Call {
	c := leg.call
	c.Seen = leg.seen
	return c
}

// watch arms the limits of an unanswered and of an answered call.
func (leg *Leg) watch() {
	leg.After(leg.net.cfg.RingLimit, func() {
		if leg.call.Answered.IsZero() {
			leg.refuse(EndRingLimit, sip.StatusTemporarilyUnavailable)
		}
	})
}

func (leg *Leg) watchAnswered() {
	leg.After(leg.net.cfg.MaxDuration, func() { leg.bye(EndMaxDuration, nil) })
	if leg.net.cfg.RTPTimeout > 0 {
		leg.watchSilence(leg.net.cfg.RTPTimeout)
	}
}

// watchSilence hangs up when no packet came for the RTP time-out. It sleeps
// until the moment at which that could be the case at the earliest.
func (leg *Leg) watchSilence(wait time.Duration) {
	leg.After(wait, func() {
		timeout := leg.net.cfg.RTPTimeout
		last := leg.call.Answered
		if heard := leg.call.RTP.Last; heard.After(last) {
			last = heard
		}
		rest := timeout - time.Since(last)
		switch {
		case leg.call.Held:
			leg.watchSilence(timeout)
		case rest > 0:
			leg.watchSilence(rest + publishEvery)
		default:
			leg.bye(EndRTPSilence, nil)
		}
	})
}

// errNoCall is the answer to a question about a call that is not there.
var errNoCall = errors.New("there is no such running call")
