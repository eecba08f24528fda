package transaction

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

// Server is a server transaction, or an ACK of a 2xx, which has none. Its
// methods are called on the loop only.
type Server struct {
	layer  *Layer
	req    *sip.Request
	from   transport.Target
	key    string
	merge  string
	invite bool

	state    state
	last     []byte // the answer that a repeated request gets
	interval time.Duration
	resend   func() // stops timer G
	deadline func() // stops timer H, I, J or L
	trying   func() // stops the automatic 100
	onCancel func()
}

// Request returns the request; it must not be changed.
func (s *Server) Request() *sip.Request { return s.req }

// From returns where the request came from.
func (s *Server) From() transport.Target { return s.from }

// OnCancel sets what is called when the peer cancels an INVITE that has no final
// answer yet. The CANCEL itself is answered already; f answers the INVITE with
// 487.
func (s *Server) OnCancel(f func()) { s.onCancel = f }

// Done reports whether a final answer was given, or none can be.
func (s *Server) Done() bool { return s.state != calling && s.state != proceeding }

// request brings a request to its transaction, or starts one.
func (l *Layer) request(req *sip.Request, from transport.Target) {
	received(req.Via(), from)
	switch req.Method {
	case sip.ACK:
		l.ack(req, from)
		return
	case sip.CANCEL:
		l.cancel(req, from)
		return
	default:
	}
	key := serverKey(req, req.Method)
	if s := l.servers[key]; s != nil {
		l.current = s.drop
		s.repeat()
		return
	}
	s := &Server{
		layer:    l,
		req:      req,
		from:     from,
		key:      key,
		invite:   req.Method == sip.INVITE,
		resend:   func() {},
		deadline: func() {},
		trying:   func() {},
	}
	if len(l.servers) >= l.cfg.MaxTransactions {
		l.count.refused.Add(1)
		res := NewResponse(req, sip.StatusServiceUnavailable, "")
		res.AppendHeader(sip.NewHeader("Retry-After", "5"))
		s.RespondStateless(res)
		return
	}
	l.start(s)
}

func (l *Layer) start(s *Server) {
	if tagOf(s.req.To().Params) == "" {
		s.merge = mergeKey(s.req)
		if l.merged[s.merge] != nil {
			s.merge = ""
			s.RespondStateless(NewResponse(s.req, sip.StatusLoopDetected, "Merged Request"))
			return
		}
		l.merged[s.merge] = s
	}
	l.servers[s.key] = s
	l.current = s.drop
	if s.invite {
		// "The server transaction MUST generate a 100 (Trying) response
		// unless it knows that the TU will generate a provisional or final
		// response within 200 ms" (RFC 3261 section 17.2.1).
		s.trying = l.After(200*time.Millisecond, func() {
			if s.state == calling {
				s.Respond(NewResponse(s.req, sip.StatusTrying, ""))
			}
		})
	}
	l.cfg.Requests(s)
}

// ack is either the end of a failed INVITE or the ACK of a 2xx.
func (l *Layer) ack(req *sip.Request, from transport.Target) {
	s := l.servers[serverKey(req, sip.INVITE)]
	if s == nil || s.state == accepted {
		l.cfg.Requests(&Server{layer: l, req: req, from: from, state: terminated})
		return
	}
	if s.state == completed {
		l.current = s.drop
		s.resend()
		s.linger(confirmed, l.cfg.T4) // timer I
	}
}

// cancel answers a CANCEL from the transaction of the INVITE (RFC 3261 section
// 9.2).
func (l *Layer) cancel(req *sip.Request, from transport.Target) {
	c := &Server{layer: l, req: req, from: from, key: serverKey(req, sip.CANCEL)}
	s := l.servers[serverKey(req, sip.INVITE)]
	if s == nil {
		c.RespondStateless(NewResponse(req, sip.StatusCallTransactionDoesNotExists, ""))
		return
	}
	c.RespondStateless(NewResponse(req, sip.StatusOK, ""))
	if s.onCancel != nil && !s.Done() {
		l.current = s.drop
		s.onCancel()
	}
}

// repeat answers a retransmission with what was answered last.
func (s *Server) repeat() {
	if s.last != nil && (s.state == proceeding || s.state == completed) {
		s.layer.cfg.Transport.Send(replyTo(s.req, s.from), s.last)
	}
}

