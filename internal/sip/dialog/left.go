package dialog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

// cseqGap is added to the last CSeq that was written down: requests within the
// call that came later are not. "It is possible for the CSeq header field to be
// higher than the remote sequence number by more than one" (RFC 3261 section
// 12.2.2).
const cseqGap = 10000

var (
	// ErrRecord says that a record cannot be used.
	ErrRecord = errors.New("record of a call is not understood")

	errEarly = errors.New("challenge of an unknown realm, before the provider has shown its own: not answered")
)

// A Left is a call that an earlier run has left ringing or up.
type Left struct {
	d       *Dialog
	answers []*sip.Response
}

// Left reads a record that a Recorder has kept over a crash. Any goroutine.
func (u *UA) Left(data []byte) (*Left, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("%w: version %d", ErrRecord, r.Version)
	}
	target := transport.Target{Network: r.Network, ServerName: r.ServerName}
	var err error
	if target.Addr, err = netip.ParseAddrPort(r.Addr); err != nil || !slices.Contains([]string{transport.UDP, transport.TCP, transport.TLS}, r.Network) {
		return nil, fmt.Errorf("%w: target %q %q", ErrRecord, r.Network, r.Addr)
	}
	msg, err := transport.Parse([]byte(r.Invite))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	invite, ok := msg.(*sip.Request)
	if !ok || !invite.IsInvite() || tag(invite.From().Params) == "" || tag(invite.To().Params) != "" {
		return nil, fmt.Errorf("%w: no invite", ErrRecord)
	}
	left := &Left{d: u.abandoned(invite, target)}
	if left.d.incoming = r.Incoming; r.Incoming {
		left.d.key = incomingKey(left.d.id, tag(invite.From().Params))
	}
	for _, text := range r.Legs {
		msg, err := transport.Parse([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecord, err)
		}
		res, ok := msg.(*sip.Response)
		if !ok || res.CallID().Value() != left.d.id || res.CSeq().MethodName != sip.INVITE || res.StatusCode >= 300 {
			return nil, fmt.Errorf("%w: no answer", ErrRecord)
		}
		left.answers = append(left.answers, res)
		left.d.legOf(res)
	}
	return left, nil
}

// abandoned is a dialog as it was, but for ending now.
func (u *UA) abandoned(invite *sip.Request, target transport.Target) *Dialog {
	d := &Dialog{
		ua: u, id: invite.CallID().Value(), key: invite.CallID().Value(), on: func(Event) {},
		path: registration.Path{Target: target}, from: invite.From(), cseq: invite.CSeq().SeqNo, sent: invite,
		rung: make(map[int]bool), legs: make(map[string]*leg), stopRing: noop, interval: -1,
		cause: &Cause{Reason: "crash", By: BySystem}, kept: u.cfg.Recorder != nil, left: true,
	}
	if c := invite.Contact(); c != nil {
		d.path.Contact = *c.Address.Clone()
	}
	return d
}

// ID returns the key of its record.
func (left *Left) ID() string { return left.d.key }

// Peers returns the addresses from which the answers to the end will come.
func (left *Left) Peers() []netip.Addr {
	out := []netip.Addr{left.d.path.Target.Addr.Addr().Unmap()}
	for _, l := range left.d.legs {
		if a := l.hop().Addr.Addr(); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// End ends the call: ACK and BYE where it was answered, CANCEL where it rings,
// and ACK and BYE to whoever has answered meanwhile. When the other side has
// confirmed, or does not for some 30 s, the record is forgotten and done is
// called on the loop. It is called once. Any goroutine.
func (left *Left) End(done func()) {
	d := left.d
	d.on = func(e Event) {
		if _, ended := e.(Ended); ended {
			done()
		}
	}
	d.ua.cfg.Layer.Do(func() {
		if d.ua.dialogs[d.key] != nil { // two records of one call: not of our making
			d.tellEnd()
			return
		}
		d.ua.dialogs[d.key] = d
		left.end()
	})
}

func (left *Left) end() {
	d, up := left.d, false
	for _, res := range left.answers {
		if res.IsSuccess() {
			up = d.legOf(res).part(res) || up
		}
	}
	if up {
		return
	}
	left.cancel(d.ua.cfg.Layer.T1())
	// Whoever has answered meanwhile repeats his 200, at worst every 4 s, and
	// over a connection that died with the crash in vain. "The caller's UA MAY
	// send a BYE for either confirmed or early dialogs" (RFC 3261 section 15), so
	// there is no need to wait for it.
	d.ua.cfg.Layer.After(d.ua.cfg.Layer.T1(), func() {
		if d.client == nil && d.busy == 0 {
			return // the INVITE has its final answer
		}
		for _, res := range left.answers {
			if l := d.legOf(res); l != nil && l.ack == nil {
				l.part(res)
			}
		}
	})
}

// cancel stops the ringing, and tries again when there is no way: the pauses
// double and add up to timer F.
func (left *Left) cancel(pause time.Duration) {
	d := left.d
	layer := d.ua.cfg.Layer
	d.client = layer.Resume(d.sent, d.path.Target, func(r transaction.Result) {
		if errors.Is(r.Err, transaction.ErrTransport) && pause <= 32*layer.T1() {
			d.client = nil
			d.busy++
			layer.After(pause, func() {
				d.busy--
				left.cancel(2 * pause)
			})
			return
		}
		d.result(d.sent, r)
	})
	d.client.Cancel()
}

// part says ACK and BYE to a phone.
func (l *leg) part(res *sip.Response) bool {
	if l == nil {
		return false
	}
	l.cseq = max(l.cseq, res.CSeq().SeqNo+cseqGap)
	l.confirm(res)
	if !l.d.incoming { // there it was the peer who had to acknowledge
		l.sendAck()
	}
	l.bye()
	return true
}

// known reports whether a challenge within a call of an earlier run may be
// answered. As long as the registrar has not shown its realm, anybody behind the
// provider could ask; the realms that the INVITE was answered for are known.
func (d *Dialog) known(res *sip.Response) bool {
	if !d.left {
		return true
	}
	if _, err := d.ua.cfg.Path(); err == nil {
		return true // registered: the digest client knows
	}
	var realms []string
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, h := range d.sent.GetHeaders(name) {
			realms = append(realms, realm(h.Value()))
		}
	}
	for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		for _, h := range res.GetHeaders(name) {
			if !slices.ContainsFunc(realms, func(r string) bool { return strings.Contains(h.Value(), `realm="`+r+`"`) }) {
				return false
			}
		}
	}
	return true
}
