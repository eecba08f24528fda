package dialog

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/siptest"
	"phonesocket/internal/sip/transport"
)

func TestACallRingsIsAnsweredAndHungUp_RFC3261_13_2(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			runOn(t, network, func(w *world) {
				c := w.ring()
				wantSame(t, "request line", c.invite.Start(), "INVITE sip:+4930123@example.org SIP/2.0")
				wantSame(t, "Contact", c.invite.Header("Contact"), "<sip:alice@203.0.113.9:1024>")
				wantSame(t, "Via", c.invite.Header("Via")[:len("SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK")],
					"SIP/2.0/"+strings.ToUpper(network)+" 198.51.100.7:5070;branch=z9hG4bK")
				wantSame(t, "body", c.invite.Body(), offer)
				w.peer.Reply(c.invite, 100, "")
				w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
				if got := wantEvent[Ringing](c); got.Code != 180 {
					t.Errorf("got %d, want 180", got.Code)
				}
				w.peer.Reply(c.invite, 183, "b", siptest.Contact("b"), siptest.SDP)
				wantEvent[Ringing](c)
				wantSame(t, "early sdp", string(wantEvent[Early](c).SDP), siptest.SDP)
				w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
				ack := w.peer.Want("ACK")
				wantSame(t, "request line of ack", ack.Start(), "ACK sip:b@192.0.2.1:5060 SIP/2.0")
				wantSame(t, "CSeq of ack", ack.Header("CSeq"), "1 ACK")
				wantSame(t, "To of ack", ack.Header("To"), c.invite.Header("To")+";tag=b")
				if ack.Param("Via", "branch") == c.invite.Param("Via", "branch") {
					t.Error("the ack of a 2xx has the branch of the invite, want its own")
				}
				wantSame(t, "answered sdp", string(wantEvent[Answered](c).SDP), siptest.SDP)

				c.d.Hangup(hangupCause())
				bye := w.peer.Want("BYE")
				wantSame(t, "CSeq of bye", bye.Header("CSeq"), "2 BYE")
				wantSame(t, "Call-ID of bye", bye.Header("Call-ID"), c.d.ID())
				w.peer.Reply(bye, 200, "")
				c.wantEnd(ReasonAPIHangup)
				w.peer.None(time.Minute)
			})
		})
	}
}

func TestTheCalleeHangsUp_RFC3261_15_1_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 77, `Reason: Q.850;cause=16;text="Normal call clearing"`))
		w.peer.Want("200")
		cause := c.wantEnd(ReasonRemoteBye)
		if cause.Q850 != 16 || cause.Text != "Normal call clearing" || cause.By != ByRemote {
			t.Errorf("got %+v", cause)
		}
		w.peer.None(time.Minute)
	})
}

func TestEachRepeated200GetsTheSameAck_RFC3261_13_2_2_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		var first string
		for i := range 4 {
			w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
			ack := w.peer.Want("ACK")
			if i == 0 {
				first = ack.Text
			}
			wantSame(t, "ack", ack.Text, first)
			time.Sleep(time.Second)
		}
		w.peer.None(time.Second)
		wantEvent[Answered](c)
		c.noEvent(time.Second)
	})
}

func TestALostInviteIsRepeatedByTimerA_RFC3261_17_1_1_2(t *testing.T) {
	run(t, func(w *world) {
		start := time.Now()
		w.dial()
		var at []time.Duration
		for range 4 {
			at = append(at, w.peer.Want("INVITE").At.Sub(start))
		}
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("invite %d after %s, want %s", i, at[i], want[i])
			}
		}
	})
}

func TestAnInviteWithoutAnyAnswerEndsWithTimerB_RFC3261_17_1_1_2(t *testing.T) {
	run(t, func(w *world) {
		start := time.Now()
		c := w.dial()
		e := wantEvent[Ended](c)
		if got := time.Since(start); got != 32*time.Second {
			t.Errorf("ended after %s, want 32 s", got)
		}
		if e.Cause.Reason != ReasonTimeout || e.Cause.Code != 408 {
			t.Errorf("got %+v", e.Cause)
		}
	})
}

func TestALostByeIsRepeatedByTimerE_RFC3261_17_1_2_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		c.d.Hangup(hangupCause())
		first := w.peer.Want("BYE")
		again := w.peer.Want("BYE")
		wantSame(t, "repeated bye", again.Text, first.Text)
		if d := again.At.Sub(first.At); d != 500*time.Millisecond {
			t.Errorf("repeated after %s, want T1", d)
		}
		w.peer.Reply(again, 200, "")
		c.wantEnd(ReasonAPIHangup)
	})
}

func TestAnUnansweredByeEndsTheCallForItsOwnerAfter4T1(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		start := time.Now()
		c.d.Hangup(hangupCause())
		wantEvent[Ended](c)
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("ended after %s, want 4*T1", d)
		}
		if n := len(w.peer.Drain(time.Minute)); n != 11 {
			t.Errorf("%d byes sent, want 11 (timer E up to timer F)", n)
		}
	})
}

