//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	firstNumber   = 500000 // number of the first callee: six digits pass the dial policy as a short number
	byeEvery      = 500 * time.Millisecond
	byeTries      = 8
	maxDatagram   = 8192
	sipReadBuffer = 4 << 20
)

// server is the telephone network of the benchmark: a registrar that accepts everybody and callees who answer at
// once. It is written from RFC 3261 alone and shares no code with the gateway. It does without the retransmission of
// a 200 (13.3.1.4): on loopback a lost answer is made good by the repeated INVITE, which gets the same answer again.
type server struct {
	conn *net.UDPConn
	at   netip.AddrPort
	done chan struct{}

	mu         sync.Mutex
	callees    map[string]*callee // by number
	dialogs    map[string]*dialog // by Call-ID
	registered chan time.Time     // gets the time of the first REGISTER
	problem    error              // the first thing that should not have happened
}

// callee answers one number.
type callee struct {
	port     uint16 // of its RTP
	answered chan netip.AddrPort
	ended    chan struct{}
	hangUp   bool // as soon as the call is up
}

// dialog is one call as the callee sees it.
type dialog struct {
	callee *callee
	answer []byte         // the 200, to be repeated
	bye    []byte         // ready to be sent
	peer   netip.AddrPort // of signalling
	media  netip.AddrPort // where the gateway wants its RTP
	up     bool
	stop   chan struct{} // closed when the call has ended
}

func startServer() (*server, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("bind the SIP server: %w", err)
	}
	_ = conn.SetReadBuffer(sipReadBuffer) // best effort: what overflows is sent again
	s := &server{
		conn: conn, at: conn.LocalAddr().(*net.UDPAddr).AddrPort(), done: make(chan struct{}),
		callees: map[string]*callee{}, dialogs: map[string]*dialog{}, registered: make(chan time.Time, 1),
	}
	go s.loop()
	return s, nil
}

// close ends the server and waits for its loop.
func (s *server) close() {
	_ = s.conn.Close()
	<-s.done
}

// expect prepares a callee and returns the number to dial.
func (s *server) expect(i int, port uint16, hangUp bool) (string, *callee) {
	number := strconv.Itoa(firstNumber + i)
	c := &callee{port: port, hangUp: hangUp, answered: make(chan netip.AddrPort, 1), ended: make(chan struct{})}
	s.mu.Lock()
	s.callees[number] = c
	s.mu.Unlock()
	return number, c
}

// hangUpAll ends all calls and waits until the gateway has confirmed.
func (s *server) hangUpAll(ctx context.Context) error {
	s.mu.Lock()
	var open []*dialog
	for _, d := range s.dialogs {
		open = append(open, d)
	}
	s.mu.Unlock()
	for _, d := range open {
		s.send(d.bye, d.peer)
	}
	retry := time.NewTicker(byeEvery)
	defer retry.Stop()
	tries := 0
	for _, d := range open {
		for waiting := true; waiting; {
			select {
			case <-d.stop:
				waiting = false
			case <-ctx.Done():
				return fmt.Errorf("hang up: %w", ctx.Err())
			case <-retry.C:
				if tries++; tries > byeTries {
					return errors.New("hang up: no answer to BYE")
				}
				s.send(d.bye, d.peer)
			}
		}
	}
	return nil
}

// err returns the first thing that should not have happened.
func (s *server) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

func (s *server) send(p []byte, to netip.AddrPort) {
	_, _ = s.conn.WriteToUDPAddrPort(p, to) // what is lost is asked for again
}

func (s *server) loop() {
	defer close(s.done)
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		now := time.Now()
		m, err := parseSIP(string(buf[:n]))
		s.mu.Lock()
		switch {
		case errors.Is(err, errKeepAlive):
		case err != nil:
			s.problem = errors.Join(s.problem, err)
		default:
			s.handle(m, from, now)
		}
		s.mu.Unlock()
	}
}

// handle runs with the lock held.
func (s *server) handle(m message, from netip.AddrPort, now time.Time) {
	id := m.get("call-id")
	switch m.method {
	case "REGISTER":
		select {
		case s.registered <- now:
		default:
		}
		s.send(m.answer("200 OK", from, "reg", s.lease(m)), from)
	case "OPTIONS":
		s.send(m.answer("200 OK", from, "opt", ""), from)
	case "INVITE":
		s.invite(m, id, from)
	case "ACK":
		if d := s.dialogs[id]; d != nil && !d.up {
			d.up = true
			d.callee.answered <- d.media
			if d.callee.hangUp {
				s.send(d.bye, d.peer)
			}
		}
	case "BYE":
		s.send(m.answer("200 OK", from, "", ""), from)
		s.end(id)
	case "":
		if strings.HasSuffix(m.get("cseq"), "BYE") && m.status >= 200 {
			s.end(id)
		}
	default:
		s.send(m.answer("501 Not Implemented", from, "no", ""), from)
	}
}

