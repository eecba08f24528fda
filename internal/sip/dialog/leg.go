package dialog

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

// A leg is one dialog in the sense of RFC 3261 section 12: the call with one
// phone that rings or has answered.
type leg struct {
	d      *Dialog
	to     *sip.ToHeader // with the peer's tag
	target sip.Uri       // remote target: the peer's Contact
	routes []sip.Uri     // route set, nearest first
	allows map[string]bool

	cseq     uint32       // of our last request
	remote   uint32       // of the peer's last request
	numbered bool         // remote is set
	ack      *sip.Request // of the 2xx; nil: not answered yet
	rseq     uint32       // of the last reliable provisional answer
	sdp      []byte       // the peer's last session description
	local    []byte       // ours
	gone     bool         // the peer has sent BYE
	byeCause Cause        // when gone
	byed     bool         // we have sent BYE, or need not
	held     bool         // the ACK waits for the record
	noted    bool         // the record has it
	up       bool         // of an incoming call: the ACK has come

	offering bool    // an offer of ours is not answered
	offered  *change // an offer of the peer that is not answered
	unacked  *change // a 2xx of ours to a re-INVITE without ACK
	session  session // RFC 4028
}

// legOf returns the leg that an answer to the INVITE belongs to, a new one if it
// is the first of its tag, nil if there are too many.
func (d *Dialog) legOf(res *sip.Response) *leg {
	t := tag(res.To().Params)
	l := d.legs[t]
	if l == nil {
		if t == "" && res.IsProvisional() || len(d.legs) >= maxLegs {
			return nil
		}
		l = &leg{d: d, cseq: res.CSeq().SeqNo, local: d.inv.Offer}
		d.legs[t] = l
		l.learn(res)
	}
	return l
}

// learn takes route set and remote target from an answer to the INVITE
// (RFC 3261 section 12.1.2): "The route set MUST be set to the list of URIs in
// the Record-Route header field from the response, taken in reverse order".
func (l *leg) learn(res *sip.Response) {
	l.to = sip.HeaderClone(res.To()).(*sip.ToHeader)
	l.routes = nil
	records := res.GetHeaders("Record-Route")
	for _, h := range slices.Backward(records) {
		if r, ok := h.(*sip.RecordRouteHeader); ok {
			l.routes = append(l.routes, *r.Address.Clone())
		}
	}
	if !l.retarget(res) && l.target.Host == "" {
		l.target = *l.d.sent.Recipient.Clone() // peers that give no Contact
	}
	l.learnAllow(res)
}

func (l *leg) learnAllow(msg sip.Message) {
	if all := msg.GetHeaders("Allow"); len(all) > 0 {
		l.allows = make(map[string]bool)
		for _, m := range list(all) {
			l.allows[strings.ToUpper(m)] = true
		}
	}
}

// confirm takes what the 2xx says: "the route set [...] MUST be recomputed based
// on the 2xx response" (RFC 3261 section 13.2.2.4).
func (l *leg) confirm(res *sip.Response) {
	l.learn(res)
	l.ack = l.build(sip.ACK, res.CSeq().SeqNo)
	// "The ACK MUST contain the same credentials as the INVITE" (RFC 3261
	// section 13.2.2.4).
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		sip.CopyHeaders(name, l.d.sent, l.ack)
	}
}

// retarget takes the peer's Contact as the new remote target, if there is a
// usable one.
func (l *leg) retarget(msg sip.Message) bool {
	all := msg.GetHeaders("Contact")
	if len(all) == 0 {
		return false
	}
	c, ok := all[0].(*sip.ContactHeader)
	if !ok || c.Address.Wildcard || c.Address.Host == "" || !strings.HasPrefix(strings.ToLower(c.Address.Scheme), "sip") {
		return false
	}
	moved := l.confirmed() && l.target.String() != c.Address.String()
	l.target = *c.Address.Clone()
	l.target.Headers = nil
	if moved {
		l.d.note()
	}
	return true
}

func (l *leg) sendAck() {
	l.d.ua.cfg.Layer.Send(l.ack, l.hop())
}

// request builds the next request of ours within the dialog.
func (l *leg) request(method sip.RequestMethod) *sip.Request {
	l.cseq++
	return l.build(method, l.cseq)
}

