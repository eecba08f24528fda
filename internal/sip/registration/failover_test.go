package registration

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

func mustAddr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func siptestAnswer(m message, code int) string { return siptest.Answer(m, code, "reg") }

// two is a name with two addresses, in order.
func two() *zone {
	return &zone{
		srv: map[string][]resolve.SRV{"_sip._udp.sip.example.org": {
			{Target: "a.example.org", Port: 5060, Priority: 1}, {Target: "b.example.org", Port: 5062, Priority: 2},
		}},
		addrs: map[string]string{"a.example.org": "192.0.2.1", "b.example.org": "192.0.2.2"},
	}
}

// TestASilentAddressMakesRoomForTheNext is RFC 3263 section 4.3, with less patience than timer F.
func TestASilentAddressMakesRoomForTheNext(t *testing.T) {
	inBubble(t, options{dns: two()}, func(b *bench) {
		start := time.Now()
		var second message
		for second = b.Next(); second.To.Addr.Addr() == mustAddr("192.0.2.1"); second = b.Next() {
		}
		if d := second.At.Sub(start); d != quietTime || second.To.String() != "udp:192.0.2.2:5062" {
			t.Errorf("after %s to %s, want 8 s to the second address", d, second.To)
		}
		b.challenge(second, "")
		b.accept(b.Want("REGISTER"), 60)
		b.wantState(StateRegistered)
		if p, err := b.reg.Path(); err != nil || p.Target.Addr != mustAddrPort("192.0.2.2:5062") {
			t.Errorf("path %+v, %v", p, err)
		}
		for addr, want := range map[string]bool{"192.0.2.1": true, "192.0.2.2": true, "::ffff:192.0.2.2": true, "192.0.2.3": false} {
			if got := b.reg.Trusts(mustAddr(addr)); got != want {
				t.Errorf("trusts %s: %v, want %v", addr, got, want)
			}
		}
		// What works is kept.
		if m := b.next(time.Minute); m.To.Addr != mustAddrPort("192.0.2.2:5062") {
			t.Errorf("refresh goes to %s", m.To)
		}
	})
}

// TestALoneAddressHasTheTimeOfTimerF is RFC 3261 section 17.1.2.2: there is nobody else to ask.
func TestALoneAddressHasTheTimeOfTimerF(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		start := time.Now()
		first := b.Want("REGISTER")
		m := b.Want("REGISTER")
		for ; m.CSeq() == first.CSeq(); m = b.Want("REGISTER") {
		}
		if d := m.At.Sub(start); d < 32*time.Second || d > 34*time.Second {
			t.Errorf("the next try came after %s, want 32 s and a pause", d)
		}
	})
}

func TestARegistrarThatIsStillWorkingIsNotLeft(t *testing.T) {
	inBubble(t, options{dns: two()}, func(b *bench) {
		m := b.Want("REGISTER")
		b.reply(m, 100)
		for _, again := range b.Drain(20 * time.Second) {
			if again.To != b.Target {
				t.Fatalf("went to %s although %s is working on it", again.To, b.Target)
			}
		}
		b.challenge(m, "")
		b.accept(b.Want("REGISTER"), 60)
		b.wantState(StateRegistered)
	})
}

func TestManyDeadAddressesTakeEightSecondsEach(t *testing.T) {
	dns := &zone{addrs: map[string]string{"sip.example.org": "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4"}}
	inBubble(t, options{dns: dns}, func(b *bench) {
		start := time.Now()
		m := b.Next()
		for ; m.To.Addr.Addr() != mustAddr("192.0.2.4"); m = b.Next() {
		}
		if d := m.At.Sub(start); d != 3*quietTime {
			t.Errorf("the fourth address is asked after %s, want 24 s", d)
		}
		b.challenge(m, "")
		b.accept(b.Want("REGISTER"), 60)
		b.wantState(StateRegistered)
	})
}

