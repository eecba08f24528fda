// Package siptest plays the far end of SIP in tests: a peer that speaks text over an in-memory network.
//
// The peer knows nothing of our message types: it reads and writes the lines on
// the wire, as a person with a packet dump would. It works in a synctest
// bubble, where waiting for an hour takes no time.
package siptest

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"phonesocket/internal/sip/transport"
)

// Patience is how long Next and Want wait.
const Patience = 40 * time.Second

// SDP is a session description that a callee would answer with.
const SDP = "v=0\r\no=u 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 27000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"

// A Message is one message that we sent to the peer.
type Message struct {
	Text string
	To   transport.Target
	At   time.Time
}

// Start returns the first line.
func (m Message) Start() string {
	line, _, _ := strings.Cut(m.Text, "\r\n")
	return line
}

// Is reports whether the message is a request of a method ("BYE") or an answer
// with a code ("200").
func (m Message) Is(what string) bool {
	return strings.HasPrefix(m.Start(), what+" ") || strings.HasPrefix(m.Start(), "SIP/2.0 "+what+" ")
}

// Body returns what follows the headers.
func (m Message) Body() string {
	_, body, _ := strings.Cut(m.Text, "\r\n\r\n")
	return body
}

// Headers returns the values of all header lines of a name.
func (m Message) Headers(name string) []string {
	head, _, _ := strings.Cut(m.Text, "\r\n\r\n")
	var out []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		n, v, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(n), name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// Header returns the first value of a header, or "".
func (m Message) Header(name string) string {
	if all := m.Headers(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// Param returns a parameter of the first header of a name, such as the branch
// of Via.
func (m Message) Param(header, param string) string {
	found := regexp.MustCompile(`;` + regexp.QuoteMeta(param) + `=([^;\s>]*)`).FindStringSubmatch(m.Header(header))
	if found == nil {
		return ""
	}
	return found[1]
}

// CSeq returns the number of the CSeq.
func (m Message) CSeq() int {
	text, _, _ := strings.Cut(m.Header("CSeq"), " ")
	n, _ := strconv.Atoi(text)
	return n
}

// RequestURI returns the second word of a request line.
func (m Message) RequestURI() string {
	f := strings.Fields(m.Start())
	if len(f) < 2 {
		return ""
	}
	return f[1]
}

// Peer is the far end. It is also the transport of our side: what is sent
// arrives here.
type Peer struct {
	t testing.TB
	// Target is where our side sends to.
	Target transport.Target
	// Deliver takes what the peer sends: the Receive of our layer.
	Deliver func(transport.Incoming)

	mu   sync.Mutex
	lose func(Message) bool
	in   chan Message
}

// NewPeer returns a peer at 192.0.2.1:5060 on a network ("udp", "tcp").
func NewPeer(t testing.TB, network string) *Peer {
	return &Peer{
		t:      t,
		Target: transport.Target{Network: network, Addr: netip.MustParseAddrPort("192.0.2.1:5060")},
		in:     make(chan Message, 10000),
	}
}

// Lose sets which messages get lost on their way to the peer; nil: none.
func (p *Peer) Lose(f func(Message) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = f
}

// Send takes a message of our side.
func (p *Peer) Send(to transport.Target, msg []byte) {
	m := Message{Text: string(msg), To: to, At: time.Now()}
	p.mu.Lock()
	lost := p.lose != nil && p.lose(m)
	p.mu.Unlock()
	if !lost {
		p.in <- m
	}
}

// Local is the address of our side.
func (p *Peer) Local(transport.Target) netip.AddrPort {
	return netip.MustParseAddrPort("198.51.100.7:5070")
}

// Next waits for the next message of our side.
func (p *Peer) Next() Message {
	p.t.Helper()
	select {
	case m := <-p.in:
		return m
	case <-time.After(Patience):
		p.t.Fatalf("nothing was sent within %s", Patience)
		return Message{}
	}
}

// Want waits for the next message and checks that it is what Message.Is says.
func (p *Peer) Want(what string) Message {
	p.t.Helper()
	m := p.Next()
	if !m.Is(what) {
		p.t.Fatalf("got %q, want %s", m.Start(), what)
	}
	return m
}

// None checks that our side stays silent for a time.
func (p *Peer) None(d time.Duration) {
	p.t.Helper()
	select {
	case m := <-p.in:
		p.t.Fatalf("got %q, want silence", m.Start())
	case <-time.After(d):
	}
}

// Drain returns all that arrives within a time.
func (p *Peer) Drain(d time.Duration) []Message {
	var out []Message
	end := time.After(d)
	for {
		select {
		case m := <-p.in:
			out = append(out, m)
		case <-end:
			return out
		}
	}
}

// Say delivers a message to our side as if it came from the peer.
func (p *Peer) Say(text string) { p.SayFrom(p.Target, text) }

// SayFrom delivers a message from any source.
func (p *Peer) SayFrom(from transport.Target, text string) {
	p.t.Helper()
	msg, err := transport.Parse([]byte(text))
	if err != nil {
		p.t.Fatalf("the test speaks wrong SIP: %v\n%s", err, text)
	}
	p.Deliver(transport.Incoming{Msg: msg, From: from, Local: p.Local(from)})
}

// Answer builds an answer to a request of ours. The tag goes into To unless it
// has one; extra are header lines, an element that begins with "v=" is the body.
func Answer(req Message, code int, tag string, extra ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Because\r\n", code)
	for _, v := range req.Headers("Via") {
		fmt.Fprintf(&b, "Via: %s\r\n", strings.Replace(v, ";rport", ";received=203.0.113.9;rport=1024", 1))
	}
	to := req.Header("To")
	if tag != "" && !strings.Contains(to, ";tag=") {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n",
		req.Header("From"), to, req.Header("Call-ID"), req.Header("CSeq"))
	return b.String() + tail(extra)
}

func tail(extra []string) string {
	var b strings.Builder
	body := ""
	for _, e := range extra {
		if strings.HasPrefix(e, "v=") {
			body = e
			b.WriteString("Content-Type: application/sdp\r\n")
			continue
		}
		b.WriteString(e + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// Reply answers a request of ours.
func (p *Peer) Reply(req Message, code int, tag string, extra ...string) {
	p.t.Helper()
	p.Say(Answer(req, code, tag, extra...))
}

// Contact is the Contact line of the callee with a tag.
func Contact(tag string) string { return "Contact: <sip:" + tag + "@192.0.2.1:5060>" }

// Within builds a request of the peer within the dialog that an INVITE of ours
// and the callee's tag made.
func Within(invite Message, tag, method string, cseq int, extra ...string) string {
	from := invite.Header("To") + ";tag=" + tag
	return fmt.Sprintf("%s sip:alice@198.51.100.7:5070 SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%s%d%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n",
		method, method, cseq, tag, from, invite.Header("From"), invite.Header("Call-ID"), cseq, method) + tail(extra)
}

// Outside builds a request of the peer outside of any dialog.
func Outside(method, branch string, extra ...string) string {
	return fmt.Sprintf("%s sip:alice@198.51.100.7:5070 SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:bob@example.org>;tag=bob1\r\nTo: <sip:alice@example.org>\r\nCall-ID: out-%s\r\nCSeq: 7 %s\r\n",
		method, branch, branch, method) + tail(extra)
}