// Respond sends an answer and remembers it for repeated requests. After a final
// answer nothing more is sent. On an ACK it does nothing.
func (s *Server) Respond(res *sip.Response) {
	if s.Done() {
		return
	}
	s.trying()
	s.last = s.send(res)
	switch {
	case res.IsProvisional():
		s.state = proceeding
	case !s.invite:
		s.linger(completed, 64*s.layer.cfg.T1) // timer J
	case res.IsSuccess():
		// The TU repeats a 2xx until the ACK comes (RFC 3261 section
		// 13.3.1.4); we absorb repeated INVITEs (RFC 6026, timer L).
		s.linger(accepted, 64*s.layer.cfg.T1)
	default:
		s.state = completed
		if !s.from.Reliable() {
			s.interval = s.layer.cfg.T1
			s.resend = s.layer.After(s.interval, s.retransmit) // timer G
		}
		s.deadline = s.layer.After(64*s.layer.cfg.T1, s.terminate) // timer H
	}
}

// RespondStateless sends a final answer and forgets the request: a repeated one
// is a new one (RFC 3261 section 8.2.7). For requests that anybody can send.
func (s *Server) RespondStateless(res *sip.Response) {
	if s.req.Method == sip.ACK || s.Done() {
		return
	}
	s.send(res)
	s.terminate()
}

// Resend sends the 2xx of an INVITE again.
func (s *Server) Resend() {
	if s.state == accepted && s.last != nil {
		s.layer.cfg.Transport.Send(replyTo(s.req, s.from), s.last)
	}
}

func (s *Server) send(res *sip.Response) []byte {
	msg := []byte(res.String())
	s.layer.cfg.Transport.Send(replyTo(s.req, s.from), msg)
	return msg
}

func (s *Server) retransmit() {
	if s.state != completed {
		return
	}
	s.layer.cfg.Transport.Send(replyTo(s.req, s.from), s.last)
	s.interval = min(2*s.interval, s.layer.cfg.T2)
	s.resend = s.layer.After(s.interval, s.retransmit)
}

// linger keeps the transaction for repeated requests; on a reliable network
// there are none.
func (s *Server) linger(next state, d time.Duration) {
	if s.deadline != nil {
		s.deadline()
	}
	s.state = next
	if next != accepted && s.from.Reliable() {
		s.terminate()
		return
	}
	s.deadline = s.layer.After(d, s.terminate)
}

func (s *Server) terminate() {
	s.state = terminated
	for _, stop := range []func(){s.resend, s.deadline, s.trying} {
		if stop != nil {
			stop()
		}
	}
	if s.layer.servers[s.key] == s {
		delete(s.layer.servers, s.key)
	}
	if s.merge != "" && s.layer.merged[s.merge] == s {
		delete(s.layer.merged, s.merge)
	}
}

// drop ends a transaction whose handling panicked.
func (s *Server) drop() {
	if !s.Done() {
		s.Respond(NewResponse(s.req, sip.StatusInternalServerError, ""))
	}
	s.terminate()
}

// received notes where a request really came from: "the server transport MUST
// add a received parameter if the host of the top Via is a name or another
// address" (RFC 3261 section 18.2.1), and rport when asked (RFC 3581 section
// 4).
func received(via *sip.ViaHeader, from transport.Target) {
	host, err := netip.ParseAddr(strings.Trim(via.Host, "[]"))
	_, rport := via.Params.Get("rport")
	if rport {
		via.Params.Add("rport", strconv.Itoa(int(from.Addr.Port())))
	}
	if rport || err != nil || host.Unmap() != from.Addr.Addr() {
		via.Params.Add("received", from.Addr.Addr().String())
	}
}

// replyTo returns where answers go: on a flow back over it, over UDP to the
// source address, and its port when rport asked for it (RFC 3261 section
// 18.2.2, RFC 3581). maddr is not followed: it would let a request aim our
// answers at anybody.
func replyTo(req *sip.Request, from transport.Target) transport.Target {
	via := req.Via()
	if from.Reliable() || via.Params.Has("rport") {
		return from
	}
	port := via.Port
	if port <= 0 || port > 65535 {
		port = 5060
	}
	from.Addr = netip.AddrPortFrom(from.Addr.Addr(), uint16(port))
	return from
}
