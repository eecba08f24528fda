package transaction

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transport"
)

// times takes what is sent within d and returns when, relative to start.
func times(t *testing.T, w *world, start time.Time, what string, d time.Duration) []time.Duration {
	t.Helper()
	var out []time.Duration
	for _, m := range w.peer.Drain(d) {
		if !m.Is(what) {
			t.Fatalf("got %q, want %s", m.Start(), what)
		}
		out = append(out, m.At.Sub(start))
	}
	return out
}

func ms(values ...int) []time.Duration {
	out := make([]time.Duration, len(values))
	for i, v := range values {
		out[i] = time.Duration(v) * time.Millisecond
	}
	return out
}

func TestTimersAAndBRepeatAnInviteAndGiveUp_RFC3261_17_1_1_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.INVITE)
		got := times(t, w, s.msg.At, "INVITE", 100*time.Second)
		if d := cmp.Diff(ms(500, 1500, 3500, 7500, 15500, 31500), got); d != "" {
			t.Errorf("times (-want +got):\n%s", d)
		}
		if err := s.wantErr(); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		w.wantEmpty(0)
	})
}

func TestTimersEAndFRepeatOtherRequestsAndGiveUp_RFC3261_17_1_2_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.OPTIONS)
		got := times(t, w, s.msg.At, "OPTIONS", 100*time.Second)
		if d := cmp.Diff(ms(500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500), got); d != "" {
			t.Errorf("times (-want +got):\n%s", d)
		}
		if err := s.wantErr(); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
		w.wantEmpty(0)
	})
}

func TestAfterAProvisionalAnswerTimerEIsT2_RFC3261_17_1_2_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.OPTIONS)
		w.peer.Reply(s.msg, 100, "")
		s.want(100)
		got := times(t, w, s.msg.At, "OPTIONS", 100*time.Second)
		if d := cmp.Diff(ms(500, 4500, 8500, 12500, 16500, 20500, 24500, 28500), got); d != "" {
			t.Errorf("times (-want +got):\n%s", d)
		}
		if err := s.wantErr(); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v, want ErrTimeout", err)
		}
	})
}

func TestNothingIsRepeatedOnReliableNetworks_RFC3261_17_1(t *testing.T) {
	for _, method := range []sip.RequestMethod{sip.INVITE, sip.OPTIONS} {
		run(t, "tcp", func(w *world) {
			s := w.request(method)
			if err := s.wantErr(); !errors.Is(err, ErrTimeout) {
				t.Errorf("got %v, want ErrTimeout", err)
			}
			if d := time.Since(s.msg.At); d != 32*time.Second {
				t.Errorf("%s given up after %s, want 64*T1", method, d)
			}
			w.peer.None(time.Minute)
		})
	}
}

func TestAnInviteThatRingsHasNoTimeout_RFC3261_17_1_1_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.INVITE)
		w.peer.Reply(s.msg, 180, "b")
		s.want(180)
		w.peer.None(3 * time.Hour)
		s.none(time.Second)
		w.peer.Reply(s.msg, 486, "b")
		w.peer.Want("ACK")
		s.want(486)
	})
}

func TestEachRepeatedFailureGetsTheSameAckDuringTimerD_RFC3261_17_1_1_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.INVITE)
		w.peer.Reply(s.msg, 486, "b")
		ack := w.peer.Want("ACK")
		s.want(486)
		for _, h := range []string{"Via", "From", "Call-ID", "Route"} {
			if got, want := ack.Header(h), s.msg.Header(h); got != want {
				t.Errorf("%s of ack: got %q, want %q", h, got, want)
			}
		}
		if got, want := ack.Header("To"), s.msg.Header("To")+";tag=b"; got != want {
			t.Errorf("To of ack: got %q, want %q", got, want)
		}
		if got := ack.Header("CSeq"); got != "1 ACK" {
			t.Errorf("CSeq of ack: got %q", got)
		}
		for range 7 {
			time.Sleep(4 * time.Second)
			w.peer.Reply(s.msg, 486, "b")
			if again := w.peer.Want("ACK"); again.Text != ack.Text {
				t.Errorf("got another ack:\n%s\nwant:\n%s", again.Text, ack.Text)
			}
		}
		time.Sleep(5 * time.Second) // 33 s: timer D has ended
		w.peer.Reply(s.msg, 486, "b")
		w.peer.None(time.Second)
		s.none(time.Second)
		w.wantEmpty(0)
	})
}