func TestAByeIsSentOnceMoreOverANewConnection_RFC5626_4_4(t *testing.T) {
	runOn(t, "tcp", func(w *world) {
		c := w.talk()
		c.d.Hangup(hangupCause())
		first := w.peer.Want("BYE")
		w.layer.Broken(w.peer.Target, transport.ErrDead)
		second := w.peer.Want("BYE")
		if d := second.At.Sub(first.At); d != 500*time.Millisecond || second.CSeq() != first.CSeq()+1 {
			t.Errorf("second bye after %s with CSeq %d, want T1 and one more than %d", d, second.CSeq(), first.CSeq())
		}
		w.layer.Broken(w.peer.Target, transport.ErrDead)
		third := w.peer.Want("BYE")
		w.peer.Reply(third, 200, "")
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestAByeThatCannotBeSentIsGivenUpAfterTimerF(t *testing.T) {
	runOn(t, "tcp", func(w *world) {
		c := w.talk()
		w.peer.Lose(func(m siptest.Message) bool {
			if m.Is("BYE") {
				w.layer.Broken(w.peer.Target, transport.ErrDead)
			}
			return false
		})
		start := time.Now()
		c.d.Hangup(hangupCause())
		wantEvent[Ended](c)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := w.ua.Settle(ctx); err != nil {
			t.Errorf("settle: %v", err)
		}
		if d := time.Since(start); d > 32*time.Second {
			t.Errorf("given up after %s, want 64*T1 at most", d)
		}
		if n := len(w.peer.Drain(time.Minute)); n != 7 {
			t.Errorf("%d byes sent, want 7", n)
		}
	})
}

func TestAChallengeIsAnsweredOnce_RFC3261_22_2(t *testing.T) {
	for code, header := range map[int]string{401: "WWW-Authenticate", 407: "Proxy-Authenticate"} {
		run(t, func(w *world) {
			c := w.ring()
			w.peer.Reply(c.invite, code, "x", header+": Digest nonce1")
			ack := w.peer.Want("ACK")
			wantSame(t, "branch of ack", ack.Param("Via", "branch"), c.invite.Param("Via", "branch"))
			wantSame(t, "To of ack", ack.Header("To"), c.invite.Header("To")+";tag=x")
			second := w.peer.Want("INVITE")
			wantSame(t, "Call-ID", second.Header("Call-ID"), c.invite.Header("Call-ID"))
			wantSame(t, "From", second.Header("From"), c.invite.Header("From"))
			wantSame(t, "To", second.Header("To"), c.invite.Header("To"))
			wantSame(t, "CSeq", second.Header("CSeq"), "2 INVITE")
			if second.Param("Via", "branch") == c.invite.Param("Via", "branch") {
				t.Error("the second invite has the branch of the first")
			}
			give := strings.Replace(strings.Replace(header, "WWW-Authenticate", "Authorization", 1), "Authenticate", "Authorization", 1)
			wantSame(t, "credentials", second.Header(give), "Answer to Digest nonce1")
			w.peer.Reply(second, code, "y", header+": Digest nonce1")
			w.peer.Want("ACK")
			cause := c.wantEnd(ReasonUnauthorized)
			if cause.Code != code || !strings.Contains(cause.Text, "password is wrong") {
				t.Errorf("got %+v", cause)
			}
			w.peer.None(time.Minute)
		})
	}
}

func TestANewNonceIsAnsweredAgainAndTheAckCarriesTheCredentials_RFC3261_13_2_2_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 407, "x", "Proxy-Authenticate: Digest nonce1")
		w.peer.Want("ACK")
		second := w.peer.Want("INVITE")
		w.peer.Reply(second, 407, "x", "Proxy-Authenticate: Digest nonce2")
		w.peer.Want("ACK")
		third := w.peer.Want("INVITE")
		if got := third.Headers("Proxy-Authorization"); len(got) != 1 {
			t.Errorf("got credentials %q, want one", got)
		}
		w.peer.Reply(third, 200, "b", siptest.Contact("b"), siptest.SDP)
		ack := w.peer.Want("ACK")
		wantSame(t, "credentials of ack", ack.Header("Proxy-Authorization"), third.Header("Proxy-Authorization"))
		wantSame(t, "CSeq of ack", ack.Header("CSeq"), "3 ACK")
		wantEvent[Answered](c)
		c.d.Hangup(hangupCause())
		wantSame(t, "CSeq of bye", w.peer.Want("BYE").Header("CSeq"), "4 BYE")
	})
}

