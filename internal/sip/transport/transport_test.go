package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const soon = 10 * time.Second

// endpoint is a running transport with what it heard.
type endpoint struct {
	*Transport
	t      *testing.T
	in     chan Incoming
	broken chan error
	stop   func()
}

func start(t *testing.T, change func(*Config)) *endpoint {
	t.Helper()
	e := &endpoint{t: t, in: make(chan Incoming, 10000), broken: make(chan error, 100)}
	cfg := Config{
		Bind:    netip.MustParseAddrPort("127.0.0.1:0"),
		Receive: func(in Incoming) { e.in <- in },
		Broken:  func(_ Target, err error) { e.broken <- err },
		Logger:  slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.Transport = tr
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	e.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(e.stop)
	return e
}

func (e *endpoint) next() Incoming {
	e.t.Helper()
	select {
	case in := <-e.in:
		return in
	case err := <-e.broken:
		e.t.Fatalf("broken: %v", err)
	case <-time.After(soon):
		e.t.Fatal("nothing was received")
	}
	return Incoming{}
}

func (e *endpoint) wantBroken(want error) {
	e.t.Helper()
	select {
	case err := <-e.broken:
		if want != nil && !errors.Is(err, want) {
			e.t.Errorf("got %v, want %v", err, want)
		}
	case <-time.After(soon):
		e.t.Fatal("nothing broke")
	}
}

// listen is a TCP server that hands out its connections.
func listen(t *testing.T, cfg *tls.Config) (Target, chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := Target{Network: TCP, Addr: l.Addr().(*net.TCPAddr).AddrPort()}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
		to.Network = TLS
	}
	conns := make(chan net.Conn, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(conns)
		for c := range conns {
			c.Close()
		}
	})
	return to, conns
}

func take(t *testing.T, conns chan net.Conn) net.Conn {
	t.Helper()
	select {
	case c := <-conns:
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(soon))
		return c
	case <-time.After(soon):
		t.Fatal("nobody connected")
		return nil
	}
}

func wantBytes(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	n, err := readFull(c, buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("got %d bytes %.200q, %v, want %d bytes %.200q", n, buf[:n], err, len(want), want)
	}
}

func readFull(c net.Conn, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = c.Read(buf[n:])
		n += k
	}
	return n, err
}

func TestOneUDPSocketListensAndSends(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	a.Send(Target{Network: UDP, Addr: b.Bound()}, []byte(invite))
	in := b.next()
	if in.From != (Target{Network: UDP, Addr: a.Bound()}) || in.Local != b.Bound() {
		t.Errorf("got %+v, want from %s to %s", in, a.Bound(), b.Bound())
	}
	if in.Msg.CallID().Value() != "abc@192.0.2.1" {
		t.Errorf("got %s", in.Msg.CallID())
	}
	b.Send(in.From, []byte(ok))
	a.next()
}

func TestLargeMessagesGoOutOverUDP(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	big := strings.Replace(invite, "Contact", "X-Filler: "+strings.Repeat("x", 30000)+"\r\nContact", 1)
	a.Send(Target{Network: UDP, Addr: b.Bound()}, []byte(big))
	b.next()
	a.Send(Target{Network: UDP, Addr: b.Bound()}, make([]byte, MaxDatagram+1))
	a.wantBroken(ErrTooLarge)
}

func TestTheViaShowsTheAddressOfTheRoute(t *testing.T) {
	a := start(t, func(c *Config) { c.Bind = netip.AddrPort{} })
	got := a.Local(Target{Network: UDP, Addr: netip.MustParseAddrPort("127.0.0.1:5060")})
	if want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Bound().Port()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	b := start(t, nil)
	if got := b.Local(Target{Network: TCP, Addr: netip.MustParseAddrPort("127.0.0.1:1")}); got != b.Bound() {
		t.Errorf("got %s, want the bound address %s", got, b.Bound())
	}
}

func TestAFlowCarriesBothDirections(t *testing.T) {
	a := start(t, nil)
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	a.Send(to, []byte(invite))
	c := take(t, conns)
	wantBytes(t, c, invite+invite)
	if _, err := c.Write([]byte(ok[:50])); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(ok[50:] + invite)); err != nil {
		t.Fatal(err)
	}
	first, second := a.next(), a.next()
	if first.From != to || second.From != to {
		t.Errorf("got from %s and %s, want %s", first.From, second.From, to)
	}
	if got := a.Local(to).String(); got != c.RemoteAddr().String() {
		t.Errorf("local address %s, want that of the flow %s", got, c.RemoteAddr())
	}
	if len(conns) != 0 {
		t.Error("a second connection was opened")
	}
}

func TestABrokenFlowIsReportedAndTheNextSendOpensANewOne(t *testing.T) {
	a := start(t, nil)
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	wantBytes(t, c, invite)
	c.Close()
	a.wantBroken(nil)
	a.Send(to, []byte(invite))
	wantBytes(t, take(t, conns), invite)
}

func TestGarbageOnAStreamEndsTheFlow(t *testing.T) {
	a := start(t, nil)
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"))
	a.wantBroken(errFraming)
	if got := a.Stats().Malformed; got != 1 {
		t.Errorf("%d counted", got)
	}
}

