package registration

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/sip/account"
)

func TestRegisterAnswersTheChallengeAndLearnsItsAddress(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		first := b.Want("REGISTER")
		if _, err := b.reg.Path(); !errors.Is(err, ErrNoPath) {
			t.Errorf("path before the registration: %v, want %v", err, ErrNoPath)
		}
		b.challenge(first, "")
		second := b.Want("REGISTER")
		b.verify(second)
		b.accept(second, 600)
		b.wantState(StateRegistered)

		// RFC 3261 section 10.2: no user part in the Request-URI, Call-ID kept, CSeq rising.
		for _, m := range []message{first, second} {
			if m.RequestURI() != "sip:sip.example.org" {
				t.Errorf("request URI %s, want one without user part", m.RequestURI())
			}
		}
		if first.Header("Call-ID") != second.Header("Call-ID") || second.CSeq() != first.CSeq()+1 {
			t.Errorf("call-id %s cseq %d, then %s %d", first.Header("Call-ID"), first.CSeq(), second.Header("Call-ID"), second.CSeq())
		}
		if first.Header("Authorization") != "" || first.Header("Expires") != "600" || first.Header("User-Agent") != "phonesocket-test" {
			t.Errorf("first REGISTER:\n%s", first.Text)
		}
		// The 401 told where we are: the binding is made for that address at once.
		if got := contacts(second)[0]; !strings.HasPrefix(got, "<sip:alice@203.0.113.9:1024;rinstance=") {
			t.Errorf("contact %s, want the address that the registrar saw", got)
		}
		p, err := b.reg.Path()
		if err != nil {
			t.Fatal(err)
		}
		if p.Target != b.Target || p.Contact.Host != "203.0.113.9" || p.Contact.Port != 1024 || len(p.Route) != 0 {
			t.Errorf("path %+v", p)
		}
		if b.kept() != "udp:192.0.2.1:5060" {
			t.Errorf("kept alive: %q", b.kept())
		}
		s := b.reg.Status()
		if s.Code != 200 || s.Cause != "" || s.Attempts != 0 || time.Until(s.Expires) != 600*time.Second || s.Server != "udp:192.0.2.1:5060" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestAnOutboundProxyIsARouteAndGetsEverything(t *testing.T) {
	acc := account.Account{User: "+4930", Password: "secret", Server: "example.org", Proxy: "proxy.example.net", Register: true}
	dns := &zone{addrs: map[string]string{"proxy.example.net": "192.0.2.1"}}
	inBubble(t, options{account: acc, dns: dns}, func(b *bench) {
		m := b.register(600)
		if m.RequestURI() != "sip:example.org" || m.Header("Route") != "<sip:proxy.example.net;lr>" || m.To != b.Target {
			t.Errorf("to %s:\n%s", m.To, m.Text)
		}
		p, err := b.reg.Path()
		if err != nil || len(p.Route) != 1 || p.Route[0].String() != "sip:proxy.example.net;lr" {
			t.Errorf("path %+v, %v", p, err)
		}
	})
}

// TestTheBestOfAllChallengesIsAnswered is RFC 8760 section 2.4: no downgrade, what is unknown is skipped.
func TestTheBestOfAllChallengesIsAnswered(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 401,
			`WWW-Authenticate: Digest realm="example.org", nonce="a", qop="auth", algorithm=AKAv1-MD5`,
			`WWW-Authenticate: Digest realm="example.org", nonce="m", qop="auth", algorithm=MD5`,
			`WWW-Authenticate: Digest realm="example.org", nonce="s", qop="auth", algorithm=SHA-256`)
		m := b.Want("REGISTER")
		b.verify(m)
		if !strings.Contains(m.Header("Authorization"), "SHA-256") {
			t.Errorf("authorization %s, want SHA-256", m.Header("Authorization"))
		}
		b.accept(m, 600)
		b.wantState(StateRegistered)
	})
}

func TestA407IsAnsweredToo(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 407, `Proxy-Authenticate: Digest realm="edge.example.org", nonce="p", qop="auth"`)
		m := b.Want("REGISTER")
		b.verify(m)
		b.challenge(m, "")
		m = b.Want("REGISTER")
		if m.Header("Proxy-Authorization") == "" || m.Header("Authorization") == "" {
			t.Errorf("want credentials for both hops:\n%s", m.Text)
		}
		b.accept(m, 600)
		b.wantState(StateRegistered)
	})
}

