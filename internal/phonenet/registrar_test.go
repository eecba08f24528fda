package phonenet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestTheRegistrarAnswersAsConfigured(t *testing.T) {
	t.Parallel()
	user := func(name, password string) func(*phone) {
		return func(p *phone) { p.user, p.password = name, password }
	}
	tests := []struct {
		name    string
		cfg     Config
		phone   func(*phone)
		headers []string
		want    string // first line of the last answer
		header  string // "name: value" that must be in it
		bound   bool
	}{
		{name: "MD5 by default", want: "SIP/2.0 200", bound: true},
		{name: "SHA-256 when it is the only one", cfg: Config{Algorithm: "SHA-256"}, want: "SIP/2.0 200", bound: true},
		{name: "the first of several algorithms", cfg: Config{Algorithm: "SHA-256,MD5"}, want: "SIP/2.0 200", bound: true},
		{name: "without qop", cfg: Config{Behaviour: Behaviour{NoQop: true}}, want: "SIP/2.0 200", bound: true},
		{name: "a wrong password is challenged again", phone: user("alice", "guess"), want: "SIP/2.0 401"},
		{name: "a wrong password is refused when configured so", cfg: Config{Behaviour: Behaviour{WrongPassword: 403}}, phone: user("alice", "guess"), want: "SIP/2.0 403"},
		{name: "an unknown user is challenged again", phone: user("mallory", "secret"), want: "SIP/2.0 401"},
		{name: "a short lease is too brief", cfg: Config{MinExpires: time.Minute}, headers: []string{"Expires: 30"}, want: "SIP/2.0 423", header: "min-expires: 60"},
		{name: "a long lease is cut", cfg: Config{MaxExpires: time.Minute}, headers: []string{"Expires: 7200"}, want: "SIP/2.0 200", header: "contact: ;expires=60", bound: true},
		{name: "another lease is granted than asked for", cfg: Config{Behaviour: Behaviour{GrantExpires: 7 * time.Second}}, want: "SIP/2.0 200", header: "contact: ;expires=7", bound: true},
		{name: "a busy registrar says when to come again", cfg: Config{Behaviour: Behaviour{RegisterStatus: 503, RetryAfter: 3 * time.Second}}, want: "SIP/2.0 503", header: "retry-after: 3"},
		{name: "the lease of somebody else only", cfg: Config{Behaviour: Behaviour{ForgetContact: true}}, want: "SIP/2.0 200", header: "contact: 192.0.2.1", bound: true},
		{name: "a view from behind a NAT", cfg: Config{Behaviour: Behaviour{PretendReceived: netip.MustParseAddrPort("203.0.113.9:4711")}}, want: "SIP/2.0 200", header: "via: rport=4711;received=203.0.113.9", bound: true},
		{name: "nothing to bind is a question", headers: []string{"Contact: *", "Expires: 60"}, want: "SIP/2.0 400"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, test.cfg)
			p := newPhone(t, n)
			if test.phone != nil {
				test.phone(p)
			}
			r := p.register(test.headers...)
			if !strings.HasPrefix(r.first, test.want) {
				t.Fatalf("got %q, want %q", r.first, test.want)
			}
			if name, value, ok := strings.Cut(test.header, ": "); ok && !strings.Contains(r.get(name), value) {
				t.Errorf("%s is %q, want %q in it", name, r.get(name), value)
			}
			if got := len(n.Registrations()) == 1; got != test.bound {
				t.Errorf("bound is %v: %+v", got, n.Registrations())
			}
		})
	}
}

func TestARequestURIWithAUserIsNoRegistrar(t *testing.T) {
	t.Parallel()
	p := newPhone(t, start(t, Config{}))
	p.send(message{method: "REGISTER", uri: "sip:alice@phonenet", cseq: 1})
	p.want("SIP/2.0 400")
}

func TestAnAccountMayHaveAnotherNameForItsCredentials(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Aliases: map[string]string{"4930123": "alice"}})
	p := newPhone(t, n)
	uri := "sip:phonenet"
	m := message{method: "REGISTER", uri: uri, to: "<sip:4930123@phonenet>", cseq: 1}
	p.send(m)
	challenge := p.want("SIP/2.0 401").get("www-authenticate")
	m.cseq, m.headers = 2, []string{"Authorization: " + p.credentials(challenge, "REGISTER", uri, 1)}
	p.send(m)
	p.want("SIP/2.0 200")
	if _, err := n.WaitRegistered(within(t), "4930123"); err != nil {
		t.Error(err)
	}
	m.cseq, m.to, m.headers = 3, "<sip:bob@phonenet>", []string{"Authorization: " + p.credentials(challenge, "REGISTER", uri, 2)}
	p.send(m)
	p.want("SIP/2.0 403")
}