// build makes a request as RFC 3261 section 12.2.1.1 says.
func (l *leg) build(method sip.RequestMethod, cseq uint32) *sip.Request {
	uri, routes := *l.target.Clone(), l.routes
	if len(routes) > 0 && !routes[0].UriParams.Has("lr") {
		// A strict router: "the UAC MUST place the first URI from the route
		// set into the Request-URI [...] and place the remote target URI into
		// the Route header field as the last value".
		first := *routes[0].Clone()
		first.Headers = nil
		routes = append(append([]sip.Uri{}, routes[1:]...), uri)
		uri = first
	}
	req := sip.NewRequest(method, uri)
	for _, r := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: *r.Clone()})
	}
	req.AppendHeader(sip.HeaderClone(l.d.from))
	req.AppendHeader(sip.HeaderClone(l.to))
	callID := sip.CallIDHeader(l.d.id)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: cseq, MethodName: method})
	switch method {
	case sip.INVITE, sip.UPDATE: // target refresh requests (RFC 3261 section 12.2.1.1)
		req.AppendHeader(l.d.show())
	case sip.ACK:
		req.AppendHeader(l.d.contact())
	default:
	}
	l.d.ua.identify(req)
	return req
}

// hop returns where requests of the leg go: to the first route, else to the
// remote target. Names are not resolved again: "INVITE and ACK to different
// servers" is what a round robin would make of it (Plusnet answers 408 then), so
// they go where the INVITE went. So do addresses that cannot be reached from
// there, such as the private Contact of a phone behind NAT.
func (l *leg) hop() transport.Target {
	pinned := l.d.path.Target
	uri := l.target
	if len(l.routes) > 0 {
		uri = l.routes[0]
	}
	addr, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	if err != nil {
		return pinned
	}
	addr = addr.Unmap()
	home := pinned.Addr.Addr()
	if addr.Is4() != home.Is4() || !routable(addr) || (global(home) && !global(addr)) {
		return pinned
	}
	to := transport.Target{Network: networkOf(uri, pinned.Network), ServerName: pinned.ServerName}
	port := uint16(5060)
	if to.Network == transport.TLS {
		port = 5061
	}
	if uri.Port > 0 && uri.Port <= 65535 {
		port = uint16(uri.Port)
	}
	to.Addr = netip.AddrPortFrom(addr, port)
	if addr == home && to.Network == pinned.Network && pinned.Reliable() {
		return pinned // the flow that is open
	}
	return to
}

func networkOf(uri sip.Uri, usual string) string {
	if usual == transport.TLS || uri.IsEncrypted() {
		return transport.TLS // never down to plain text
	}
	switch n := strings.ToLower(param(uri.UriParams, "transport")); n {
	case transport.UDP, transport.TCP, transport.TLS:
		return n
	}
	return usual
}

func routable(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// global reports whether an address can be reached from everywhere.
func global(a netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return routable(a) && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !shared.Contains(a)
}

// do sends a request of ours within the dialog, answers challenges, and hands
// on the final answer or the error.
func (l *leg) do(req *sip.Request, on func(*sip.Response, error)) {
	l.try(req, 1, on)
}

func (l *leg) try(req *sip.Request, n int, on func(*sip.Response, error)) {
	l.d.ua.cfg.Layer.Request(req, l.hop(), func(r transaction.Result) {
		switch {
		case r.Err != nil:
			on(nil, r.Err)
		case r.Response.IsProvisional():
		case challenge(r.Response) && n < maxTries:
			next, err := l.d.authorizeAt(req, r.Response, l.hop())
			if err != nil {
				l.d.ua.cfg.Logger.Warn("challenge within a call not answered", "call_id", l.d.id, "method", string(req.Method), "error", err)
				on(r.Response, nil)
				return
			}
			l.cseq++
			next.CSeq().SeqNo = l.cseq
			l.try(next, n+1, on)
		default:
			on(r.Response, nil)
		}
	})
}

// bye hangs up this leg, once.
func (l *leg) bye() {
	if l.byed || l.gone {
		return
	}
	l.byed = true
	l.stopTimers()
	l.d.busy++
	l.sayBye(l.d.ua.cfg.Layer.T1())
}

// sayBye sends the BYE, and once more after a pause when it could not be sent:
// the connection may have died with nobody noticing, and a leg without BYE costs
// money. The pauses double and add up to timer F.
func (l *leg) sayBye(pause time.Duration) {
	layer := l.d.ua.cfg.Layer
	l.do(l.request(sip.BYE), func(res *sip.Response, err error) {
		again := errors.Is(err, transaction.ErrTransport) || l.d.left && err == nil && challenge(res) // not registered yet
		if again && !l.gone && pause <= 32*layer.T1() {
			layer.After(pause, func() { l.sayBye(2 * pause) })
			return
		}
		if err != nil {
			l.d.ua.cfg.Logger.Warn("no answer to bye", "call_id", l.d.id, "error", err)
		}
		l.d.busy--
		l.d.settled()
	})
}

// stopTimers ends all that the leg does by itself.
func (l *leg) stopTimers() {
	l.session.stop()
	if l.offered != nil {
		l.offered.refuse(sip.StatusRequestTerminated)
	}
	if l.unacked != nil && !l.d.owed { // the BYE that is owed waits for the ACK
		l.unacked.stop()
		l.unacked = nil
	}
}

// over reports whether one side has hung up.
func (l *leg) over() bool { return l.byed || l.gone }