// TestStaleNonceIsRetriedWithTheNewOne is RFC 7616 section 3.3: stale=true is retried with the new nonce.
func TestStaleNonceIsRetriedWithTheNewOne(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.challenge(b.Want("REGISTER"), "")
		b.challenge(b.Want("REGISTER"), ", stale=true")
		m := b.Want("REGISTER")
		if nonceOf(m) != "n2/00000001" {
			t.Errorf("nonce %s, want the new one", nonceOf(m))
		}
		b.verify(m)
		b.accept(m, 600)
		b.wantState(StateRegistered)
	})
}

func TestAnEndlessStaleNonceIsGivenUp(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		for range maxAnswers + 1 {
			b.challenge(b.Want("REGISTER"), ", stale=true")
		}
		b.wantFailure(CauseChallenge, 401)
		b.None(time.Minute)
	})
}

// TestAWrongPasswordIsTriedOncePerCycleAndNotOftenerThanEveryMinute holds that one authenticated try per cycle, then at least 60 s, for ever.
func TestAWrongPasswordIsTriedOncePerCycleAndNotOftenerThanEveryMinute(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		var tries []time.Time
		for range 8 {
			first := b.next(15 * time.Minute)
			if first.Header("Authorization") != "" {
				t.Fatal("refused credentials were sent again unasked")
			}
			tries = append(tries, first.At)
			b.challenge(first, "")
			b.challenge(b.Want("REGISTER"), "")
			s := b.wantFailure(CauseCredentials, 401)
			if !strings.Contains(s.Advice, "SIP_PASSWORD") {
				t.Errorf("advice %q", s.Advice)
			}
			if _, err := b.reg.Path(); !errors.Is(err, ErrNoPath) || !strings.Contains(err.Error(), "wrong password") {
				t.Errorf("path error %v", err)
			}
			b.None(59 * time.Second)
		}
		for i := 1; i < len(tries); i++ {
			if gap := tries[i].Sub(tries[i-1]); gap < time.Minute || gap > 13*time.Minute {
				t.Errorf("pause %d is %s", i, gap)
			}
		}
		var warned int
		for _, line := range b.lines() {
			if strings.Contains(line, "cause=credentials") {
				warned++
			}
			if strings.Contains(line, "secret") {
				t.Errorf("the password is in the log: %s", line)
			}
		}
		if warned != 1 {
			t.Errorf("%d log lines about the password, want one:\n%s", warned, strings.Join(b.lines(), "\n"))
		}
		// The password is corrected at the provider.
		b.challenge(b.next(15*time.Minute), "")
		b.accept(b.Want("REGISTER"), 600)
		b.wantState(StateRegistered)
	})
}

func TestAChallengeThatCannotBeAnsweredIsNamed(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 401, `WWW-Authenticate: Digest realm="example.org", nonce="a", qop="auth", algorithm=AKAv1-MD5`)
		if s := b.wantFailure(CauseChallenge, 401); !strings.Contains(s.Reason, "AKAv1-MD5") {
			t.Errorf("reason %q", s.Reason)
		}
		b.None(2 * time.Minute)
	})
}

// TestA423IsObeyed is RFC 3261 section 10.2.8.
func TestARealmThatIsNotNamedIsExplained(t *testing.T) {
	acc := account.Account{User: "alice", AuthUser: "al", Password: password, Server: "sip.example.org", Register: true, Realms: []string{"elsewhere.example"}}
	inBubble(t, options{account: acc}, func(b *bench) {
		b.challenge(b.Want("REGISTER"), "")
		if s := b.wantFailure(CauseChallenge, 401); !strings.Contains(s.Advice, "SIP_REALMS") || !strings.Contains(s.Reason, "example.org") {
			t.Errorf("reason %q, advice %q, want both realms and the setting", s.Reason, s.Advice)
		}
		b.None(time.Minute)
	})
}