func TestANonceGrowsOldAndItsCountOnlyRises(t *testing.T) {
	t.Parallel()
	n := start(t, Config{NonceLifetime: 200 * time.Millisecond})
	p := newPhone(t, n)
	uri := "sip:phonenet"
	m := message{method: "REGISTER", uri: uri, to: "<sip:alice@phonenet>", cseq: 1}
	p.send(m)
	challenge := p.want("SIP/2.0 401").get("www-authenticate")
	if field(challenge, "stale") != "" {
		t.Errorf("first challenge is stale: %s", challenge)
	}
	try := func(cseq, nc int) reply {
		m.cseq, m.headers = cseq, []string{"Authorization: " + p.credentials(challenge, "REGISTER", uri, nc)}
		p.send(m)
		return p.read()
	}
	if r := try(2, 1); !strings.HasPrefix(r.first, "SIP/2.0 200") {
		t.Fatalf("got %q", r.first)
	}
	if r := try(3, 1); field(r.get("www-authenticate"), "stale") != "true" {
		t.Errorf("the same count again: %s", r.text)
	}
	time.Sleep(250 * time.Millisecond) // the nonce has to grow old on a real clock
	r := try(4, 2)
	if challenge = r.get("www-authenticate"); field(challenge, "stale") != "true" {
		t.Errorf("an old nonce: %s", r.text)
	}
	if r := try(5, 1); !strings.HasPrefix(r.first, "SIP/2.0 200") {
		t.Errorf("the new nonce got %q", r.first)
	}
	if c := n.Counters(); c.StaleNonces != 2 || c.WrongPasswords != 0 {
		t.Errorf("counters are %+v", c)
	}
}

func TestALeaseEndsByRequestByStarAndByTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		cfg     Config
		headers []string // of a second REGISTER, if any
	}{
		{"expires 0", Config{}, []string{"Expires: 0"}},
		{"a star", Config{}, []string{"Contact: *", "Expires: 0"}},
		{"the end of the lease", Config{Behaviour: Behaviour{GrantExpires: 100 * time.Millisecond}}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := start(t, test.cfg)
			p := newPhone(t, n)
			p.register()
			if _, err := n.WaitRegistration(within(t), func(r Registration) bool { return r.User == "alice" }); err != nil && test.headers != nil {
				t.Fatal(err)
			}
			if test.headers != nil {
				if r := p.register(test.headers...); !strings.HasPrefix(r.first, "SIP/2.0 200") || r.get("contact") != "" {
					t.Errorf("answer is\n%s", r.text)
				}
			}
			if err := n.WaitUnregistered(within(t), "alice"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADeafNetworkSaysNothingAndWakesAgain(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Behaviour: Behaviour{Deaf: true}})
	p := newPhone(t, n)
	p.send(message{method: "OPTIONS", uri: "sip:phonenet", cseq: 1})
	p.silence(100 * time.Millisecond)
	n.SetBehaviour(Behaviour{})
	p.send(message{method: "OPTIONS", uri: "sip:phonenet", cseq: 2})
	if r := p.want("SIP/2.0 200"); !strings.Contains(r.get("allow"), "INVITE") {
		t.Errorf("no Allow in\n%s", r.text)
	}
}

func TestSingleMessagesAreLost(t *testing.T) {
	t.Parallel()
	lost := 0
	n := start(t, Config{Lose: func(sent bool, text string) bool {
		if !sent && strings.HasPrefix(text, "OPTIONS") && lost < 2 {
			lost++
			return true
		}
		return false
	}})
	p := newPhone(t, n)
	text := p.request(message{method: "OPTIONS", uri: "sip:phonenet", cseq: 1})
	p.write(text)
	p.write(text)
	p.silence(50 * time.Millisecond)
	p.write(text)
	p.want("SIP/2.0 200")
}

func TestStreamsCarryCallsAndKeepAlives(t *testing.T) {
	t.Parallel()
	certificate, trust := selfSigned(t)
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			n := start(t, Config{Network: network, TLS: certificate})
			p := dialPhone(t, n, network, trust)
			if r := p.register(); !strings.HasPrefix(r.first, "SIP/2.0 200") {
				t.Fatalf("got %q", r.first)
			}
			p.write("\r\n\r\n")
			if line, err := p.stream.ReadString('\n'); err != nil || line != "\r\n" {
				t.Errorf("pong is %q, %v", line, err)
			}
			p.newCall()
			c := p.dial("echo", "0")
			p.talk(c, 0, 1, 160, []byte("over a stream"))
			if s := p.listen(); s.payload != "over a stream" {
				t.Errorf("echo is %q", s.payload)
			}
			p.bye(c)
			if r, err := n.WaitRegistered(within(t), "alice"); err != nil || r.Network != network {
				t.Errorf("registration is %+v, %v", r, err)
			}
		})
	}
}

