package dialog

import (
	"strings"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transaction"
)

// Serve answers a request of the network. On the loop only: it belongs into the
// Config of the layer.
func (u *UA) Serve(s *transaction.Server) {
	req := s.Request()
	l := u.find(req)
	switch {
	case req.Method == sip.ACK:
		if l != nil {
			l.acked(req)
		}
	case tag(req.To().Params) == "":
		u.outside(s)
	case l == nil:
		s.RespondStateless(u.response(s, sip.StatusCallTransactionDoesNotExists))
	default:
		l.serve(s)
	}
}

// find returns the leg that a request belongs to (RFC 3261 section 12.2.2).
func (u *UA) find(req *sip.Request) *leg {
	d := u.dialogs[incomingKey(req.CallID().Value(), tag(req.To().Params))]
	if d == nil {
		d = u.dialogs[req.CallID().Value()]
	}
	if d == nil || d.from == nil || tag(req.To().Params) != tag(d.from.Params) {
		return nil
	}
	return d.legs[tag(req.From().Params)]
}

// outside takes an INVITE that begins a call, and answers what belongs to no
// call, without keeping state: anybody who may speak can send it.
func (u *UA) outside(s *transaction.Server) {
	req := s.Request()
	code := sip.StatusMethodNotAllowed
	switch req.Method {
	case sip.OPTIONS:
		code = sip.StatusOK
	case sip.INVITE:
		code = sip.StatusTemporarilyUnavailable // unless calls are taken
	case sip.REFER:
		code = sip.StatusGlobalDecline
	case sip.SUBSCRIBE, sip.PUBLISH:
		code = statusBadEvent
	case sip.BYE, sip.PRACK, sip.UPDATE, sip.INFO, sip.NOTIFY:
		code = sip.StatusCallTransactionDoesNotExists
	default:
	}
	// Only for requests that are not part of a call: one that ends here with 0
	// left has been forwarded rightly, and a BYE must not be refused.
	if mf := req.MaxForwards(); mf != nil && *mf == 0 && req.Method != sip.OPTIONS {
		code = sip.StatusTooManyHops
	}
	if code != sip.StatusMethodNotAllowed && len(unsupported(req)) > 0 {
		s.RespondStateless(u.badExtension(s))
		return
	}
	if req.Method == sip.INVITE && code == sip.StatusTemporarilyUnavailable && u.cfg.Incoming != nil {
		u.incoming(s)
		return
	}
	s.RespondStateless(u.response(s, code))
}

// response builds an answer with what its code asks for.
func (u *UA) response(s *transaction.Server, code int) *sip.Response {
	res := transaction.NewResponse(s.Request(), code, "")
	switch code {
	case sip.StatusOK:
		u.capabilities(res)
		if s.Request().Method == sip.OPTIONS {
			res.AppendHeader(sip.NewHeader("Accept", sdpType))
		}
	case sip.StatusMethodNotAllowed: // "MUST also add an Allow header field" (section 8.2.1)
		res.AppendHeader(sip.NewHeader("Allow", allow))
		u.identify(res)
	case sip.StatusUnsupportedMediaType: // section 8.2.3
		res.AppendHeader(sip.NewHeader("Accept", sdpType))
		u.identify(res)
	case statusIntervalTooSmall: // RFC 4028 section 9
		res.AppendHeader(sip.NewHeader("Min-SE", "90"))
	default:
		u.identify(res)
	}
	return res
}

// unsupported returns the option tags of Require that we do not know.
func unsupported(req *sip.Request) []string {
	var out []string
	for _, v := range list(req.GetHeaders("Require")) {
		if !strings.EqualFold(v, "timer") && !strings.EqualFold(v, "100rel") {
			out = append(out, v)
		}
	}
	return out
}

// serve answers a request within the call.
func (l *leg) serve(s *transaction.Server) {
	req := s.Request()
	u := l.d.ua
	if l.numbered && req.CSeq().SeqNo < l.remote {
		// "If the remote sequence number is not empty, but the sequence number
		// of the request is lower [...] the request is out of order and MUST be
		// rejected with a 500" (RFC 3261 section 12.2.2).
		s.Respond(u.response(s, sip.StatusInternalServerError))
		return
	}
	l.remote, l.numbered = req.CSeq().SeqNo, true
	if req.Method == sip.BYE {
		l.hungUp(s) // whatever else it asks for: it ends the call
		return
	}
	if l.over() || l.d.cause != nil {
		s.Respond(u.response(s, sip.StatusCallTransactionDoesNotExists))
		return
	}
	if len(unsupported(req)) > 0 {
		s.Respond(u.badExtension(s))
		return
	}
	switch req.Method {
	case sip.INVITE, sip.UPDATE:
		l.change(s)
	case sip.OPTIONS:
		s.Respond(u.response(s, sip.StatusOK))
	case sip.INFO:
		s.Respond(u.response(s, infoCode(req)))
	case sip.REFER:
		s.Respond(u.response(s, sip.StatusGlobalDecline)) // never followed
	case sip.PRACK:
		l.acknowledged(s)
	case sip.NOTIFY:
		s.Respond(u.response(s, sip.StatusCallTransactionDoesNotExists))
	case sip.SUBSCRIBE:
		s.Respond(u.response(s, statusBadEvent))
	default:
		s.Respond(u.response(s, sip.StatusMethodNotAllowed))
	}
}

// badExtension is the answer to a Require that we do not know (RFC 3261 section
// 8.2.2.3).
func (u *UA) badExtension(s *transaction.Server) *sip.Response {
	res := u.response(s, sip.StatusBadExtension)
	res.AppendHeader(sip.NewHeader("Unsupported", strings.Join(unsupported(s.Request()), ", ")))
	return res
}

// infoCode: digits and empty ones are taken, packages were not agreed upon
// (RFC 6086 section 4.2.2), the rest is unknown.
func infoCode(req *sip.Request) int {
	if headerValue(req, "Info-Package") != "" {
		return statusBadInfoPackage
	}
	mime, _, _ := strings.Cut(headerValue(req, "Content-Type", "c"), ";")
	switch strings.ToLower(strings.TrimSpace(mime)) {
	case "application/dtmf-relay", "application/dtmf":
		return sip.StatusOK
	}
	if len(req.Body()) == 0 {
		return sip.StatusOK
	}
	return sip.StatusUnsupportedMediaType
}

// hungUp takes the BYE of the peer.
func (l *leg) hungUp(s *transaction.Server) {
	d := l.d
	s.Respond(d.ua.response(s, sip.StatusOK))
	if l.gone {
		return
	}
	l.gone = true
	if d.owed {
		d.owes()
	}
	l.stopTimers()
	l.byeCause = Cause{Reason: ReasonRemoteBye, By: ByRemote}
	l.byeCause.Q850, l.byeCause.Text = reasonHeader(s.Request())
	switch {
	case l == d.chosen:
		d.finish(l.byeCause)
	case d.open(): // "MUST still respond to any pending requests [...] with a 487" (section 15.1.2)
		d.turnAway(sip.StatusRequestTerminated)
		l.byeCause.Reason, l.byeCause.Code = ReasonRemoteCancel, sip.StatusRequestTerminated
		d.finish(l.byeCause)
	}
}