func TestA423IsObeyed(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.challenge(b.Want("REGISTER"), "")
		b.reply(b.Want("REGISTER"), 423, "Min-Expires: 1800")
		m := b.Want("REGISTER")
		b.verify(m)
		if m.Header("Expires") != "1800" || !strings.HasSuffix(contacts(m)[0], ";expires=1800") || nonceOf(m) != "n1/00000002" {
			t.Errorf("REGISTER after 423:\n%s", m.Text)
		}
		b.accept(m, 1800)
		b.wantState(StateRegistered)
		if m := b.next(time.Hour); m.Header("Expires") != "1800" {
			t.Errorf("the refresh asks for %s s again, want 1800", m.Header("Expires"))
		}
	})
}

func TestA423WithoutMinExpiresIsExplained(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 423)
		if s := b.wantFailure(CauseInterval, 423); !strings.Contains(s.Advice, "SIP_EXPIRES") {
			t.Errorf("advice %q", s.Advice)
		}
		b.None(2 * time.Minute)
	})
}

// TestRetryAfterIsNotUndercut is RFC 3261 section 20.33.
func TestRetryAfterIsNotUndercut(t *testing.T) {
	for _, code := range []int{500, 503} {
		inBubble(t, options{}, func(b *bench) {
			b.reply(b.Want("REGISTER"), code, "Retry-After: 120;duration=3600")
			b.wantFailure(CauseUnavailable, code)
			b.None(120*time.Second - time.Millisecond)
			b.next(13 * time.Second)
		})
	}
}

func TestWithoutRetryAfterTheBackOffGrowsWithJitterToHalfAMinute(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		var gaps []time.Duration
		last := time.Now()
		for range 12 {
			m := b.next(time.Minute)
			gaps = append(gaps, m.At.Sub(last))
			last = m.At
			b.reply(m, 500)
		}
		first, lasts := gaps[1], gaps[6:]
		if first < 2*time.Second || first > 5*time.Second {
			t.Errorf("first pause %s", first)
		}
		same := true
		for _, g := range lasts {
			if g < 15*time.Second || g > 31*time.Second {
				t.Errorf("later pause %s, want 15 to 30 s", g)
			}
			same = same && g == lasts[0]
		}
		if same {
			t.Errorf("all pauses are equal: %v", lasts)
		}
	})
}

func TestAnUnknownUserIsTriedSlowly(t *testing.T) {
	for _, code := range []int{404, 604} {
		inBubble(t, options{}, func(b *bench) {
			b.reply(b.Want("REGISTER"), code)
			if s := b.wantFailure(CauseUnknownUser, code); !strings.Contains(s.Advice, "SIP_USER") {
				t.Errorf("advice %q", s.Advice)
			}
			b.None(2*time.Minute - time.Second)
			b.next(time.Minute)
		})
	}
}

func TestA403IsTriedSlowlyAndQuoted(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.Say(strings.Replace(siptestAnswer(b.Want("REGISTER"), 403), "403 Because", "403 Contact User und Anrufernummer verschieden", 1))
		if s := b.wantFailure(CauseForbidden, 403); !strings.Contains(s.Reason, "Contact User und Anrufernummer verschieden") {
			t.Errorf("reason %q", s.Reason)
		}
		b.None(59 * time.Second)
	})
}

func TestARedirectionIsNotFollowed(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 302, "Contact: <sip:elsewhere.example:5080>")
		if s := b.wantFailure(CauseRedirected, 302); !strings.Contains(s.Advice, "elsewhere.example:5080") {
			t.Errorf("advice %q", s.Advice)
		}
		b.None(time.Minute)
	})
}

// TestAShorterLeaseIsObeyedAndRefreshedInTimeWithJitter is RFC 3261 section 10.2.4: the registrar decides how long the lease is.
func TestAShorterLeaseIsObeyedAndRefreshedInTimeWithJitter(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		last := b.register(60)
		at := time.Now()
		gaps := map[time.Duration]bool{}
		for i := range 20 {
			m := b.next(60 * time.Second)
			gap := m.At.Sub(at)
			if gap < 30*time.Second || gap > 45*time.Second {
				t.Errorf("refreshed after %s of 60 s", gap)
			}
			gaps[gap] = true
			if m.Header("Call-ID") != last.Header("Call-ID") || m.CSeq() != last.CSeq()+1 || m.Header("Expires") != "600" {
				t.Errorf("refresh after cseq %d:\n%s", last.CSeq(), m.Text)
			}
			// The nonce is used again, counted up: no challenge is needed.
			b.verify(m)
			if want := []string{"n1/00000002", "n1/00000003"}; i < 2 && nonceOf(m) != want[i] {
				t.Errorf("nonce %s, want %s", nonceOf(m), want[i])
			}
			b.accept(m, 60)
			synctest.Wait()
			last, at = m, time.Now()
		}
		if len(gaps) < 10 {
			t.Errorf("only %d different intervals in 20 refreshes: no jitter", len(gaps))
		}
		if lines := b.lines(); len(lines) != 2 {
			t.Errorf("log lines, want registering and registered only:\n%s", strings.Join(lines, "\n"))
		}
	})
}