func TestA503GoesToTheNextAddressAtOnce(t *testing.T) {
	inBubble(t, options{dns: two()}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 503, "Retry-After: 600")
		m := b.Want("REGISTER")
		if m.To.String() != "udp:192.0.2.2:5062" || m.At != time.Now() {
			t.Errorf("to %s", m.To)
		}
		b.reply(m, 503)
		b.wantFailure(CauseUnavailable, 503)
		// Both have failed; the one that asked for ten minutes comes last.
		if m := b.next(time.Minute); m.To.String() != "udp:192.0.2.2:5062" {
			t.Errorf("next try goes to %s", m.To)
		}
	})
}

func TestARefreshThatIsNotAnsweredMovesToTheNextAddress(t *testing.T) {
	inBubble(t, options{dns: two()}, func(b *bench) {
		b.register(120)
		m := b.next(2 * time.Minute)
		for m.To == b.Target {
			m = b.Next()
		}
		b.challenge(m, "")
		b.accept(b.Want("REGISTER"), 120)
		b.wantState(StateRegistered)
		if s := b.reg.Status(); s.Server != "udp:192.0.2.2:5062" {
			t.Errorf("server %s", s.Server)
		}
	})
}

func TestTheWayStaysWhileTheLeaseRunsAndEndsWithIt(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(120)
		b.Lose(func(message) bool { return true })
		b.None(118 * time.Second) // the refresh after 60 to 84 s failed 32 s later
		b.wantFailure(CauseUnreachable, 0)
		if b.kept() != "" {
			t.Errorf("kept alive although nothing answers: %s", b.kept())
		}
		if _, err := b.reg.Path(); err != nil {
			t.Errorf("the lease still runs, but: %v", err)
		}
		b.None(3 * time.Second)
		if _, err := b.reg.Path(); !errors.Is(err, ErrNoPath) {
			t.Errorf("the lease is over, but the path's error is %v", err)
		}
	})
}

// TestADeadRegistrarFindsUsWithinFiveSecondsOfItsReturn holds that dead for ten minutes, registered again within 5 s, no storm.
func TestADeadRegistrarFindsUsWithinFiveSecondsOfItsReturn(t *testing.T) {
	for name, dead := range map[string]func(b *bench, on bool){
		"silent over udp": func(b *bench, on bool) { b.Lose(func(message) bool { return on }) },
		"refusing over tcp": func(b *bench, on bool) {
			b.breaks(func(transport.Target) error {
				if on {
					return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
				}
				return nil
			})
		},
	} {
		for _, outage := range []time.Duration{10 * time.Minute, 10*time.Minute + 1700*time.Millisecond, 10*time.Minute + 3900*time.Millisecond} {
			t.Run(fmt.Sprintf("%s for %s", name, outage), func(t *testing.T) {
				network := name[len(name)-3:]
				inBubble(t, options{network: network}, func(b *bench) {
					b.register(60)
					sent := 0
					dead(b, true)
					if network == "udp" {
						b.Lose(func(message) bool { sent++; return true })
					}
					b.None(outage)
					b.wantFailure(CauseUnreachable, 0)
					if sent > 220 {
						t.Errorf("%d packets in ten minutes: a storm", sent)
					}
					tries := b.reg.Status().Attempts
					if tries > 250 {
						t.Errorf("%d tries in ten minutes: a storm", tries)
					}
					dead(b, false)
					back := time.Now()
					b.challenge(b.Want("REGISTER"), "")
					b.accept(b.Want("REGISTER"), 60)
					b.wantState(StateRegistered)
					if d := time.Since(back); d > 5*time.Second {
						t.Errorf("registered again after %s", d)
					}
					if n := strings.Count(strings.Join(b.lines(), "\n"), "cause=unreachable"); n > 2 {
						t.Errorf("%d log lines about one outage:\n%s", n, strings.Join(b.lines(), "\n"))
					}
				})
			})
		}
	}
}