func TestTwoNetworksShareOnePort(t *testing.T) {
	t.Parallel()
	n := start(t, Config{Network: "udp,tcp"})
	for _, network := range []string{"udp", "tcp"} {
		p := dialPhone(t, n, network, nil)
		p.send(message{method: "OPTIONS", uri: "sip:phonenet", cseq: 1})
		p.want("SIP/2.0 200")
	}
}

func TestTheNetworkAsksItsRegisteredUsers(t *testing.T) {
	t.Parallel()
	n := start(t, Config{T1: 20 * time.Millisecond})
	p := newPhone(t, n)
	p.register()
	type answer struct {
		code int
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		code, err := n.Request(t.Context(), "OPTIONS", "alice", nil)
		done <- answer{code, err}
	}()
	first := p.want("OPTIONS sip:alice@")
	if again := p.want("OPTIONS"); again.get("via") != first.get("via") {
		t.Error("the repetition is another request")
	}
	p.respond(first, "200 OK", "")
	if got := <-done; got.code != 200 || got.err != nil {
		t.Errorf("got %+v", got)
	}

	go func() {
		code, err := n.Request(t.Context(), "INVITE", "alice", []byte("v=0\r\n"))
		done <- answer{code, err}
	}()
	invite := p.read()
	for strings.HasPrefix(invite.first, "OPTIONS") {
		invite = p.read()
	}
	p.respond(invite, "480 Temporarily Unavailable", "")
	ack := p.read()
	for strings.HasPrefix(ack.first, "INVITE") {
		ack = p.read()
	}
	if !strings.HasPrefix(ack.first, "ACK") || ack.get("via") != invite.get("via") {
		t.Errorf("ACK of a refusal is\n%s", ack.text)
	}
	if got := <-done; got.code != 480 || got.err != nil {
		t.Errorf("got %+v", got)
	}

	if _, err := n.Request(t.Context(), "OPTIONS", "bob", nil); err == nil {
		t.Error("a user without a contact was asked")
	}
}

func TestNoiseIsCountedAndNothingElse(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	for _, noise := range []string{
		"\r\n\r\n", "\x00", "GET / HTTP/1.1\r\n\r\n", "INVITE sip:100@phonenet SIP/2.0\r\n\r\n",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nCSeq: 1 INVITE\r\n\r\n",
		strings.Replace(p.request(message{method: "OPTIONS", uri: "sip:phonenet", cseq: 1}), "Call-ID", "X-Call-ID", 1),
		strings.Replace(p.request(message{method: "OPTIONS", uri: "sip:phonenet", cseq: 1}), "1 OPTIONS", "1 BYE", 1),
	} {
		p.write(noise)
	}
	p.send(message{method: "ACK", uri: "sip:100@phonenet", cseq: 1})
	if err := n.WaitCounters(within(t), func(c Counters) bool {
		return c.KeepAlives == 2 && c.Malformed == 5 && c.Strays == 1
	}); err != nil {
		t.Errorf("%v: %+v", err, n.Counters())
	}
	p.send(message{method: "MESSAGE", uri: "sip:phonenet", cseq: 2})
	p.want("SIP/2.0 405")
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{
		{Network: "sctp"},
		{Network: "tls"},
		{Codecs: []string{"G729"}},
		{Ptime: 15 * time.Millisecond},
		{Bind: netip.MustParseAddrPort("192.0.2.1:0")},
	} {
		if n, err := Start(t.Context(), cfg); err == nil {
			n.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestWhatWasSeenCanBeReadAfterTheEnd(t *testing.T) {
	t.Parallel()
	n := start(t, Config{})
	p := newPhone(t, n)
	p.register()
	p.newCall()
	c := p.dial("100", "8")
	p.talk(c, 8, 1, 160, make([]byte, 160))
	p.listen()
	n.Close()
	calls := n.Calls()
	if len(calls) != 1 || calls[0].State != StateEnded || calls[0].Reason != EndClosed || calls[0].RTP.Received != 1 {
		t.Errorf("calls are %+v", calls)
	}
	if pcm, err := n.Heard(t.Context(), calls[0].ID); err != nil || len(pcm) != 160 {
		t.Errorf("recording has %d samples, %v", len(pcm), err)
	}
	if _, err := n.WaitState(t.Context(), StateEarly); err == nil {
		t.Error("a wait on a closed network succeeded")
	}
	if _, err := n.Hangup(t.Context(), calls[0].ID); err == nil {
		t.Error("a call of a closed network was hung up")
	}
}

// selfSigned makes a certificate for loopback and a client's trust in it.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