func TestRepeatedFinalAnswersAreAbsorbedDuringTimerK_RFC3261_17_1_2_2(t *testing.T) {
	for network, left := range map[string]int{"udp": 1, "tcp": 0} {
		run(t, network, func(w *world) {
			s := w.request(sip.OPTIONS)
			for range 3 {
				w.peer.Reply(s.msg, 200, "b")
			}
			s.want(200)
			s.none(4900 * time.Millisecond)
			if c, _ := w.sizes(); c != left {
				t.Errorf("%s: %d transactions, want %d", network, c, left)
			}
			w.wantEmpty(200 * time.Millisecond)
		})
	}
}

func TestEach2xxOfAnInviteIsHandedOnDuringTimerMThenStrays_RFC6026_7_2(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		run(t, network, func(w *world) {
			s := w.request(sip.INVITE)
			for range 3 {
				w.peer.Reply(s.msg, 200, "a")
				s.want(200)
			}
			w.peer.Reply(s.msg, 200, "b")
			s.want(200)
			w.peer.Reply(s.msg, 180, "b")
			s.none(31 * time.Second)
			w.peer.Reply(s.msg, 200, "a")
			s.want(200)
			w.peer.None(2 * time.Second)
			w.peer.Reply(s.msg, 200, "c")
			if got := <-w.stray; tagOf(got.To().Params) != "c" {
				t.Errorf("got %s, want the answer of c", got.To())
			}
			s.none(time.Second)
			w.wantEmpty(0)
		})
	}
}

func TestA2xxAfterAFailureStrays(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.INVITE)
		w.peer.Reply(s.msg, 486, "a")
		w.peer.Want("ACK")
		s.want(486)
		w.peer.Reply(s.msg, 200, "b")
		if got := <-w.stray; tagOf(got.To().Params) != "b" {
			t.Errorf("got %s", got.To())
		}
		w.peer.None(time.Second)
	})
}

func TestAnswersThatDoNotFitAreIgnored_RFC3261_17_1_3_and_8_1_3_3(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.OPTIONS)
		good := siptest.Answer(s.msg, 200, "b")
		elsewhere := w.peer.Target
		elsewhere.Addr = netip.MustParseAddrPort("192.0.2.66:5060")
		overTCP := w.peer.Target
		overTCP.Network = "tcp"
		branch := s.msg.Param("Via", "branch")
		cases := []struct {
			name string
			from transport.Target
			text string
		}{
			{"from another address", elsewhere, good},
			{"over another network", overTCP, good},
			{"with another branch", w.peer.Target, strings.Replace(good, branch, branch+"x", 1)},
			{"with another sent-by", w.peer.Target, strings.Replace(good, "198.51.100.7:5070", "198.51.100.7:5071", 1)},
			{"with two Vias", w.peer.Target, strings.Replace(good, "From:", "Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bKx\r\nFrom:", 1)},
			{"to another method", w.peer.Target, strings.Replace(good, "1 OPTIONS", "1 BYE", 1)},
			{"to another number", w.peer.Target, strings.Replace(good, "1 OPTIONS", "2 OPTIONS", 1)},
			{"to another call", w.peer.Target, strings.Replace(good, s.msg.Header("Call-ID"), "foo", 1)},
			{"to another tag", w.peer.Target, strings.Replace(good, s.msg.Param("From", "tag"), "foo", 1)},
		}
		for i, tt := range cases {
			w.peer.SayFrom(tt.from, tt.text)
			s.none(time.Millisecond)
			if got := w.Stats().Stray; got != uint64(i+1) {
				t.Errorf("%s: %d strays counted, want %d", tt.name, got, i+1)
			}
		}
		other := w.peer.Target
		other.Addr = netip.AddrPortFrom(other.Addr.Addr(), 40000)
		w.peer.SayFrom(other, good) // another port of the same host is fine
		s.want(200)
	})
}