// TestADeadConnectionIsReplacedWithinTwoSeconds is RFC 5626 section 4.4.1: a dead connection is replaced within 2 s.
func TestADeadConnectionIsReplacedWithinTwoSeconds(t *testing.T) {
	for _, network := range []string{"tcp", "tls"} {
		inBubble(t, options{network: network}, func(b *bench) {
			if network == "tls" {
				b.Target = transport.Target{Network: "tls", Addr: mustAddrPort("192.0.2.1:5061"), ServerName: "sip.example.org"}
			}
			b.seen = "received=203.0.113.9;rport=40001"
			old := contacts(b.register(600))[0]
			if !strings.HasPrefix(old, "<sip:alice@203.0.113.9:40001;transport="+network+";") {
				t.Errorf("contact %s", old)
			}
			b.None(time.Minute)
			b.seen = "received=203.0.113.9;rport=40002"
			lost := time.Now()
			b.layer.Broken(b.Target, errors.New("connection reset"))
			b.reg.Broken(b.Target, errors.New("connection reset"))
			first := b.Want("REGISTER")
			if d := first.At.Sub(lost); d > 2*time.Second || first.To != b.Target {
				t.Errorf("REGISTER after %s to %s", d, first.To)
			}
			b.challenge(first, "")
			m := b.Want("REGISTER")
			got := contacts(m)
			if len(got) != 2 || !strings.Contains(got[0], "203.0.113.9:40002") || uriOf(got[1]) != uriOf(old) || !strings.HasSuffix(got[1], "expires=0") {
				t.Errorf("contacts %q, want the new one and the old one removed", got)
			}
			b.accept(m, 600)
			b.wantState(StateRegistered)
			if b.kept() != b.Target.String() {
				t.Errorf("kept alive: %q", b.kept())
			}
		})
	}
}

// TestConnectionsThatKeepBreakingAreNotOpenedInAStorm is RFC 5626 section 4.5: some servers close the connection
// when they have answered, and must not be asked once a second for ever.
func TestConnectionsThatKeepBreakingAreNotOpenedInAStorm(t *testing.T) {
	inBubble(t, options{network: "tcp"}, func(b *bench) {
		b.register(600)
		start, tries := time.Now(), 0
		for time.Since(start) < 10*time.Minute {
			b.reg.Broken(b.Target, errors.New("the peer closed the connection"))
			synctest.Wait()
			if s := b.reg.Status(); tries >= 3 && (s.Cause != CauseConnection || !strings.Contains(s.Advice, "SIP_TRANSPORT=udp")) {
				t.Fatalf("status %+v, want advice", s)
			}
			b.challenge(b.next(2*time.Minute), "")
			b.accept(b.Want("REGISTER"), 600)
			b.wantState(StateRegistered)
			tries++
		}
		if tries < 10 || tries > 25 {
			t.Errorf("%d registrations in ten minutes, want a pause that grows to a minute", tries)
		}
		// A connection that held is replaced at once again.
		for range 3 {
			b.Drain(steadyTime)
			b.reg.Broken(b.Target, errors.New("the peer closed the connection"))
			lost := time.Now()
			m := b.Want("REGISTER")
			if d := m.At.Sub(lost); d > time.Second {
				t.Errorf("REGISTER after %s", d)
			}
			b.challenge(m, "")
			b.accept(b.Want("REGISTER"), 600)
			b.wantState(StateRegistered)
		}
	})
}

func TestTheDeathOfSomebodyElsesConnectionIsNotOurs(t *testing.T) {
	inBubble(t, options{network: "tcp"}, func(b *bench) {
		b.register(600)
		other := b.Target
		other.Addr = mustAddrPort("192.0.2.9:5060")
		b.reg.Broken(other, errors.New("connection reset"))
		b.None(time.Minute)
		b.wantState(StateRegistered)
	})
}

func TestARefusedRefreshEndsTheWayAtOnce(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(600)
		b.reply(b.next(10*time.Minute), 403)
		b.wantFailure(CauseForbidden, 403)
		if _, err := b.reg.Path(); !errors.Is(err, ErrNoPath) {
			t.Errorf("path error %v, want %v", err, ErrNoPath)
		}
	})
}

// TestEachKindOfFailureHasItsOwnBackOff holds that a long outage does not make the first pause of another failure long.
func TestEachKindOfFailureHasItsOwnBackOff(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		for range 8 {
			b.reply(b.next(time.Minute), 500)
		}
		b.reply(b.next(time.Minute), 403)
		b.None(time.Minute)
		b.reply(b.next(16*time.Second), 500)
		b.next(5 * time.Second)
	})
}