func TestAWrongMessageInGoodFramingDoesNotEndTheFlow(t *testing.T) {
	a := start(t, nil)
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	_, _ = c.Write([]byte("OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n" + invite))
	a.next()
	if got := a.Stats().Malformed; got != 1 {
		t.Errorf("%d counted", got)
	}
}

func TestAFlowThatCannotBeOpenedIsReported(t *testing.T) {
	a := start(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := Target{Network: TCP, Addr: l.Addr().(*net.TCPAddr).AddrPort()}
	l.Close()
	a.Send(to, []byte(invite))
	a.wantBroken(nil)
	a.Send(Target{Network: "pigeon", Addr: to.Addr}, []byte(invite))
	a.wantBroken(ErrNetwork)
}

func TestAHandshakeThatHangsIsGivenUp(t *testing.T) {
	a := start(t, func(c *Config) { c.DialTimeout = 50 * time.Millisecond })
	to, conns := listen(t, nil)
	to.Network = TLS
	a.Send(to, []byte(invite))
	take(t, conns)
	a.wantBroken(context.DeadlineExceeded)
}

func TestAPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	a := start(t, func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	to, conns := listen(t, nil)
	big := bytes.Repeat([]byte("x"), 60000)
	for range 400 {
		a.Send(to, big)
	}
	take(t, conns)
	a.wantBroken(nil)
}

func TestTheNumberOfFlowsIsBounded(t *testing.T) {
	a := start(t, func(c *Config) { c.MaxFlows = 1 })
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	take(t, conns)
	other, _ := listen(t, nil)
	a.Send(other, []byte(invite))
	a.wantBroken(ErrTooManyFlows)
}

func TestWhatIsQueuedIsSentBeforeTheEnd(t *testing.T) {
	a := start(t, nil)
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	wantBytes(t, c, invite)
	for range 100 {
		a.Send(to, []byte(invite))
	}
	a.stop()
	wantBytes(t, c, strings.Repeat(invite, 100))
	a.Send(to, []byte(invite))
	a.wantBroken(ErrClosed)
}

func TestPingsKeepAFlowAliveAndFindADeadOne_RFC5626_4_4_1(t *testing.T) {
	a := start(t, func(c *Config) { c.PingInterval, c.PongTimeout = 20*time.Millisecond, 20*time.Millisecond })
	to, conns := listen(t, nil)
	a.KeepAlive(to, true)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	wantBytes(t, c, invite)
	for range 5 { // unanswered: a server that knows no pings is not dead
		wantBytes(t, c, ping)
	}
	_, _ = c.Write([]byte(pong))
	wantBytes(t, c, ping)
	a.wantBroken(ErrDead)
}

func TestNobodyIsPingedWithoutKeepAlive(t *testing.T) {
	a := start(t, func(c *Config) { c.PingInterval = 5 * time.Millisecond })
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	wantBytes(t, c, invite)
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("got %d bytes", n)
	}
	_ = c.SetReadDeadline(time.Now().Add(soon))
	a.KeepAlive(to, true)
	wantBytes(t, c, ping)
	a.KeepAlive(to, false)
}

func TestThePingOfThePeerIsAnswered_RFC5626_3_5_1(t *testing.T) {
	a := start(t, nil)
	to, conns := listen(t, nil)
	a.Send(to, []byte(invite))
	c := take(t, conns)
	wantBytes(t, c, invite)
	_, _ = c.Write([]byte(ping))
	wantBytes(t, c, pong)
}

func TestKeepAlivesGoOutOverUDP(t *testing.T) {
	a := start(t, func(c *Config) { c.PingInterval = 10 * time.Millisecond })
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to := Target{Network: UDP, Addr: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	a.KeepAlive(to, true)
	_ = c.SetDeadline(time.Now().Add(soon))
	buf := make([]byte, 100)
	for range 3 {
		n, _, err := c.ReadFrom(buf)
		if err != nil || string(buf[:n]) != ping {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	a.KeepAlive(to, false)
}

// certificate makes one for a name, and the pool that trusts it.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSProvesTheNameOfTheService_RFC5922_7_2(t *testing.T) {
	cert, pool := certificate(t, "sip.example.org")
	sni := make(chan string, 10)
	to, conns := listen(t, &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			sni <- h.ServerName
			return nil, nil
		},
	})
	a := start(t, func(c *Config) { c.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12} })
	serve := func() {
		c := take(t, conns)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "INVITE") {
			t.Errorf("got %q", line)
		}
		_, _ = c.Write([]byte(ok))
	}
	to.ServerName = "sip.example.org"
	a.Send(to, []byte(invite))
	serve()
	if in := a.next(); in.From != to {
		t.Errorf("got from %+v", in.From)
	}
	if got := <-sni; got != "sip.example.org" {
		t.Errorf("got SNI %q", got)
	}
	to.ServerName = "evil.example.org"
	a.Send(to, []byte(invite))
	serve()
	select {
	case err := <-a.broken:
		if _, ok := errors.AsType[x509.HostnameError](err); !ok {
			t.Errorf("got %v, want a wrong name", err)
		}
	case <-time.After(soon):
		t.Fatal("a certificate for another name was accepted")
	}
}