func TestANonceThatHasRunOutAtTheRefreshIsReplaced(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(60)
		m := b.next(time.Minute)
		b.challenge(m, "") // without stale=true, as some do
		m = b.Want("REGISTER")
		b.verify(m)
		if nonceOf(m) != "n2/00000001" {
			t.Errorf("nonce %s, want the new one", nonceOf(m))
		}
		b.accept(m, 60)
		b.wantState(StateRegistered)
	})
}

func TestTheLeaseMayStandInTheExpiresHeader(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		m := b.Want("REGISTER")
		b.reply(m, 200, "Contact: <"+uriOf(contacts(m)[0])+">", "Expires: 90")
		synctest.Wait()
		m = b.Want("REGISTER") // the address that was seen is another one
		b.reply(m, 200, "Contact: <"+uriOf(contacts(m)[0])+">", "Expires: 90")
		b.wantState(StateRegistered)
		if d := time.Until(b.reg.Status().Expires); d != 90*time.Second {
			t.Errorf("lease %s, want 90 s", d)
		}
	})
}

// TestOurOwnBindingIsFoundAmongSeveral is RFC 3261 section 10.2.4: the 200 lists the bindings of all phones.
func TestOurOwnBindingIsFoundAmongSeveral(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.challenge(b.Want("REGISTER"), "")
		b.accept(b.Want("REGISTER"), 77, `"Kitchen, left" <sip:alice@198.51.100.200:5060>;expires=3000`, "<sip:alice@203.0.113.9:2048;rinstance=0000>;expires=2000, <sip:bob@203.0.113.9:1024>;expires=5")
		b.wantState(StateRegistered)
		if d := time.Until(b.reg.Status().Expires); d != 77*time.Second {
			t.Errorf("lease %s, want 77 s", d)
		}
	})
}

func TestA200WithoutOurContactIsNoRegistration(t *testing.T) {
	for name, contact := range map[string]string{
		"none":              "X-Nothing: here",
		"another phone":     "Contact: <sip:alice@198.51.100.200:5060>;expires=600",
		"another user":      "Contact: <sip:bob@203.0.113.9:1024>;expires=600",
		"ours with no time": "Contact: <sip:alice@203.0.113.9:1024>;expires=0",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{}, func(b *bench) {
				b.challenge(b.Want("REGISTER"), "")
				b.reply(b.Want("REGISTER"), 200, contact)
				b.wantFailure(CauseNoBinding, 200)
				if _, err := b.reg.Path(); err == nil {
					t.Error("there is a path without a registration")
				}
				b.None(time.Minute)
			})
		})
	}
}

func TestRegistrarsThatRewriteTheContactAreTolerated(t *testing.T) {
	mark := func(m message) string {
		_, mark, _ := strings.Cut(uriOf(contacts(m)[0]), ";rinstance=")
		return mark
	}
	for name, contact := range map[string]func(m message) string{
		"other host, parameters kept":   func(m message) string { return "<sip:alice@10.1.1.1:9999;RINSTANCE=" + mark(m) + ">;Expires=50" },
		"parameters dropped, host kept": func(message) string { return "<sip:alice@203.0.113.9:1024>;expires=50" },
		"our private address again":     func(message) string { return "<sip:alice@198.51.100.7:5070>;expires=50" },
		"user escaped, time in quotes":  func(message) string { return `<sip:%61lice@203.0.113.9:1024>;expires="50"` },
		"without brackets":              func(message) string { return "sip:alice@203.0.113.9:1024;expires=50" },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{}, func(b *bench) {
				b.challenge(b.Want("REGISTER"), "")
				m := b.Want("REGISTER")
				b.reply(m, 200, "Contact: "+contact(m))
				b.wantState(StateRegistered)
				if d := time.Until(b.reg.Status().Expires); d != 50*time.Second {
					t.Errorf("lease %s, want 50 s", d)
				}
			})
		})
	}
}