func TestChallengesForEverAreNotFollowedForEver(t *testing.T) {
	run(t, func(w *world) {
		c := w.dial()
		for i := range maxTries {
			w.peer.Reply(w.peer.Want("INVITE"), 401, "x", "WWW-Authenticate: Digest nonce"+string(rune('a'+i)))
			w.peer.Want("ACK")
		}
		c.wantEnd(ReasonUnauthorized)
		w.peer.None(time.Minute)
	})
}

func TestByeIsPatientWith100AndAnswers407_RFC3261_22_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		c.d.Hangup(hangupCause())
		bye := w.peer.Want("BYE")
		w.peer.Reply(bye, 100, "")
		w.peer.Reply(bye, 407, "", "Proxy-Authenticate: Digest nonce9")
		second := w.peer.Want("BYE")
		wantSame(t, "CSeq", second.Header("CSeq"), "3 BYE")
		wantSame(t, "credentials", second.Header("Proxy-Authorization"), "Answer to Digest nonce9")
		w.peer.Reply(second, 100, "")
		w.peer.Reply(second, 200, "")
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestByeIsChallengedOncePerNonce_RFC3261_22_2(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		c.d.Hangup(hangupCause())
		for range 2 {
			w.peer.Reply(w.peer.Want("BYE"), 401, "", "WWW-Authenticate: Digest nonce9")
		}
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestFinalAnswersBecomeReasons_RFC3261_21(t *testing.T) {
	cases := []struct {
		code   int
		header string
		want   string
	}{
		{301, "Contact: <sip:x@192.0.2.99>", ReasonRedirected},
		{302, "Contact: <sip:x@192.0.2.99>", ReasonRedirected},
		{305, "Contact: <sip:x@192.0.2.99>", ReasonRedirected},
		{380, "Subject: x", ReasonRedirected},
		{400, "Subject: x", ReasonProvider},
		{402, "Subject: x", ReasonPayment},
		{403, "Subject: x", ReasonForbidden},
		{404, "Subject: x", ReasonNotFound},
		{405, "Subject: x", ReasonProvider},
		{408, "Subject: x", ReasonTimeout},
		{410, "Subject: x", ReasonNotFound},
		{415, "Subject: x", ReasonSDP},
		{480, "Subject: x", ReasonNoAnswer},
		{480, "Reason: Q.850;cause=17", ReasonBusy},
		{480, "Reason: SIP;cause=480, Q.850 ; cause=20", ReasonUnreachable},
		{480, "Reason: Q.850;cause=many", ReasonNoAnswer},
		{482, "Subject: x", ReasonProvider},
		{484, "Subject: x", ReasonInvalidNumber},
		{486, "Reason: Q.850;cause=21", ReasonBusy},
		{487, "Subject: x", ReasonNoAnswer},
		{488, "Subject: x", ReasonSDP},
		{500, "Reason: Q.850;cause=1", ReasonNotFound},
		{500, "Subject: x", ReasonProvider},
		{503, "Retry-After: 5", ReasonUnreachable},
		{503, "Reason: Q.850;cause=21", ReasonRejected},
		{600, "Subject: x", ReasonBusy},
		{603, "Subject: x", ReasonRejected},
		{604, "Subject: x", ReasonNotFound},
		{606, "Subject: x", ReasonSDP},
		{699, "Subject: x", ReasonRejected},
	}
	for _, tt := range cases {
		run(t, func(w *world) {
			c := w.ring()
			w.peer.Reply(c.invite, tt.code, "b", tt.header)
			ack := w.peer.Want("ACK")
			wantSame(t, "branch of ack", ack.Param("Via", "branch"), c.invite.Param("Via", "branch"))
			cause := c.wantEnd(tt.want)
			if cause.Code != tt.code || cause.By != ByRemote || cause.Text != "Because" {
				t.Errorf("%d: got %+v", tt.code, cause)
			}
			// Not followed: nothing more is sent, to nobody.
			w.peer.None(time.Minute)
		})
	}
}

func TestTheCauseOfTheTelephoneNetworkIsRead_RFC3326(t *testing.T) {
	cases := []struct {
		header string
		cause  int
		text   string
	}{
		{`Q.850;cause=16;text="Terminated"`, 16, "Terminated"},
		{`SIP;cause=200, q.850 ; Cause=127`, 127, ""},
		{`SIP;cause=200`, 0, ""},
		{`Q.850`, 0, ""},
		{`Q.850;cause=0;text="x"`, 0, ""},
		{`Q.850;cause=128;text="x"`, 0, ""},
		{`Q.850;cause=;text`, 0, ""},
	}
	for _, tt := range cases {
		msg := sip.NewResponse(480, "")
		msg.AppendHeader(sip.NewHeader("Reason", tt.header))
		if cause, text := reasonHeader(msg); cause != tt.cause || text != tt.text {
			t.Errorf("%s: got %d %q, want %d %q", tt.header, cause, text, tt.cause, tt.text)
		}
	}
}