func TestABrokenTargetEndsWhatWaitsForIt_RFC3261_17_1_4(t *testing.T) {
	run(t, "tcp", func(w *world) {
		waiting, ringing, done := w.request(sip.OPTIONS), w.request(sip.INVITE), w.request(sip.INVITE)
		w.peer.Reply(ringing.msg, 180, "b")
		ringing.want(180)
		w.peer.Reply(done.msg, 200, "b")
		done.want(200)
		other := w.peer.Target
		other.Addr = netip.MustParseAddrPort("192.0.2.66:5060")
		w.Broken(other, transport.ErrDead)
		waiting.none(time.Second)
		w.Broken(w.peer.Target, transport.ErrDead)
		for _, s := range []*sent{waiting, ringing} {
			if err := s.wantErr(); !errors.Is(err, ErrTransport) || !errors.Is(err, transport.ErrDead) {
				t.Errorf("got %v, want ErrTransport because of ErrDead", err)
			}
		}
		done.none(time.Minute)
	})
}

func TestPhonesStopRingingWhenTheConnectionBreaks_RFC3261_9_1(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		run(t, "tcp", func(w *world) {
			s := w.request(sip.INVITE)
			w.peer.Reply(s.msg, 180, "b")
			s.want(180)
			if cancelled {
				w.loop(func() { s.Cancel() })
				w.peer.Want("CANCEL")
			}
			w.Broken(w.peer.Target, transport.ErrDead)
			if err := s.wantErr(); !errors.Is(err, ErrTransport) {
				t.Errorf("got %v, want ErrTransport", err)
			}
			cancel := w.peer.Want("CANCEL")
			if got, want := cancel.Param("Via", "branch"), s.msg.Param("Via", "branch"); got != want {
				t.Errorf("branch of the cancel is %q, want %q", got, want)
			}
			w.peer.Reply(cancel, 200, "b")
			// The answer to the INVITE finds nobody, and needs nobody.
			w.peer.Reply(s.msg, 487, "b")
			s.none(time.Minute)
			w.peer.None(time.Minute)
			w.wantEmpty(time.Minute)
		})
	}
}

func TestWhatEndsACallIsRepeatedThoughDatagramsCannotBeSent_RFC3261_17_1_2_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		bye, options := w.request(sip.BYE), w.request(sip.OPTIONS)
		w.Broken(w.peer.Target, syscall.ECONNREFUSED)
		if err := options.wantErr(); !errors.Is(err, ErrTransport) {
			t.Errorf("got %v, want ErrTransport", err)
		}
		again := w.peer.Want("BYE")
		w.peer.Reply(again, 200, "")
		bye.want(200)
	})
}

func TestADatagramThatCannotBeSentDoesNotEndACallThatRings(t *testing.T) {
	run(t, "udp", func(w *world) {
		fresh, ringing := w.request(sip.INVITE), w.request(sip.INVITE)
		w.peer.Reply(ringing.msg, 180, "b")
		ringing.want(180)
		w.Broken(w.peer.Target, syscall.ENETUNREACH)
		if err := fresh.wantErr(); !errors.Is(err, ErrTransport) {
			t.Errorf("got %v, want ErrTransport", err)
		}
		ringing.none(time.Minute)
	})
}

func TestRequestNeverCallsBackAtOnce(t *testing.T) {
	run(t, "udp", func(w *world) {
		results := make(chan Result, 1)
		w.loop(func() {
			w.Request(newRequest(sip.OPTIONS), w.peer.Target, func(Result) {})
			w.Request(newRequest(sip.OPTIONS), w.peer.Target, func(r Result) { results <- r })
			if len(results) != 0 {
				t.Error("called back from within Request")
			}
		})
		if r := <-results; !errors.Is(r.Err, ErrTooMany) {
			t.Errorf("got %v, want ErrTooMany", r.Err)
		}
	}, func(c *Config) { c.MaxTransactions = 1 })
}

