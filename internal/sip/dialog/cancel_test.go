package dialog

import (
	"testing"
	"time"

	"phonesocket/internal/sip/siptest"
)

func TestCancelWhileRingingGets487AndAck_RFC3261_9_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		wantEvent[Ringing](c)
		c.d.Hangup(hangupCause())
		cancel := w.peer.Want("CANCEL")
		for _, h := range []string{"Via", "From", "To", "Call-ID"} {
			wantSame(t, h, cancel.Header(h), c.invite.Header(h))
		}
		wantSame(t, "request-uri", cancel.RequestURI(), c.invite.RequestURI())
		wantSame(t, "CSeq", cancel.Header("CSeq"), "1 CANCEL")
		w.peer.Reply(cancel, 200, "b")
		w.peer.Reply(c.invite, 487, "b")
		w.peer.Want("ACK")
		if cause := c.wantEnd(ReasonAPIHangup); cause.Code != 487 {
			t.Errorf("got %+v, want code 487", cause)
		}
		w.peer.None(time.Minute)
	})
}

func TestCancelCarriesTheRouteOfTheInvite_RFC3261_9_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		wantSame(t, "route of invite", c.invite.Header("Route"), "<sip:192.0.2.1;lr>")
		w.peer.Reply(c.invite, 100, "")
		c.d.Hangup(hangupCause())
		cancel := w.peer.Want("CANCEL")
		wantSame(t, "route of cancel", cancel.Header("Route"), "<sip:192.0.2.1;lr>")
		w.peer.Reply(cancel, 200, "b")
		w.peer.Reply(c.invite, 487, "b")
		wantSame(t, "route of ack", w.peer.Want("ACK").Header("Route"), "<sip:192.0.2.1;lr>")
	}, viaProxy)
}