// TestAChangedAddressMakesANewContactAndRemovesTheOldOne holds that a changed received/rport makes a new Contact, the old binding is removed (RFC 3261 section 10.2.2).
func TestAChangedAddressMakesANewContactAndRemovesTheOldOne(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		old := contacts(b.register(60))[0]
		b.seen = "received=203.0.113.77;rport=4444"
		refresh := b.next(time.Minute)
		b.accept(refresh, 60)
		m := b.Want("REGISTER")
		b.verify(m)
		got := contacts(m)
		if len(got) != 2 || !strings.HasPrefix(got[0], "<sip:alice@203.0.113.77:4444;") || got[1] != strings.TrimSuffix(old, "600")+"0" {
			t.Errorf("contacts %q, want the new one and %q removed", got, old)
		}
		b.accept(m, 60)
		b.wantState(StateRegistered)
		if p, err := b.reg.Path(); err != nil || p.Contact.Host != "203.0.113.77" || p.Contact.Port != 4444 {
			t.Errorf("path %+v, %v", p, err)
		}
		if m := b.next(time.Minute); len(contacts(m)) != 1 {
			t.Errorf("contacts of the refresh after: %q", contacts(m))
		}
	})
}

func TestARegistrarThatTakesOneContactOnlyGetsOne(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(60)
		b.seen = "received=203.0.113.77;rport=4444"
		b.accept(b.next(time.Minute), 60)
		b.reply(b.Want("REGISTER"), 400)
		m := b.Want("REGISTER")
		if len(contacts(m)) != 1 || !strings.Contains(contacts(m)[0], "203.0.113.77:4444") {
			t.Errorf("contacts %q, want the new one only", contacts(m))
		}
		b.verify(m)
		b.accept(m, 60)
		b.wantState(StateRegistered)
	})
}

func TestAnAddressThatChangesWithEachPacketDoesNotKeepUsBusy(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.challenge(b.Want("REGISTER"), "")
		for i := range maxMoves + 1 {
			b.seen = "received=203.0.113.9;rport=" + []string{"2000", "2001", "2002", "2003"}[i]
			b.accept(b.Want("REGISTER"), 600)
		}
		b.wantState(StateRegistered)
		b.None(time.Minute)
	})
}

func TestAPublicAddressThatIsSetGoesIntoTheContact(t *testing.T) {
	acc := account.Account{User: "alice", Password: "secret", Server: "sip.example.org", Register: true, PublicIP: mustAddr("192.0.2.200"), ContactUser: "+4930"}
	inBubble(t, options{account: acc}, func(b *bench) {
		b.challenge(b.Want("REGISTER"), "")
		m := b.Want("REGISTER")
		if !strings.HasPrefix(contacts(m)[0], "<sip:+4930@192.0.2.200:1024;") {
			t.Errorf("contact %s", contacts(m)[0])
		}
		b.accept(m, 600)
		b.wantState(StateRegistered)
	})
}

// TestAnswersFromElsewhereOrWithAWrongBranchAreIgnored holds that only the registrar's own answer with our branch counts.
func TestAnswersFromElsewhereOrWithAWrongBranchAreIgnored(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		m := b.Want("REGISTER")
		elsewhere := b.Target
		elsewhere.Addr = mustAddrPort("192.0.2.66:5060")
		b.SayFrom(elsewhere, siptestAnswer(m, 403))
		b.Say(strings.Replace(siptestAnswer(m, 403), "branch=", "branch=z9hG4bKother", 1))
		synctest.Wait()
		b.wantState(StateRegistering)
		if m := b.next(time.Second); !m.Is("REGISTER") {
			t.Errorf("got %s, want the retransmission", m.Start())
		}
	})
}