func TestAPanicInAnAnswerEndsItsTransactionOnly(t *testing.T) {
	run(t, "udp", func(w *world) {
		results := make(chan Result, 10)
		w.loop(func() {
			w.Request(newRequest(sip.OPTIONS), w.peer.Target, func(r Result) {
				results <- r
				if r.Err == nil {
					panic("a mistake")
				}
			})
		})
		bad := w.peer.Want("OPTIONS")
		w.peer.Reply(bad, 100, "")
		<-results
		if r := <-results; !errors.Is(r.Err, ErrInternal) {
			t.Errorf("got %v, want ErrInternal", r.Err)
		}
		if got := w.Stats().Panics; got != 1 {
			t.Errorf("%d panics counted, want 1", got)
		}
		s := w.request(sip.OPTIONS)
		w.peer.Reply(s.msg, 200, "b")
		s.want(200)
		w.wantEmpty(time.Minute)
	})
}

func TestCancelWaitsForAProvisionalAnswer_RFC3261_9_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.INVITE)
		w.loop(func() { s.Cancel(sip.NewHeader("Reason", "SIP;cause=600")); s.Cancel() })
		if n := len(times(t, w, s.msg.At, "INVITE", 10*time.Second)); n != 4 {
			t.Errorf("%d invites, want 4", n)
		}
		w.peer.Reply(s.msg, 180, "b")
		cancel := w.peer.Want("CANCEL")
		if cancel.Header("Via") != s.msg.Header("Via") || cancel.Header("Reason") != "SIP;cause=600" {
			t.Errorf("got\n%s", cancel.Text)
		}
		w.peer.Reply(s.msg, 183, "b") // no second one
		w.peer.Reply(cancel, 200, "b")
		s.want(180)
		s.want(183)
		w.peer.Reply(s.msg, 487, "b")
		w.peer.Want("ACK")
		s.want(487)
		w.peer.None(time.Minute)
		w.wantEmpty(0)
	})
}

func TestACancelledInviteIsGivenUpAfter64T1_RFC3261_9_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.INVITE)
		w.peer.Reply(s.msg, 180, "b")
		s.want(180)
		w.loop(func() { s.Cancel() })
		start := time.Now()
		w.peer.Reply(w.peer.Want("CANCEL"), 200, "b")
		if err := s.wantErr(); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != 32*time.Second {
			t.Errorf("given up after %s, want 64*T1", d)
		}
	})
}

func TestOthersThanPendingInvitesCannotBeCancelled_RFC3261_9_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		s := w.request(sip.OPTIONS)
		w.peer.Reply(s.msg, 100, "")
		s.want(100)
		w.loop(func() { s.Cancel() })
		w.peer.Reply(s.msg, 200, "b")
		done := w.request(sip.INVITE)
		w.peer.Reply(done.msg, 200, "b")
		done.want(200)
		w.loop(func() { done.Cancel() })
		w.peer.None(time.Minute)
	})
}

func TestEveryRequestIsComplete_RFC3261_8_1_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		a, b := w.request(sip.OPTIONS), w.request(sip.OPTIONS)
		if got := a.msg.Header("Via"); !strings.HasPrefix(got, "SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK") || !strings.HasSuffix(got, ";rport") {
			t.Errorf("got Via %q", got)
		}
		if a.msg.Param("Via", "branch") == b.msg.Param("Via", "branch") {
			t.Error("two requests have one branch")
		}
		for h, want := range map[string]string{"Max-Forwards": "70", "Content-Length": "0"} {
			if got := a.msg.Header(h); got != want {
				t.Errorf("%s: got %q, want %q", h, got, want)
			}
		}
	})
}
