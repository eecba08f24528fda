package registration

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/digest"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is what siptest reads off the wire.
type message = siptest.Message

// bench is one registration with the real transaction layer, and a registrar
// that the test plays by hand with text on the wire.
type bench struct {
	t *testing.T
	*siptest.Peer
	reg   *Registration
	layer *transaction.Layer
	seen  string // what the registrar puts into Via in place of rport
	nonce int

	mu      sync.Mutex
	logs    bytes.Buffer
	changes []Status
	keep    []string
	local   netip.AddrPort
	dead    func(transport.Target) error // for reliable transports: why a send fails
	stop    context.CancelFunc
	done    chan error
}

// zone is the DNS of the bench: addresses separated by blanks.
type zone struct {
	mu    sync.Mutex
	addrs map[string]string
	srv   map[string][]resolve.SRV
	fail  func() error
}

func (z *zone) NAPTR(context.Context, string) ([]resolve.NAPTR, error) { return nil, nil }

func (z *zone) SRV(_ context.Context, name string) ([]resolve.SRV, error) { return z.srv[name], nil }

func (z *zone) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.fail != nil {
		if err := z.fail(); err != nil {
			return nil, err
		}
	}
	var out []netip.Addr
	for a := range strings.FieldsSeq(z.addrs[name]) {
		out = append(out, netip.MustParseAddr(a))
	}
	if out == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return out, nil
}

// change alters what the zone says from now on.
func (z *zone) change(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

// options of a bench.
type options struct {
	account account.Account
	dns     *zone
	network string
}

func (o *options) setDefaults() {
	if o.account.User == "" {
		o.account = account.Account{User: "alice", AuthUser: "al", Password: password, Server: "sip.example.org", Register: true, Transport: o.network}
	}
	if o.dns == nil {
		o.dns = &zone{addrs: map[string]string{"sip.example.org": "192.0.2.1"}}
	}
	if o.network == "" {
		o.network = "udp"
	}
}

// inBubble runs a test against a bench with a virtual clock.
func inBubble(t *testing.T, o options, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.setDefaults()
		b := &bench{
			t: t, Peer: siptest.NewPeer(t, o.network), seen: "received=203.0.113.9;rport=1024",
			local: netip.MustParseAddrPort("198.51.100.7:5070"), done: make(chan error, 1),
		}
		logger := slog.New(slog.NewTextHandler(b, nil))
		b.layer = transaction.New(transaction.Config{Transport: b, Requests: func(*transaction.Server) {}, Logger: logger})
		b.Deliver = b.layer.Receive
		acc, err := o.account.Check()
		if err != nil {
			t.Fatal(err)
		}
		b.reg = New(Config{
			Account: o.account, Layer: b.layer, Transport: b, Resolver: resolve.New(resolve.Config{DNS: o.dns}),
			Digest: digest.New(digest.Credentials{Username: acc.AuthUser, Password: acc.Password, Realms: acc.Realms}), Logger: logger,
			UserAgent: "phonesocket-test", Rand: rand.New(rand.NewPCG(1, 2)),
			OnChange: func(s Status) { b.changes = append(b.changes, s) },
		})
		loop, endLoop := context.WithCancel(t.Context())
		looped := make(chan struct{})
		go func() { defer close(looped); _ = b.layer.Run(loop) }()
		ctx, cancel := context.WithCancel(t.Context())
		b.stop = cancel
		go func() { b.done <- b.reg.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-b.done; err != nil {
				t.Error(err)
			}
			endLoop()
			<-looped
			// Timers of the loop that are left over must end before the bubble does.
			time.Sleep(time.Hour)
		}()
		f(b)
	})
}

// Write takes log lines.
func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs.Write(p)
}

// lines returns the log lines of state changes.
func (b *bench) lines() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSpace(b.logs.String()), "\n")
}

// Send is the transport of the layer.
func (b *bench) Send(to transport.Target, msg []byte) {
	b.mu.Lock()
	dead := b.dead
	b.mu.Unlock()
	if dead != nil {
		if err := dead(to); err != nil {
			b.layer.Broken(to, err)
			b.reg.Broken(to, err)
			return
		}
	}
	b.Peer.Send(to, msg)
}

// breaks sets why sending fails from now on; nil: it works.
func (b *bench) breaks(f func(transport.Target) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead = f
}

// Local is our own address.
func (b *bench) Local(transport.Target) netip.AddrPort { return b.local }