func TestCancelIsHeldUntilAProvisionalAnswer_RFC3261_9_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		c.d.Hangup(hangupCause())
		for _, m := range w.peer.Drain(3 * time.Second) {
			if !m.Is("INVITE") {
				t.Fatalf("got %q before the first provisional answer", m.Start())
			}
		}
		w.peer.Reply(c.invite, 100, "")
		w.peer.Reply(w.peer.Want("CANCEL"), 200, "b")
		w.peer.Reply(c.invite, 487, "b")
		w.peer.Want("ACK")
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestHangupBeforeAnyAnswerThenA200GetsAckAndBye(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		c.d.Hangup(hangupCause())
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestA200ThatCrossesTheCancelGetsAckAndBye_RFC3261_9_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		wantEvent[Ringing](c)
		c.d.Hangup(hangupCause())
		cancel := w.peer.Want("CANCEL")
		w.peer.Reply(cancel, 200, "b")
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		bye := w.peer.Want("BYE")
		wantSame(t, "CSeq", bye.Header("CSeq"), "2 BYE")
		w.peer.Reply(bye, 200, "")
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestA200LongAfterTheOwnerWasToldGetsAckAndBye(t *testing.T) {
	for _, after := range []time.Duration{3 * time.Second, 20 * time.Second, 70 * time.Second, 3 * time.Minute} {
		run(t, func(w *world) {
			c := w.ring()
			w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
			wantEvent[Ringing](c)
			c.d.Hangup(hangupCause())
			w.peer.Reply(w.peer.Want("CANCEL"), 200, "b")
			w.peer.None(after)
			wantEvent[Ended](c)
			w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
			ack := w.peer.Want("ACK")
			w.peer.Reply(w.peer.Want("BYE"), 200, "")
			w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
			wantSame(t, "ack of the repeated 200", w.peer.Want("ACK").Text, ack.Text)
			w.peer.None(time.Minute)
			c.noEvent(time.Minute)
		})
	}
}

func TestHangupRightAfterThe200IsABye_RFC3261_15(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		c.d.Hangup(hangupCause())
		c.d.Hangup(Cause{Reason: "other"})
		w.peer.Want("ACK")
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		wantEvent[Ringing](c)
		wantEvent[Answered](c)
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestBusyThatCrossesTheCancelIsAcknowledgedOnly(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		c.d.Hangup(hangupCause())
		cancel := w.peer.Want("CANCEL")
		w.peer.Reply(c.invite, 486, "b")
		w.peer.Want("ACK")
		w.peer.Reply(cancel, 481, "b")
		wantEvent[Ringing](c)
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestARingTimeoutCancels_RFC3261_9_1(t *testing.T) {
	run(t, func(w *world) {
		start := time.Now()
		c := w.ring(func(i *Invitation) { i.RingTimeout = 25 * time.Second })
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		wantEvent[Ringing](c)
		cancel := w.peer.Want("CANCEL")
		if d := cancel.At.Sub(start); d != 25*time.Second {
			t.Errorf("cancelled after %s, want 25 s", d)
		}
		w.peer.Reply(cancel, 200, "b")
		w.peer.Reply(c.invite, 487, "b")
		w.peer.Want("ACK")
		if cause := c.wantEnd(ReasonRingTimeout); cause.By != BySystem {
			t.Errorf("got %+v", cause)
		}
		w.peer.None(time.Minute)
	})
}

func TestALate200AfterARingTimeoutGetsAckAndBye(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring(func(i *Invitation) { i.RingTimeout = 25 * time.Second })
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		wantEvent[Ringing](c)
		w.peer.Reply(w.peer.Want("CANCEL"), 481, "b") // the phone has just answered
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		c.wantEnd(ReasonRingTimeout)
		w.peer.None(time.Minute)
	})
}

func TestACancelWithoutEffectIsGivenUpAfter64T1_RFC3261_9_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		c.d.Hangup(hangupCause())
		w.peer.Reply(w.peer.Want("CANCEL"), 200, "b")
		settled := make(chan error, 1)
		start := time.Now()
		go func() { settled <- w.ua.Settle(w.t.Context()) }()
		if err := <-settled; err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 32*time.Second {
			t.Errorf("settled after %s, want 64*T1", d)
		}
		wantEvent[Ringing](c)
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestASecondPhoneThatAnswersGetsAckAndBye_RFC3261_13_2_2_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "a", siptest.Contact("a"))
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		w.peer.Reply(c.invite, 200, "a", siptest.Contact("a"), siptest.SDP)
		wantSame(t, "first ack", w.peer.Want("ACK").RequestURI(), "sip:a@192.0.2.1:5060")
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		ack := w.peer.Want("ACK")
		wantSame(t, "second ack", ack.RequestURI(), "sip:b@192.0.2.1:5060")
		wantSame(t, "tag of second ack", ack.Param("To", "tag"), "b")
		bye := w.peer.Want("BYE")
		wantSame(t, "bye", bye.RequestURI(), "sip:b@192.0.2.1:5060")
		wantSame(t, "tag of bye", bye.Param("To", "tag"), "b")
		w.peer.Reply(bye, 200, "")
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		wantSame(t, "ack of the repeated 200", w.peer.Want("ACK").Text, ack.Text)
		w.peer.None(time.Minute)
		wantEvent[Ringing](c)
		wantEvent[Answered](c)
		c.noEvent(time.Minute)
		c.d.Hangup(hangupCause())
		wantSame(t, "last bye", w.peer.Want("BYE").RequestURI(), "sip:a@192.0.2.1:5060")
	})
}

func TestSettleWaitsForTheByeOfASecondPhone(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 9))
		w.peer.Want("200")
		w.peer.Reply(c.invite, 200, "late", siptest.Contact("late"), siptest.SDP)
		w.peer.Want("ACK")
		bye := w.peer.Want("BYE")
		done := make(chan error, 1)
		go func() { done <- w.ua.Settle(w.t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		select {
		case <-done:
			t.Fatal("settled while a bye was not answered")
		default:
		}
		w.peer.Reply(bye, 200, "")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAByeThatOvertakesIts200EndsTheCall(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		wantEvent[Ringing](c)
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 9))
		w.peer.Want("200")
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		c.wantEnd(ReasonRemoteBye)
		w.peer.None(time.Minute)
	})
}

func TestByesThatCrossAreBothAnswered(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		c.d.Hangup(hangupCause())
		bye := w.peer.Want("BYE")
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 9))
		w.peer.Want("200")
		w.peer.Reply(bye, 481, "")
		c.wantEnd(ReasonAPIHangup)
	})
}
