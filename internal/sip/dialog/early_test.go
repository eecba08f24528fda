package dialog

import (
	"fmt"
	"testing"
	"time"

	"phonesocket/internal/sip/siptest"
)

func TestManyProvisionalAnswersAnd180After183AreFine_RFC3261_13_2_2_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 100, "")
		for i := range 20 {
			w.peer.Reply(c.invite, 183, "b", siptest.Contact("b"), siptest.SDP)
			if i == 10 {
				w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
			}
			time.Sleep(50 * time.Millisecond)
		}
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		if got := wantEvent[Ringing](c).Code; got != 183 {
			t.Errorf("got %d, want 183", got)
		}
		wantEvent[Early](c)
		if got := wantEvent[Ringing](c).Code; got != 180 {
			t.Errorf("got %d, want 180", got)
		}
		wantEvent[Answered](c)
	})
}

func TestABurstOfAnswersIsTakenInOrder(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		for i := range 8 {
			w.peer.Reply(c.invite, 180+i%2*3, "b", siptest.Contact("b"), siptest.SDP)
		}
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		wantEvent[Ringing](c)
		wantEvent[Early](c)
		wantEvent[Ringing](c)
		wantEvent[Answered](c)
		c.noEvent(time.Second)
	})
}

func TestNewEarlyMediaIsTold(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		for _, tag := range []string{"a", "b", "a"} {
			w.peer.Reply(c.invite, 183, tag, siptest.Contact(tag), siptest.SDP+"a=ptime:20\r\n"+"a=x-"+tag+"\r\n")
		}
		wantEvent[Ringing](c)
		for _, tag := range []string{"a", "b"} {
			wantSame(t, "sdp", string(wantEvent[Early](c).SDP), siptest.SDP+"a=ptime:20\r\na=x-"+tag+"\r\n")
		}
		c.noEvent(time.Second)
	})
}

func TestA200WithoutSDPGetsAckAndBye_RFC3261_13_2_2_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"))
		w.peer.Want("ACK")
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		c.wantEnd(ReasonSDP)
		w.peer.None(time.Minute)
	})
}

func TestA200WithoutSDPAfterEarlyMediaKeepsTheEarlyOne_RFC3261_13_2_1(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 183, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"))
		w.peer.Want("ACK")
		wantEvent[Ringing](c)
		wantEvent[Early](c)
		wantSame(t, "sdp", string(wantEvent[Answered](c).SDP), siptest.SDP)
	})
}

func TestTheOwnerRefusesTheAnswerWithAckAndBye(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		c.d.Hangup(Cause{Reason: ReasonSDP, Text: "no common codec", By: BySystem})
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		c.wantEnd(ReasonSDP)
	})
}

func TestPrackOnlyWhenRequired_RFC3262_4(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		wantSame(t, "Supported", c.invite.Header("Supported"), "timer, 100rel")
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"))
		w.peer.None(time.Second)
		w.peer.Reply(c.invite, 183, "b", siptest.Contact("b"), "Require: 100rel", "RSeq: 776", siptest.SDP)
		prack := w.peer.Want("PRACK")
		wantSame(t, "RAck", prack.Header("RAck"), "776 1 INVITE")
		wantSame(t, "CSeq", prack.Header("CSeq"), "2 PRACK")
		wantSame(t, "request-uri", prack.RequestURI(), "sip:b@192.0.2.1:5060")
		wantSame(t, "To", prack.Param("To", "tag"), "b")
		w.peer.Reply(prack, 200, "")
		wantEvent[Ringing](c)
		wantEvent[Ringing](c)
		wantEvent[Early](c)
		// Repeated, and out of order: neither acknowledged nor used.
		w.peer.Reply(c.invite, 183, "b", siptest.Contact("b"), "Require: 100rel", "RSeq: 776", siptest.SDP)
		w.peer.Reply(c.invite, 183, "b", siptest.Contact("b"), "Require: 100rel", "RSeq: 778", siptest.SDP+"a=x\r\n")
		w.peer.None(time.Second)
		w.peer.Reply(c.invite, 180, "b", siptest.Contact("b"), "Require: 100rel", "RSeq: 777")
		second := w.peer.Want("PRACK")
		wantSame(t, "RAck", second.Header("RAck"), "777 1 INVITE")
		w.peer.Reply(second, 407, "", "Proxy-Authenticate: Digest nonce5")
		third := w.peer.Want("PRACK")
		wantSame(t, "credentials", third.Header("Proxy-Authorization"), "Answer to Digest nonce5")
		wantSame(t, "RAck", third.Header("RAck"), "777 1 INVITE")
		w.peer.Reply(third, 200, "")
		// The answer was in the reliable 183: a 200 without one is right.
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"))
		wantSame(t, "CSeq of ack", w.peer.Want("ACK").Header("CSeq"), "1 ACK")
		wantEvent[Answered](c)
		c.d.Hangup(hangupCause())
		wantSame(t, "CSeq of bye", w.peer.Want("BYE").Header("CSeq"), "5 BYE")
	})
}

func TestTooManyPhonesDoNotFillTheMemory(t *testing.T) {
	run(t, func(w *world) {
		c := w.ring()
		for i := range 100 {
			tag := fmt.Sprint("t", i)
			w.peer.Reply(c.invite, 180, tag, siptest.Contact(tag))
		}
		n := make(chan int)
		w.layer.Do(func() { n <- len(c.d.legs) })
		if got := <-n; got != maxLegs {
			t.Errorf("%d legs, want %d", got, maxLegs)
		}
	})
}

func TestWhatWasEndedIsForgotten(t *testing.T) {
	run(t, func(w *world) {
		c := w.talk()
		c.d.Hangup(hangupCause())
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		wantEvent[Ended](c)
		d := w.dial() // never answered
		wantEvent[Ended](d)
		time.Sleep(5 * time.Minute)
		n := make(chan int)
		w.layer.Do(func() { n <- len(w.ua.dialogs) })
		if got := <-n; got != 0 {
			t.Errorf("%d calls are remembered, want none", got)
		}
	})
}