// KeepAlive notes what is kept alive.
func (b *bench) KeepAlive(to transport.Target, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := to.String()
	b.keep = slices.DeleteFunc(b.keep, func(k string) bool { return k == s })
	if on {
		b.keep = append(b.keep, s)
	}
}

func (b *bench) kept() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.keep, ",")
}

// reply answers a REGISTER as a registrar behind which our NAT stands.
func (b *bench) reply(req message, code int, headers ...string) {
	b.t.Helper()
	text := siptest.Answer(req, code, "reg", headers...)
	b.SayFrom(req.To, strings.Replace(text, "received=203.0.113.9;rport=1024", b.seen, 1))
}

// challenge answers with a 401 and a new nonce.
func (b *bench) challenge(req message, extra string) {
	b.t.Helper()
	b.nonce++
	b.reply(req, 401, fmt.Sprintf(`WWW-Authenticate: Digest realm="example.org", nonce="n%d", qop="auth", algorithm=MD5%s`, b.nonce, extra))
}

// accept answers with a 200 that lists the binding as it was asked for.
func (b *bench) accept(req message, seconds int, others ...string) {
	b.t.Helper()
	lines := make([]string, 0, len(others)+1)
	for _, o := range others {
		lines = append(lines, "Contact: "+o)
	}
	b.reply(req, 200, append(lines, "Contact: <"+uriOf(contacts(req)[0])+fmt.Sprintf(">;expires=%d", seconds))...)
}

// register plays the usual beginning and returns the REGISTER that was accepted.
func (b *bench) register(seconds int) message {
	b.t.Helper()
	b.challenge(b.Want("REGISTER"), "")
	req := b.Want("REGISTER")
	b.verify(req)
	b.accept(req, seconds)
	b.wantState(StateRegistered)
	return req
}

func (b *bench) wantState(state string) {
	b.t.Helper()
	synctest.Wait()
	if got := b.reg.Status(); got.State != state {
		b.t.Fatalf("state %s (%s), want %s", got.State, got.Reason, state)
	}
}

// wantFailure checks the status after a failure and returns it.
func (b *bench) wantFailure(cause string, code int) Status {
	b.t.Helper()
	b.wantState(StateFailed)
	s := b.reg.Status()
	if s.Cause != cause || s.Code != code {
		b.t.Fatalf("failed with cause %s code %d (%s), want %s %d", s.Cause, s.Code, s.Reason, cause, code)
	}
	if s.Reason == "" || s.Advice == "" {
		b.t.Errorf("reason %q, advice %q: both must say something", s.Reason, s.Advice)
	}
	return s
}

// next waits for the next REGISTER for a time.
func (b *bench) next(d time.Duration) message {
	b.t.Helper()
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		if all := b.Drain(100 * time.Millisecond); len(all) > 0 {
			return all[0]
		}
	}
	b.t.Fatalf("nothing was sent within %s", d)
	return message{}
}

// contacts returns the Contact values of a message.
func contacts(m message) []string { return m.Headers("Contact") }

func uriOf(contact string) string {
	_, rest, _ := strings.Cut(contact, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// password is the one that the bench's registrar expects.
const password = "secret"

// verify checks the digest of a REGISTER by the formula of RFC 7616 section 3.4.1.
func (b *bench) verify(m message) {
	b.t.Helper()
	h := m.Header("Authorization") + m.Header("Proxy-Authorization")
	field := func(name string) string {
		found := regexp.MustCompile(`[ ,]` + name + `=("[^"]*"|[^", ]*)`).FindStringSubmatch(h)
		if found == nil {
			return ""
		}
		return strings.Trim(found[1], `"`)
	}
	sum := func(parts ...string) string {
		f := md5.New()
		if field("algorithm") == "SHA-256" {
			f = sha256.New()
		}
		f.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(f.Sum(nil))
	}
	want := sum(sum(field("username"), field("realm"), password), field("nonce"), field("nc"), field("cnonce"), "auth", sum("REGISTER", field("uri")))
	if field("response") != want || field("uri") != m.RequestURI() {
		b.t.Fatalf("wrong credentials %q for %s", h, m.Start())
	}
}

func nonceOf(m message) string {
	found := regexp.MustCompile(`nonce="([^"]*)".*nc=(\d+)`).FindStringSubmatch(m.Header("Authorization"))
	if found == nil {
		return ""
	}
	return found[1] + "/" + found[2]
}