func TestStopRemovesTheBinding(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		last := b.register(600)
		b.stop()
		m := b.Want("REGISTER")
		b.verify(m)
		if m.Header("Expires") != "0" || !strings.HasSuffix(contacts(m)[0], ";expires=0") || uriOf(contacts(m)[0]) != uriOf(contacts(last)[0]) || m.CSeq() != last.CSeq()+1 {
			t.Errorf("un-REGISTER:\n%s", m.Text)
		}
		b.reply(m, 200)
		b.wantState(StateUnregistered)
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		b.done <- nil
		if b.kept() != "" {
			t.Errorf("still kept alive: %s", b.kept())
		}
		b.None(time.Hour)
	})
}

func TestALateAnswerToARefreshDoesNotUndoTheStop(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(60)
		refresh := b.next(time.Minute)
		b.stop()
		last := b.Want("REGISTER")
		if last.Header("Expires") != "0" {
			t.Fatalf("un-REGISTER:\n%s", last.Text)
		}
		b.reply(last, 200)
		b.wantState(StateUnregistered)
		b.accept(refresh, 60)
		b.wantState(StateUnregistered)
		b.None(time.Hour)
		if lines := b.lines(); len(lines) != 3 {
			t.Errorf("log lines, want registering, registered, unregistered:\n%s", strings.Join(lines, "\n"))
		}
	})
}

func TestStopAnswersAChallenge(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(600)
		b.stop()
		b.challenge(b.Want("REGISTER"), ", stale=true")
		m := b.Want("REGISTER")
		b.verify(m)
		if m.Header("Expires") != "0" {
			t.Errorf("un-REGISTER:\n%s", m.Text)
		}
		b.reply(m, 200)
		b.wantState(StateUnregistered)
	})
}

func TestStopWaitsTwoSecondsAtMost(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.register(600)
		from := time.Now()
		b.stop()
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		b.done <- nil
		if d := time.Since(from); d != stopPatience {
			t.Errorf("stopped after %s, want %s", d, stopPatience)
		}
		b.wantState(StateUnregistered)
	})
}

func TestStopWithoutARegistrationIsImmediate(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		b.reply(b.Want("REGISTER"), 404)
		b.wantFailure(CauseUnknownUser, 404)
		from := time.Now()
		b.stop()
		if err := <-b.done; err != nil || time.Since(from) != 0 {
			t.Errorf("stopped after %s with %v", time.Since(from), err)
		}
		b.done <- nil
		b.None(time.Hour)
	})
}

func TestAnAccountThatDoesNotRegisterHasAPath(t *testing.T) {
	acc := account.Account{User: "alice", Server: "sip.example.org", Proxy: "edge.example.org:5070"}
	inBubble(t, options{account: acc, dns: &zone{addrs: map[string]string{"edge.example.org": "192.0.2.5"}}}, func(b *bench) {
		b.wantState(StateStatic)
		p, err := b.reg.Path()
		if err != nil || p.Target.String() != "udp:192.0.2.5:5070" || len(p.Route) != 1 || p.Contact.Host != "198.51.100.7" {
			t.Errorf("path %+v, %v", p, err)
		}
		b.None(time.Hour)
		b.wantState(StateStatic)
	})
}

func TestEveryChangeOfStateIsToldOnce(t *testing.T) {
	inBubble(t, options{}, func(b *bench) {
		for range 3 {
			b.reply(b.next(time.Minute), 500)
		}
		b.challenge(b.next(time.Minute), "")
		b.accept(b.Want("REGISTER"), 60)
		synctest.Wait()
		b.accept(b.next(time.Minute), 60)
		b.wantState(StateRegistered)
		var got []string
		for _, s := range b.changes {
			got = append(got, s.State+" "+s.Cause)
		}
		want := []string{"registering ", "failed unavailable", "registered "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if lines := b.lines(); len(lines) != len(want) {
			t.Errorf("%d log lines, want %d:\n%s", len(lines), len(want), strings.Join(lines, "\n"))
		}
	})
}

func TestAnAccountThatCannotBeUsedIsReported(t *testing.T) {
	r := New(Config{Account: account.Account{Server: "sip.example.org"}})
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "user") {
		t.Errorf("run: %v", err)
	}
	if s := r.Status(); s.State != StateFailed || s.Cause != CauseSettings {
		t.Errorf("status %+v", s)
	}
}
