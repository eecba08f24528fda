package phonenet

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a network for one test.
func start(t *testing.T, cfg Config) *Net {
	t.Helper()
	if cfg.Users == nil {
		cfg.Users = map[string]string{"alice": "secret", "bob": "hunter2"}
	}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// within is a context for everything that must happen soon.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// phone is a telephone made of hand-written text. It knows nothing of the
// libraries the network is made of.
type phone struct {
	t        *testing.T
	conn     net.Conn
	stream   *bufio.Reader // nil for udp
	via      string        // UDP, TCP or TLS
	server   string
	user     string
	password string
	fromTag  string
	callID   string
	cseq     int
	serial   int
	rtp      *net.UDPConn
}

func newPhone(t *testing.T, n *Net) *phone { return dialPhone(t, n, "udp", nil) }

func dialPhone(t *testing.T, n *Net, network string, trust *tls.Config) *phone {
	t.Helper()
	p := &phone{t: t, server: n.Addr().String(), user: "alice", password: "secret", via: strings.ToUpper(network)}
	var err error
	switch network {
	case "udp":
		p.conn, err = net.Dial("udp", p.server)
	case "tcp":
		p.conn, err = net.Dial("tcp", p.server)
	case "tls":
		p.conn, err = tls.Dial("tcp", p.server, trust)
	}
	if err != nil {
		t.Fatal(err)
	}
	if network != "udp" {
		p.stream = bufio.NewReader(p.conn)
	}
	p.rtp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.conn.Close(); p.rtp.Close() })
	p.newCall()
	return p
}

func (p *phone) newCall() {
	p.callID, p.fromTag = "call-"+token()+"@test", token()
}

// reply is an answer or a request as text, cut into its parts.
type reply struct {
	first   string
	headers map[string][]string // names in lower case
	body    string
	text    string
}

func parse(t *testing.T, text string) reply {
	t.Helper()
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	if !ok {
		t.Fatalf("no end of head in %q", text)
	}
	lines := strings.Split(head, "\r\n")
	r := reply{first: lines[0], headers: map[string][]string{}, body: body, text: text}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		r.headers[name] = append(r.headers[name], strings.TrimSpace(value))
	}
	return r
}

