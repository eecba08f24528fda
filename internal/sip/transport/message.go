package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

var (
	errMalformed = errors.New("malformed message")
	errPanic     = fmt.Errorf("%w: the parser gave up", errMalformed)
)

// reader turns bytes into messages that have passed the guard.
type reader struct {
	guard   *guard
	parser  *sip.Parser
	receive func(Incoming)
	now     func() time.Time
}

func newReader(cfg *Config) reader {
	p := sip.NewParser()
	p.MaxMessageLength = cfg.MaxMessage
	return reader{
		guard: &guard{
			allow:   cfg.Allow,
			rate:    float64(cfg.Rate),
			log:     cfg.Logger,
			buckets: make(map[netip.Addr]*bucket),
			peers:   make(map[netip.Addr]time.Time),
		},
		parser:  p,
		receive: cfg.Receive,
		now:     cfg.TimeNow,
	}
}

// datagram handles what came over UDP.
func (r *reader) datagram(data []byte, from Target, local netip.AddrPort) {
	if !r.guard.admit(r.now(), from.Addr.Addr()) {
		return
	}
	// Keep-alives, and CRLFs in front of a message (RFC 3261 section 7.5).
	data = bytes.TrimLeft(data, "\r\n\x00")
	if len(data) == 0 {
		return
	}
	r.message(data, from, local)
}

// message parses one whole message and hands it on; a broken one is counted.
func (r *reader) message(data []byte, from Target, local netip.AddrPort) {
	msg, err := r.parse(data)
	if err != nil {
		r.guard.malformed.Add(1)
		r.guard.report(r.now(), err.Error(), from.Addr.Addr())
		return
	}
	msg.SetTransport(strings.ToUpper(from.Network))
	msg.SetSource(from.Addr.String())
	r.guard.received.Add(1)
	r.receive(Incoming{Msg: msg, From: from, Local: local})
}

// Parse reads one whole message and validates it. It never panics, and its
// errors never hold bytes of the message, so that they can be logged.
func Parse(data []byte) (sip.Message, error) {
	return parse(sip.NewParser(), data)
}

func (r *reader) parse(data []byte) (sip.Message, error) {
	msg, err := parse(r.parser, data)
	if errors.Is(err, errPanic) {
		r.guard.panics.Add(1)
	}
	return msg, err
}

func parse(parser *sip.Parser, data []byte) (msg sip.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			msg, err = nil, errPanic
		}
	}()
	if len(data) > parser.MaxMessageLength {
		return nil, fmt.Errorf("%w: larger than %d bytes", errMalformed, parser.MaxMessageLength)
	}
	if err := checkBytes(data); err != nil {
		return nil, err
	}
	msg, _, perr := parser.Parse(data, false)
	if perr != nil {
		return nil, fmt.Errorf("%w: not understood by the parser", errMalformed)
	}
	if err := Validate(msg); err != nil {
		return nil, err
	}
	return msg, nil
}

// checkBytes refuses lines that do not end in CRLF and NULs: values are copied
// into our own messages, and a lone LF there would be a header of the peer's
// making to a lenient reader.
func checkBytes(data []byte) error {
	head, _, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if !ok {
		return fmt.Errorf("%w: no end of the headers", errMalformed)
	}
	for i, c := range head {
		switch {
		case c == '\n' && (i == 0 || head[i-1] != '\r'),
			c == '\r' && (i+1 == len(head) || head[i+1] != '\n'),
			c == 0:
			return fmt.Errorf("%w: stray control character in the headers", errMalformed)
		}
	}
	return nil
}

// Validate checks that a message has the headers that everything else relies
// on: Via with a branch, From with a tag, To, Call-ID and CSeq. "A valid SIP
// request formulated by a UAC MUST, at a minimum, contain the following header
// fields: To, From, CSeq, Call-ID, Max-Forwards, and Via" (RFC 3261 section
// 8.1.1); a missing Max-Forwards is forgiven, as RFC 3261 section 16.3 does.
func Validate(msg sip.Message) error {
	if msg == nil {
		return fmt.Errorf("%w: empty", errMalformed)
	}
	var all []sip.Header
	var method sip.RequestMethod
	switch m := msg.(type) {
	case *sip.Request:
		all, method = m.Headers(), m.Method
		if m.SipVersion != "SIP/2.0" {
			return fmt.Errorf("%w: version is not SIP/2.0", errMalformed)
		}
	case *sip.Response:
		all = m.Headers()
		if m.SipVersion != "SIP/2.0" || m.StatusCode < 100 || m.StatusCode > 699 {
			return fmt.Errorf("%w: no valid status line", errMalformed)
		}
	default:
		return fmt.Errorf("%w: neither request nor response", errMalformed)
	}
	if err := checkSingles(all); err != nil {
		return err
	}
	return checkValues(msg, method)
}

// checkSingles wants the headers of RFC 3261 section 8.1.1 that cannot be
// repeated exactly once, in long or compact form (section 7.3.3).
func checkSingles(all []sip.Header) error {
	var from, to, callID, cseq int
	for _, h := range all {
		switch strings.ToLower(h.Name()) {
		case "from", "f":
			from++
		case "to", "t":
			to++
		case "call-id", "i":
			callID++
		case "cseq":
			cseq++
		}
	}
	if from != 1 || to != 1 || callID != 1 || cseq != 1 {
		return fmt.Errorf("%w: From, To, Call-ID and CSeq are there %d, %d, %d and %d times instead of once", errMalformed, from, to, callID, cseq)
	}
	return nil
}

func checkValues(msg sip.Message, method sip.RequestMethod) error {
	via, from, to, cid, cseq := msg.Via(), msg.From(), msg.To(), msg.CallID(), msg.CSeq()
	if via == nil || from == nil || to == nil || cid == nil || cseq == nil {
		return fmt.Errorf("%w: Via, From, To, Call-ID or CSeq is missing", errMalformed)
	}
	if branch, _ := via.Params.Get("branch"); branch == "" || via.Host == "" {
		return fmt.Errorf("%w: Via without branch or host", errMalformed)
	}
	if cseq.MethodName == "" || (method != "" && cseq.MethodName != method) {
		return fmt.Errorf("%w: method of CSeq does not match", errMalformed)
	}
	return nil
}