// TestACertificateThatDoesNotFitIsExplained uses real handshakes: what the advice depends on is what package tls says.
func TestACertificateThatDoesNotFitIsExplained(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	broken := make(chan error, 1)
	tr, err := transport.New(transport.Config{
		Bind: mustAddrPort("127.0.0.1:0"), Receive: func(transport.Incoming) {}, Logger: slog.New(slog.DiscardHandler),
		Broken: func(_ transport.Target, err error) { broken <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- tr.Run(ctx) }()
	for name, want := range map[string]string{"example.com": "SIP_TLS_CA", "sip.example.org": "SIP_TLS_SERVER_NAME"} {
		to := transport.Target{Network: "tls", Addr: mustAddrPort(server.Listener.Addr().String()), ServerName: name}
		tr.Send(to, []byte("x"))
		f := unreachable(to, fmt.Errorf("%w: %w", transaction.ErrTransport, <-broken))
		if f.cause != CauseTLS || !strings.Contains(f.advice, want) || !strings.HasPrefix(f.reason, "TLS to "+to.Addr.String()+": x509: ") {
			t.Errorf("%s: cause %s, reason %q, advice %q", name, f.cause, f.reason, f.advice)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestANameThatDoesNotExistIsNamed(t *testing.T) {
	dns := &zone{}
	inBubble(t, options{dns: dns}, func(b *bench) {
		b.None(time.Second)
		s := b.wantFailure(CauseDNS, 0)
		if !strings.Contains(s.Reason, "sip.example.org") || !strings.Contains(s.Advice, "SIP_SERVER") {
			t.Errorf("reason %q, advice %q", s.Reason, s.Advice)
		}
		b.None(10 * time.Minute)
		dns.change(func() { dns.addrs = map[string]string{"sip.example.org": "192.0.2.1"} })
		b.challenge(b.next(31*time.Second), "")
	})
}

func TestWhenDNSFailsTheLastAddressesAreUsed(t *testing.T) {
	dns := &zone{addrs: map[string]string{"sip.example.org": "192.0.2.1"}}
	inBubble(t, options{dns: dns}, func(b *bench) {
		b.register(60)
		dns.change(func() {
			dns.fail = func() error { return &net.DNSError{Err: "server misbehaving", IsTemporary: true} }
		})
		b.Lose(func(message) bool { return true })
		b.None(5 * time.Minute)
		b.wantFailure(CauseUnreachable, 0)
		b.Lose(nil)
		b.challenge(b.Want("REGISTER"), "")
		b.accept(b.Want("REGISTER"), 60)
		b.wantState(StateRegistered)
	})
}

func TestSilenceIsToldBeforeTimerF(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.Drain(quietTime + time.Second)
		b.wantState(StateRegistering)
		s := b.reg.Status()
		if s.Cause != CauseUnreachable || !strings.Contains(s.Reason, "192.0.2.1:5060 over udp") || !strings.Contains(s.Advice, "SIP_TRANSPORT=tcp") {
			t.Errorf("status %+v", s)
		}
	})
}

func TestWhatWentWrongIsExplained(t *testing.T) {
	to := transport.Target{Network: "tls", Addr: mustAddrPort("192.0.2.1:5061"), ServerName: "sip.example.org"}
	dial := func(err error) error { return fmt.Errorf("connect to %s: %w", to, err) }
	for name, tt := range map[string]struct {
		err           error
		cause, advice string
	}{
		"a private authority":  {x509.UnknownAuthorityError{}, CauseTLS, "SIP_TLS_CA"},
		"a name not in it":     {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "sip.example.org"}, CauseTLS, "SIP_TLS_SERVER_NAME"},
		"an expired one":       {x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, CauseTLS, "clock"},
		"silence in TLS":       {fmt.Errorf("%w: %w", transport.ErrHandshake, context.DeadlineExceeded), CauseTLS, "5061"},
		"a hang-up in TLS":     {fmt.Errorf("%w: %w", transport.ErrHandshake, io.EOF), CauseTLS, "SIP_TLS_CA"},
		"a refused connection": {os.NewSyscallError("connect", syscall.ECONNREFUSED), CauseUnreachable, "port"},
		"no route":             {os.NewSyscallError("connect", syscall.ENETUNREACH), CauseUnreachable, "network"},
		"silence":              {os.ErrDeadlineExceeded, CauseUnreachable, "firewall"},
		"anything else":        {errors.New("strange"), CauseUnreachable, "firewall"},
	} {
		t.Run(name, func(t *testing.T) {
			f := unreachable(to, dial(tt.err))
			if f.cause != tt.cause || !strings.Contains(f.advice, tt.advice) || !strings.Contains(f.reason, "192.0.2.1:5061") {
				t.Errorf("cause %s, reason %q, advice %q", f.cause, f.reason, f.advice)
			}
		})
	}
}

func TestSecondsAreReadAsRegistrarsWriteThem(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"120": 2 * time.Minute, " 18000;duration=3600": 5 * time.Hour, "120 (I'm in a meeting)": 2 * time.Minute, "0": 0,
		"99999999999999999999": maxSeconds * time.Second, "4294967295": maxSeconds * time.Second,
		"": -1, "-1": -1, "soon": -1, "12x": -1,
	} {
		got, ok := seconds(in)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// TestStepsOfTheWallClockDoNoHarm holds that nothing may be decided by the wall clock. The bubble cannot step
// it, so the registration gets a clock that jumps.
func TestStepsOfTheWallClockDoNoHarm(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(60)
		for _, step := range []time.Duration{time.Hour, -time.Hour} {
			b.layer.Do(func() {
				// Round(0) drops the monotonic part, as reading a file would.
				b.reg.cfg.TimeNow = func() time.Time { return time.Now().Add(step).Round(0) }
			})
			from := time.Now()
			m := b.next(time.Minute)
			if d := m.At.Sub(from); d < 25*time.Second || d > 45*time.Second {
				t.Errorf("refreshed after %s", d)
			}
			b.accept(m, 60)
			synctest.Wait()
			b.wantState(StateRegistered)
		}
	})
}

// FuzzAnswer reads what a registrar may write into the headers that we look at.
func FuzzAnswer(f *testing.F) {
	f.Add("<sip:alice@203.0.113.9:1024;rinstance=1>;expires=60", "600", "203.0.113.9", "1024")
	f.Add(`"a, b" <sip:%61lice@[2001:db8::1]>;expires="60", <sip:bob@x>`, "60 (comment)", "[2001:db8::1]", "0")
	f.Add("*", "-1", "0.0.0.0", "70000")
	f.Add("<sip:alice@h;;=;rinstance>;=;expires", "99999999999999", "x", "x")
	f.Fuzz(func(t *testing.T, contact, expires, received, rport string) {
		text := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK1;received=" + received + ";rport=" + rport +
			"\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\nContact: " + contact +
			"\r\nExpires: " + expires + "\r\nRetry-After: " + expires + "\r\nContent-Length: 0\r\n\r\n"
		msg, err := transport.Parse([]byte(text))
		if err != nil {
			return
		}
		res, ok := msg.(*sip.Response)
		if !ok {
			return
		}
		r := New(Config{Account: account.Account{User: "alice", Server: "sip.example.org"}, Transport: &bench{local: mustAddrPort("198.51.100.7:5070")}})
		r.contact = r.wanted()
		r.learn(res)
		if r.outside.IsValid() && (r.outside.Port() == 0 || r.outside.Addr().IsUnspecified()) {
			t.Fatalf("outside %s", r.outside)
		}
		if lease, ok := r.binding(res); ok && (lease <= 0 || lease > maxSeconds*time.Second) {
			t.Fatalf("lease %s", lease)
		}
		if d := retryAfter(res); d < 0 || d > maxRetryAfter {
			t.Fatalf("retry after %s", d)
		}
		if u := r.wanted(); strings.ContainsAny(u.String(), "\r\n <>") {
			t.Fatalf("contact %q", u.String())
		}
	})
}
