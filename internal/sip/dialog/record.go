package dialog

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// invitePatience is how long an INVITE waits for its record. A call that
	// nobody could end after a crash is not placed.
	invitePatience = 2 * time.Second
	// ackPatience is how long the ACK of a 2xx waits for its record: less than
	// T1, when the peer would repeat the 2xx. A call that somebody has answered
	// is worth more than its record, so the ACK is sent in any case.
	ackPatience = 200 * time.Millisecond
)

var errSlow = errors.New("the record was not written in time")

// A Recorder keeps what is needed to end calls after a crash, see UA.Left. Its
// methods are called on the SIP loop and must not block.
type Recorder interface {
	// Keep keeps a record in place of the one that has the same key. done, if
	// it is not nil, is called once, from any goroutine, when the record is
	// safe or cannot be.
	Keep(key string, record []byte, done func(error))
	// Forget takes a record away.
	Forget(key string)
}

// record is what is kept of a call. Its messages hold what requests of ours are
// made of, no session descriptions.
type record struct {
	Version    int    `json:"v"`
	Network    string `json:"network"`
	Addr       string `json:"addr"`
	ServerName string `json:"server_name,omitempty"`
	// Incoming says that the peer called us. Invite and Legs are then as if we
	// had called it: requests within the call are made in the same way.
	Incoming bool `json:"incoming,omitempty"`
	// Invite is the last INVITE; a CANCEL repeats its headers.
	Invite string `json:"invite"`
	// Legs are answers to it, one for each phone: 180 for those that ring, 200
	// for those that have answered.
	Legs []string `json:"legs,omitempty"`
}

const recordVersion = 1

// keep writes the record and calls then on the loop: when it is safe, when it
// cannot be, or when patience is over.
func (d *Dialog) keep(patience time.Duration, then func(error)) {
	if d.ua.cfg.Recorder == nil {
		then(nil)
		return
	}
	layer, waiting := d.ua.cfg.Layer, true
	var stop func()
	once := func(err error) {
		if waiting {
			waiting = false
			stop()
			then(err)
		}
	}
	stop = layer.After(patience, func() { once(errSlow) })
	d.kept = true
	d.ua.cfg.Recorder.Keep(d.key, d.record(), func(err error) { layer.Do(func() { once(err) }) })
}

// note writes the record anew without waiting.
func (d *Dialog) note() {
	if d.kept {
		d.ua.cfg.Recorder.Keep(d.key, d.record(), nil)
	}
}

// forget takes the record away: there is nothing to end any more.
func (d *Dialog) forget() {
	if d.kept {
		d.kept = false
		d.ua.cfg.Recorder.Forget(d.key)
	}
}

// send sends an INVITE as soon as its record is safe.
func (d *Dialog) send(req *sip.Request) {
	d.tries++
	d.sent = req
	d.ua.cfg.Layer.Prepare(req, d.path.Target)
	d.keep(invitePatience, func(err error) {
		switch {
		case d.cause != nil || d.ended: // hung up meanwhile
		case err != nil:
			d.finish(Cause{Reason: ReasonJournal, Text: "the call could not be written to the journal: " + err.Error(), By: BySystem})
		default:
			d.transmit(req)
		}
	})
}

// confirmed acknowledges a 2xx as soon as its record is safe, and decides about
// the leg.
func (d *Dialog) confirmed(l *leg, res *sip.Response) {
	if d.cause != nil || d.ended || d.chosen != nil {
		d.kept = d.ua.cfg.Recorder != nil
		d.note()
		d.acknowledge(l, res)
		return
	}
	l.held = true
	d.busy++
	d.keep(ackPatience, func(err error) {
		if err != nil {
			d.ua.cfg.Logger.Warn("answered call not in the journal: a crash would leave it up", "call_id", d.id, "error", err)
		}
		l.held = false
		d.busy--
		d.acknowledge(l, res)
		d.settled()
	})
}

// record writes down the call as it is now.
func (d *Dialog) record() []byte {
	r := record{
		Version: recordVersion, Network: d.path.Target.Network, Addr: d.path.Target.Addr.String(), ServerName: d.path.Target.ServerName,
		Incoming: d.incoming, Invite: outline(d.sent).String(),
	}
	for _, l := range d.legs {
		if !l.gone { // a BYE of ours may not have arrived
			r.Legs = append(r.Legs, l.outline().String())
		}
	}
	slices.Sort(r.Legs)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil { // cannot happen: strings and numbers only
		d.ua.cfg.Logger.Error("call cannot be written down", "call_id", d.id, "error", err)
	}
	return b.Bytes()
}

// outline is the part of an INVITE that later requests are made of.
func outline(invite *sip.Request) *sip.Request {
	req := sip.NewRequest(sip.INVITE, *invite.Recipient.Clone())
	for _, name := range []string{
		"Via", "Route", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Authorization", "Proxy-Authorization",
	} {
		sip.CopyHeaders(name, invite, req)
	}
	req.SetBody(nil)
	return req
}

// outline is an answer from which learn takes all that it knows of the leg.
func (l *leg) outline() *sip.Response {
	res := sip.NewResponse(sip.StatusRinging, "Ringing")
	if l.ack != nil || l.d.incoming {
		res = sip.NewResponse(sip.StatusOK, "OK")
	}
	sip.CopyHeaders("Via", l.d.sent, res)
	for _, r := range slices.Backward(l.routes) {
		res.AppendHeader(&sip.RecordRouteHeader{Address: *r.Clone()})
	}
	res.AppendHeader(sip.HeaderClone(l.d.from))
	res.AppendHeader(sip.HeaderClone(l.to))
	callID := sip.CallIDHeader(l.d.id)
	res.AppendHeader(&callID)
	res.AppendHeader(&sip.CSeqHeader{SeqNo: l.d.sent.CSeq().SeqNo, MethodName: sip.INVITE})
	res.AppendHeader(&sip.ContactHeader{Address: *l.target.Clone()})
	res.SetBody(nil)
	return res
}