// lease echoes the contacts of a REGISTER with their lease (RFC 3261 10.3, step 8).
func (s *server) lease(m message) string {
	contact, expires := m.get("contact"), m.get("expires")
	if contact == "" || contact == "*" || expires == "0" || strings.Contains(contact, "expires=0") {
		return ""
	}
	if !strings.Contains(contact, "expires=") {
		if expires == "" {
			expires = "600"
		}
		contact += ";expires=" + expires
	}
	return "Contact: " + contact + "\r\n"
}

func (s *server) invite(m message, id string, from netip.AddrPort) {
	if d := s.dialogs[id]; d != nil {
		s.send(d.answer, from)
		return
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(m.uri, "sip:"), "@")
	c := s.callees[number]
	media, err := mediaOf(m.body)
	contact := uriOf(m.get("contact"))
	if c == nil || err != nil || contact == "" {
		s.problem = errors.Join(s.problem, fmt.Errorf("INVITE to %s cannot be answered: callee %t, contact %q, description: %w", m.uri, c != nil, contact, err))
		s.send(m.answer("404 Not Found", from, "no", ""), from)
		return
	}
	delete(s.callees, number)
	tag := "b" + number
	d := &dialog{callee: c, peer: from, media: media, stop: make(chan struct{})}
	body := fmt.Sprintf("v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"+
		"m=audio %d RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n", c.port)
	head := fmt.Sprintf("Contact: <sip:%s@%s>\r\nContent-Type: application/sdp\r\n", number, s.at)
	d.answer = m.reply("200 OK", from, tag, head, body)
	d.bye = fmt.Appendf(nil, "BYE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
		contact, s.at, id, m.get("to"), tag, m.get("from"), id)
	s.dialogs[id] = d
	s.send(d.answer, from)
}

// end notes that a call is over.
func (s *server) end(id string) {
	if d := s.dialogs[id]; d != nil {
		delete(s.dialogs, id)
		close(d.stop)
		close(d.callee.ended)
	}
}

// message is one SIP message.
type message struct {
	method, uri string // of a request
	status      int    // of a response
	headers     [][2]string
	body        string
}

var errKeepAlive = errors.New("a keep-alive, not a message")

func parseSIP(text string) (message, error) {
	var m message
	if strings.Trim(text, "\r\n\x00") == "" {
		return m, errKeepAlive
	}
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	m.body = body
	lines := strings.Split(head, "\r\n")
	first := strings.Fields(lines[0])
	if !ok || len(first) < 3 {
		return m, fmt.Errorf("not a SIP message: %.40q", text)
	}
	if first[0] == "SIP/2.0" {
		m.status, _ = strconv.Atoi(first[1])
	} else {
		m.method, m.uri = first[0], first[1]
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		m.headers = append(m.headers, [2]string{longName(strings.ToLower(strings.TrimSpace(name))), strings.TrimSpace(value)})
	}
	return m, nil
}

// longName undoes the compact forms of RFC 3261 7.3.3 that matter here.
func longName(name string) string {
	switch name {
	case "v":
		return "via"
	case "f":
		return "from"
	case "t":
		return "to"
	case "i":
		return "call-id"
	case "m":
		return "contact"
	}
	return name
}

func (m message) get(name string) string {
	for _, h := range m.headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

func (m message) answer(status string, from netip.AddrPort, tag, extra string) []byte {
	return m.reply(status, from, tag, extra, "")
}

// reply writes a response (RFC 3261 8.2.6): all Via, From, To with a tag, Call-ID and CSeq of the request.
func (m message) reply(status string, from netip.AddrPort, tag, extra, body string) []byte {
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	top := true
	for _, h := range m.headers {
		if h[0] != "via" {
			continue
		}
		via := h[1]
		if top { // RFC 3581 4
			via = strings.Replace(via, ";rport", fmt.Sprintf(";rport=%d;received=%s", from.Port(), from.Addr()), 1)
		}
		b.WriteString("Via: " + via + "\r\n")
		top = false
	}
	to := m.get("to")
	if tag != "" && !strings.Contains(to, ";tag=") {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", m.get("from"), to, m.get("call-id"), m.get("cseq"))
	fmt.Fprintf(&b, "%sContent-Length: %d\r\n\r\n%s", extra, len(body), body)
	return []byte(b.String())
}

// uriOf takes the address out of a header such as <sip:a@b>;x=y.
func uriOf(value string) string {
	_, rest, ok := strings.Cut(value, "<")
	if !ok {
		uri, _, _ := strings.Cut(value, ";")
		return uri
	}
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// mediaOf reads where RTP goes (RFC 8866): the last c= line that counts and the port of m=audio.
func mediaOf(sdp string) (netip.AddrPort, error) {
	var addr netip.Addr
	var port uint64
	var err error
	for line := range strings.Lines(sdp) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 3 && fields[0] == "c=IN":
			addr, err = netip.ParseAddr(fields[2])
		case len(fields) >= 2 && fields[0] == "m=audio":
			port, err = strconv.ParseUint(fields[1], 10, 16)
		}
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("read %q: %w", strings.TrimSpace(line), err)
		}
	}
	if !addr.IsValid() || port == 0 {
		return netip.AddrPort{}, errors.New("it names no address for RTP")
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}