func (r reply) get(name string) string {
	if v := r.headers[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// port is the port of the first media line.
func (r reply) port(t *testing.T) int {
	t.Helper()
	_, rest, ok := strings.Cut(r.body, "m=audio ")
	if !ok {
		t.Fatalf("no audio in %q", r.body)
	}
	var port int
	if _, err := fmt.Sscanf(rest, "%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}

func (p *phone) write(text string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next message.
func (p *phone) read() reply {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if p.stream != nil {
		return parse(p.t, p.readStream())
	}
	buf := make([]byte, 65535)
	size, err := p.conn.Read(buf)
	if err != nil {
		p.t.Fatalf("no message came: %v", err)
	}
	return parse(p.t, string(buf[:size]))
}

func (p *phone) readStream() string {
	p.t.Helper()
	var text strings.Builder
	length := 0
	for {
		line, err := p.stream.ReadString('\n')
		if err != nil {
			p.t.Fatalf("no message came: %v", err)
		}
		text.WriteString(line)
		if _, err := fmt.Sscanf(line, "Content-Length: %d", &length); err != nil && line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	for read := 0; read < length; {
		k, err := p.stream.Read(body[read:])
		if err != nil {
			p.t.Fatal(err)
		}
		read += k
	}
	return text.String() + string(body)
}

// want reads the next message and checks how its first line begins.
func (p *phone) want(first string) reply {
	p.t.Helper()
	r := p.read()
	if !strings.HasPrefix(r.first, first) {
		p.t.Fatalf("got %q, want %q\n%s", r.first, first, r.text)
	}
	return r
}

// silence checks that nothing comes for a while.
func (p *phone) silence(d time.Duration) {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		p.t.Fatal(err)
	}
	buf := make([]byte, 65535)
	if size, err := p.conn.Read(buf); err == nil {
		p.t.Fatalf("unexpected message:\n%s", buf[:size])
	}
}

// message is a request to be sent; empty fields get what is usual.
type message struct {
	method, uri, to, branch, body string
	cseq                          int
	headers                       []string
}

func (p *phone) request(m message) string {
	if m.branch == "" {
		p.serial++
		m.branch = fmt.Sprintf("z9hG4bK%s%d", p.fromTag, p.serial)
	}
	if m.to == "" {
		m.to = "<" + m.uri + ">"
	}
	local := p.conn.LocalAddr().String()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", m.method, m.uri, p.via, local, m.branch)
	fmt.Fprintf(&b, "From: \"Alice\" <sip:%s@phonenet>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", p.user, p.fromTag, m.to, p.callID, m.cseq, m.method)
	contact := false
	for _, h := range m.headers {
		contact = contact || strings.HasPrefix(h, "Contact:")
		b.WriteString(h + "\r\n")
	}
	if !contact {
		fmt.Fprintf(&b, "Contact: <sip:%s@%s>\r\n", p.user, local)
	}
	if m.body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(m.body), m.body)
	return b.String()
}

func (p *phone) send(m message) { p.t.Helper(); p.write(p.request(m)) }

// field is a parameter of a challenge.
func field(challenge, name string) string {
	_, rest, ok := strings.Cut(challenge, name+"=")
	if !ok {
		return ""
	}
	if strings.HasPrefix(rest, `"`) {
		value, _, _ := strings.Cut(rest[1:], `"`)
		return value
	}
	value, _, _ := strings.Cut(rest, ",")
	return strings.TrimSpace(value)
}

// credentials answers a challenge by the letter of RFC 2617 3.2.2.
func (p *phone) credentials(challenge, method, uri string, nc int) string {
	sum := func(s string) string {
		if field(challenge, "algorithm") == "SHA-256" {
			return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))
		}
		return fmt.Sprintf("%x", md5.Sum([]byte(s)))
	}
	realm, nonce := field(challenge, "realm"), field(challenge, "nonce")
	a1, a2 := sum(p.user+":"+realm+":"+p.password), sum(method+":"+uri)
	if field(challenge, "qop") == "" {
		return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=%s`,
			p.user, realm, nonce, uri, sum(a1+":"+nonce+":"+a2), field(challenge, "algorithm"))
	}
	count := fmt.Sprintf("%08x", nc)
	response := sum(a1 + ":" + nonce + ":" + count + ":cafe:auth:" + a2)
	return fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=%s, cnonce="cafe", qop=auth, nc=%s`,
		p.user, realm, nonce, uri, response, field(challenge, "algorithm"), count)
}

// register sends REGISTER, answers the challenge, and returns the last answer.
func (p *phone) register(headers ...string) reply {
	p.t.Helper()
	uri := "sip:phonenet"
	p.cseq++
	m := message{method: "REGISTER", uri: uri, to: "<sip:" + p.user + "@phonenet>", cseq: p.cseq, headers: headers}
	p.send(m)
	r := p.read()
	if !strings.HasPrefix(r.first, "SIP/2.0 401") {
		return r
	}
	p.cseq++
	m.cseq, m.headers = p.cseq, append(headers, "Authorization: "+p.credentials(r.get("www-authenticate"), "REGISTER", uri, 1))
	p.send(m)
	return p.read()
}

func (p *phone) offer(codecs string) string {
	port := p.rtp.LocalAddr().(*net.UDPAddr).Port
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n", port, codecs)
}

// invite sends INVITE, answers the challenge with ACK and a new INVITE, and
// returns that one and its 100 Trying has been read.
func (p *phone) invite(uri, body string) message {
	p.t.Helper()
	p.cseq++
	first := message{method: "INVITE", uri: uri, cseq: p.cseq, body: body, branch: "z9hG4bK" + token()}
	p.send(first)
	r := p.want("SIP/2.0 407")
	p.send(message{method: "ACK", uri: uri, to: r.get("to"), cseq: p.cseq, branch: first.branch})
	p.cseq++
	second := first
	second.cseq, second.branch = p.cseq, "z9hG4bK"+token()
	second.headers = []string{"Proxy-Authorization: " + p.credentials(r.get("proxy-authenticate"), "INVITE", uri, 1)}
	p.send(second)
	p.want("SIP/2.0 100")
	return second
}

// call is an answered call.
type call struct {
	to, target string
	media      netip.AddrPort
	ok         reply
}

// dial calls a number that answers, and acknowledges.
func (p *phone) dial(number, codecs string) call {
	p.t.Helper()
	p.invite("sip:"+number+"@phonenet", p.offer(codecs))
	return p.answered()
}

// answered skips provisional answers, reads the 200 and acknowledges it.
func (p *phone) answered() call {
	p.t.Helper()
	r := p.read()
	for strings.HasPrefix(r.first, "SIP/2.0 18") {
		r = p.read()
	}
	if !strings.HasPrefix(r.first, "SIP/2.0 200") {
		p.t.Fatalf("not answered: %s", r.first)
	}
	c := call{to: r.get("to"), target: strings.Trim(r.get("contact"), "<>"), ok: r}
	if r.body != "" {
		c.media = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(r.port(p.t)))
	}
	p.send(message{method: "ACK", uri: c.target, to: c.to, cseq: p.cseq})
	return c
}

func (p *phone) bye(c call) {
	p.t.Helper()
	p.cseq++
	p.send(message{method: "BYE", uri: c.target, to: c.to, cseq: p.cseq})
	p.want("SIP/2.0 200")
}

// talk sends one packet of sound.
func (p *phone) talk(c call, payloadType byte, seq uint16, ts uint32, payload []byte) {
	p.t.Helper()
	packet := []byte{0x80, payloadType}
	packet = binary.BigEndian.AppendUint16(packet, seq)
	packet = binary.BigEndian.AppendUint32(packet, ts)
	packet = append(packet, 0xDE, 0xAD, 0xBE, 0xEF)
	if _, err := p.rtp.WriteToUDPAddrPort(append(packet, payload...), c.media); err != nil {
		p.t.Fatal(err)
	}
}

// sound is one packet that came.
type sound struct {
	payloadType byte
	seq         uint16
	ts, ssrc    uint32
	payload     string
	at          time.Time
}

func (p *phone) listen() sound {
	p.t.Helper()
	s, err := p.listenFor(5 * time.Second)
	if err != nil {
		p.t.Fatalf("no sound came: %v", err)
	}
	return s
}

func (p *phone) listenFor(d time.Duration) (sound, error) {
	if err := p.rtp.SetReadDeadline(time.Now().Add(d)); err != nil {
		return sound{}, err
	}
	buf := make([]byte, 2048)
	size, err := p.rtp.Read(buf)
	if err != nil || size < 12 {
		return sound{}, fmt.Errorf("read %d bytes: %w", size, err)
	}
	return sound{
		payloadType: buf[1] & 0x7F, seq: binary.BigEndian.Uint16(buf[2:]), ts: binary.BigEndian.Uint32(buf[4:]),
		ssrc: binary.BigEndian.Uint32(buf[8:]), payload: string(buf[12:size]), at: time.Now(),
	}, nil
}

// answerBye waits for a BYE or another request of the network and answers it with 200.
func (p *phone) answerRequest(method, body string) reply {
	p.t.Helper()
	r := p.want(method + " ")
	p.respond(r, "200 OK", body)
	return r
}

func (p *phone) respond(r reply, status, body string) {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:alice@%s>\r\n",
		status, r.get("via"), r.get("from"), r.get("to"), r.get("call-id"), r.get("cseq"), p.conn.LocalAddr())
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	p.write(b.String())
}
