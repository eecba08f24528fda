package dialog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"phonesocket/internal/sip/siptest"
)

// inbox takes the calls that come in.
type inbox struct {
	arrivals chan *caller
	refuse   int
}

// caller is a call of the peer with its events.
type caller struct {
	*outgoing
	Arrival

	tag    string // ours
	branch string
}

// runIn runs a test with a UA that takes calls.
func runIn(t *testing.T, f func(*world, *inbox)) {
	t.Helper()
	runInOn(t, "udp", f)
}

func runInOn(t *testing.T, network string, f func(*world, *inbox)) {
	t.Helper()
	in := &inbox{}
	take := func(c *Config) {
		in.arrivals = make(chan *caller, 10) // made in the bubble
		c.Incoming = func(a Arrival) (func(Event), int) {
			if in.refuse != 0 {
				return nil, in.refuse
			}
			c := &caller{Arrival: a, outgoing: &outgoing{d: a.Dialog, events: make(chan Event, 100)}}
			in.arrivals <- c
			return func(e Event) { c.events <- e }, 0
		}
	}
	runOn(t, network, func(w *world) { f(w, in) }, take)
}

// call lets the peer call, and takes the 100.
func (in *inbox) call(w *world, branch string, extra ...string) *caller {
	w.t.Helper()
	w.peer.Say(siptest.Outside("INVITE", branch, append([]string{siptest.Contact("bob")}, extra...)...))
	w.peer.Want("100")
	select {
	case c := <-in.arrivals:
		c.w, c.branch = w, branch
		return c
	case <-time.After(time.Second):
		w.t.Fatal("the call did not come in")
		return nil
	}
}

// rings has the call ring.
func (c *caller) rings() siptest.Message {
	c.w.t.Helper()
	c.d.Ring()
	m := c.w.peer.Want("180")
	c.tag = m.Param("To", "tag")
	return m
}

// answered lets the call be answered; the 200 is there, the ACK is not.
func (c *caller) answered() siptest.Message {
	c.w.t.Helper()
	c.d.Answer([]byte(offer))
	m := c.w.peer.Want("200")
	c.tag = m.Param("To", "tag")
	return m
}

// up is a call that is up.
func (in *inbox) up(w *world, extra ...string) *caller {
	w.t.Helper()
	c := in.call(w, "x1", append([]string{siptest.SDP}, extra...)...)
	c.answered()
	c.say("ACK", 7)
	wantEvent[Answered](c.outgoing)
	return c
}

// text is a request of the caller within the call.
func (c *caller) text(method string, cseq int, extra ...string) string {
	text := siptest.Outside(method, fmt.Sprintf("%s%s%d", c.branch, method, cseq), extra...)
	text = strings.Replace(text, "Call-ID: out-"+fmt.Sprintf("%s%s%d", c.branch, method, cseq), "Call-ID: out-"+c.branch, 1)
	text = strings.Replace(text, "To: <sip:alice@example.org>", "To: <sip:alice@example.org>;tag="+c.tag, 1)
	return strings.Replace(text, "CSeq: 7 ", fmt.Sprintf("CSeq: %d ", cseq), 1)
}

func (c *caller) say(method string, cseq int, extra ...string) {
	c.w.t.Helper()
	c.w.peer.Say(c.text(method, cseq, extra...))
}

// cancel is the CANCEL of a call that rings.
func (c *caller) cancel() {
	c.w.t.Helper()
	text := siptest.Outside("CANCEL", c.branch)
	c.w.peer.Say(text)
}

// refusedAck is the ACK of a failure.
func (c *caller) refusedAck() {
	c.w.t.Helper()
	c.w.peer.Say(siptest.Outside("ACK", c.branch))
}

func TestACallComesInRingsAndIsAnswered_RFC3261_13_3_1(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		runInOn(t, network, func(w *world, in *inbox) {
			c := in.call(w, "x1", siptest.SDP, "Record-Route: <sip:192.0.2.1;lr;n=1>", "Record-Route: <sip:192.0.2.2;lr;n=2>")
			wantSame(t, "offer", string(c.Offer), siptest.SDP)
			wantSame(t, "from", c.From, "sip:bob@example.org")
			wantSame(t, "to", c.To, "sip:alice@example.org")
			wantSame(t, "Call-ID", c.d.ID(), "out-x1")
			ringing := c.rings()
			wantSame(t, "Contact", ringing.Header("Contact"), "<sip:alice@203.0.113.9:1024>")
			wantSame(t, "body of 180", ringing.Body(), "")
			ok := c.answered()
			wantSame(t, "answer", ok.Body(), offer)
			wantSame(t, "Contact", ok.Header("Contact"), "<sip:alice@203.0.113.9:1024>")
			wantSame(t, "tag", c.tag, ringing.Param("To", "tag"))
			wantSame(t, "Allow", ok.Header("Allow"), allow)
			wantSame(t, "Record-Route", strings.Join(ok.Headers("Record-Route"), ","), "<sip:192.0.2.1;lr;n=1>,<sip:192.0.2.2;lr;n=2>")
			c.noEvent(time.Millisecond)
			c.say("ACK", 7)
			wantSame(t, "description", string(wantEvent[Answered](c.outgoing).SDP), siptest.SDP)
			w.peer.None(time.Minute)
			c.d.Hangup(hangupCause())
			bye := w.peer.Want("BYE")
			// "The route set MUST be set to the list of URIs in the
			// Record-Route header field from the request, taken in order".
			wantSame(t, "Route", strings.Join(bye.Headers("Route"), ","), "<sip:192.0.2.1;lr;n=1>,<sip:192.0.2.2;lr;n=2>")
			wantSame(t, "remote target", bye.RequestURI(), "sip:bob@192.0.2.1:5060")
			wantSame(t, "From", bye.Header("From"), "<sip:alice@example.org>;tag="+c.tag)
			wantSame(t, "To", bye.Header("To"), "<sip:bob@example.org>;tag=bob1")
			w.peer.Reply(bye, 200, "")
			c.wantEnd(ReasonAPIHangup)
		})
	}
}

func TestWithoutAnOwnerCallsGet480(t *testing.T) {
	run(t, func(w *world) {
		w.peer.Say(siptest.Outside("INVITE", "x1", siptest.SDP))
		w.peer.Want("480")
		w.peer.None(time.Minute)
	})
}

func TestTheOwnerRefusesAtOnce(t *testing.T) {
	for code, want := range map[int]string{486: "486", 480: "480", 200: "480"} {
		runIn(t, func(w *world, in *inbox) {
			in.refuse = code
			w.peer.Say(siptest.Outside("INVITE", "x1", siptest.SDP))
			w.peer.Want("100")
			w.peer.Want(want)
			w.peer.Say(siptest.Outside("ACK", "x1"))
			w.peer.None(time.Minute)
		})
	}
}

func TestARingingCallIsRefusedWithACode_RFC3261_13_3_1_3(t *testing.T) {
	for code, want := range map[int]string{486: "486", 603: "603", 488: "488", 0: "480", 200: "480"} {
		runIn(t, func(w *world, in *inbox) {
			c := in.call(w, "x1", siptest.SDP)
			c.rings()
			c.d.Hangup(Cause{Reason: ReasonRejected, Code: code, By: ByLocal})
			c.d.Answer([]byte(offer)) // too late
			first := w.peer.Want(want)
			wantSame(t, "tag", first.Param("To", "tag"), c.tag)
			wantSame(t, "repeated until its ACK", w.peer.Want(want).Text, first.Text)
			c.refusedAck()
			w.peer.None(time.Minute)
			if got := c.wantEnd(ReasonRejected); fmt.Sprint(got.Code) != want {
				t.Errorf("ended with code %d, want %s", got.Code, want)
			}
		})
	}
}

func TestA200WithoutAckBecomesAByeAfter64T1_RFC3261_13_3_1_4(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		runInOn(t, network, func(w *world, in *inbox) {
			c := in.call(w, "x1", siptest.SDP)
			first := c.answered()
			last, m, n := first, w.peer.Next(), 0
			for ; m.Is("200"); m = w.peer.Next() {
				wantSame(t, "200", m.Text, first.Text)
				if pause := m.At.Sub(last.At); pause != min(500*time.Millisecond<<n, 4*time.Second) {
					t.Errorf("repetition %d after %s", n, pause)
				}
				last, n = m, n+1
			}
			if !m.Is("BYE") || m.At.Sub(first.At) != 32*time.Second {
				t.Fatalf("got %q after %s, want BYE after 64*T1", m.Start(), m.At.Sub(first.At))
			}
			w.peer.Reply(m, 200, "")
			c.wantEnd(ReasonNoAck)
			w.peer.None(time.Minute)
		})
	}
}

func TestDelayedOffer_TheOfferIsInThe200AndTheAnswerInTheAck_RFC3261_13_2_1(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1")
		if c.Offer != nil {
			t.Errorf("offer %q, want none", c.Offer)
		}
		c.d.Progress([]byte("v=0 nothing to answer"))
		wantSame(t, "body", w.peer.Want("180").Body(), "")
		wantSame(t, "our offer", c.answered().Body(), offer)
		c.say("ACK", 7, siptest.SDP)
		wantSame(t, "their answer", string(wantEvent[Answered](c.outgoing).SDP), siptest.SDP)
		// Later on the call is like any other.
		c.say("INVITE", 8, hold)
		wantEvent[Reoffer](c.outgoing).Accept([]byte(offer))
		w.peer.Want("200")
		c.say("ACK", 8)
		w.peer.None(time.Minute)
	})
}

func TestDelayedOffer_AnAckWithoutAnAnswerEndsTheCall_RFC3261_13_2_2_4(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1")
		c.answered()
		c.say("ACK", 7)
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		c.wantEnd(ReasonSDP)
	})
}

func TestDelayedOffer_AnUpdateBeforeTheAckWaits_RFC3311_5_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1")
		c.answered()
		c.say("UPDATE", 8, hold)
		w.peer.Want("491")
	})
}

func TestCancelOfARingingCallGets200And487_RFC3261_9_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.rings()
		c.cancel()
		ok := w.peer.Want("200")
		wantSame(t, "CSeq", ok.Header("CSeq"), "7 CANCEL")
		gone := w.peer.Want("487")
		wantSame(t, "CSeq", gone.Header("CSeq"), "7 INVITE")
		c.refusedAck()
		c.d.Answer([]byte(offer))
		c.d.Ring()
		c.d.Hangup(hangupCause())
		if cause := c.wantEnd(ReasonRemoteCancel); cause.Code != 487 || cause.By != ByRemote {
			t.Errorf("cause %+v", cause)
		}
		w.peer.None(time.Minute)
	})
}

func TestCancelAfterThe200DoesNothing_RFC3261_9_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.answered()
		c.cancel()
		wantSame(t, "CSeq", w.peer.Want("200").Header("CSeq"), "7 CANCEL")
		c.say("ACK", 7)
		wantEvent[Answered](c.outgoing)
		c.say("BYE", 8)
		w.peer.Want("200")
		c.wantEnd(ReasonRemoteBye)
		w.peer.None(time.Minute)
	})
}

func TestByeOfARingingCallGets200And487_RFC3261_15_1_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.rings()
		c.say("BYE", 8)
		w.peer.Want("200")
		wantSame(t, "CSeq", w.peer.Want("487").Header("CSeq"), "7 INVITE")
		c.refusedAck()
		c.wantEnd(ReasonRemoteCancel)
	})
}

func TestNoByeBeforeTheAck_RFC3261_15(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		first := c.answered()
		c.d.Hangup(hangupCause())
		for range 4 { // goes on asking for the ACK, also after the owner was told
			m := w.peer.Want("200")
			wantSame(t, "200", m.Text, first.Text)
		}
		wantEvent[Ended](c.outgoing)
		c.say("ACK", 7)
		w.peer.Reply(w.peer.Want("BYE"), 200, "")
		w.peer.None(time.Minute)
	})
	runIn(t, func(w *world, in *inbox) { // it never comes
		c := in.call(w, "x1", siptest.SDP)
		first := c.answered()
		c.d.Hangup(hangupCause())
		m := w.peer.Next()
		for ; m.Is("200"); m = w.peer.Next() {
		}
		if !m.Is("BYE") || m.At.Sub(first.At) != 32*time.Second {
			t.Errorf("got %q after %s, want BYE after 64*T1", m.Start(), m.At.Sub(first.At))
		}
		w.peer.Reply(m, 200, "")
		c.wantEnd(ReasonAPIHangup)
	})
	runIn(t, func(w *world, in *inbox) { // the caller hangs up as well
		c := in.call(w, "x1", siptest.SDP)
		c.answered()
		c.d.Hangup(hangupCause())
		c.say("BYE", 8)
		w.peer.Want("200")
		c.wantEnd(ReasonAPIHangup)
		w.peer.None(time.Minute)
	})
}

func TestARepeatedInviteIsAnsweredFromTheTransaction_RFC3261_17_2_1(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		invite := siptest.Outside("INVITE", "x1", siptest.Contact("bob"), siptest.SDP)
		c := in.call(w, "x1", siptest.SDP)
		ringing := c.rings()
		w.peer.Say(invite)
		wantSame(t, "repeated", w.peer.Want("180").Text, ringing.Text)
		c.answered()
		w.peer.Say(invite) // absorbed: the 200 is repeated by its own timer (RFC 6026 7.1)
		w.peer.None(400 * time.Millisecond)
		if len(in.arrivals) != 0 {
			t.Error("one call came in twice")
		}
	})
}

func TestAMergedInviteGets482_RFC3261_8_2_2_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.rings()
		other := strings.Replace(siptest.Outside("INVITE", "x1", siptest.SDP), "branch=z9hG4bKx1", "branch=z9hG4bKother", 1)
		w.peer.Say(other)
		w.peer.Want("482")
		if len(in.arrivals) != 0 {
			t.Error("one call came in twice")
		}
	})
}

func TestInvitesThatCannotBeTakenAreRefused(t *testing.T) {
	cases := []struct {
		name          string
		change        func(string) string
		extra         []string
		want          string
		header, value string
	}{
		{"an unknown Require (RFC 3261 8.2.2.3)", nil, []string{"Require: timer, foo"}, "420", "Unsupported", "foo"},
		{"no hops left", func(s string) string { return strings.Replace(s, "Max-Forwards: 70", "Max-Forwards: 0", 1) }, nil, "483", "", ""},
		{"a body that is no SDP (RFC 3261 8.2.3)", func(s string) string { return strings.Replace(s, "application/sdp", "text/plain", 1) }, []string{siptest.SDP}, "415", "Accept", "application/sdp"},
		{"a short session (RFC 4028 9)", nil, []string{"Supported: timer", "Session-Expires: 60", siptest.SDP}, "422", "Min-SE", "90"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			runIn(t, func(w *world, in *inbox) {
				text := siptest.Outside("INVITE", "x1", tt.extra...)
				if tt.change != nil {
					text = tt.change(text)
				}
				w.peer.Say(text)
				res := w.peer.Want(tt.want)
				if tt.header != "" {
					wantSame(t, tt.header, res.Header(tt.header), tt.value)
				}
				w.peer.Say(siptest.Outside("ACK", "x1"))
				w.peer.None(time.Minute)
				if len(in.arrivals) != 0 {
					t.Error("the call came in")
				}
			})
		})
	}
}

func TestARequestOfTheCallerWithALowerCSeqGets500_RFC3261_12_2_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.up(w)
		c.say("BYE", 6)
		w.peer.Want("500")
		c.say("OPTIONS", 9)
		w.peer.Want("200")
		c.say("INVITE", 8, hold)
		w.peer.Want("500")
		c.noEvent(time.Minute)
	})
}

func TestTheCallerHoldsAndResumes_RFC3261_14_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.up(w)
		for i, sdp := range []string{hold, siptest.SDP} {
			c.say("INVITE", 8+i, sdp)
			e := wantEvent[Reoffer](c.outgoing)
			wantSame(t, "offer", string(e.SDP), sdp)
			w.peer.Want("100")
			e.Accept([]byte(offer + fmt.Sprintf("a=x:%d\r\n", i)))
			wantSame(t, "answer", w.peer.Want("200").Body(), offer+fmt.Sprintf("a=x:%d\r\n", i))
			c.say("ACK", 8+i)
		}
		c.say("INVITE", 10, siptest.SDP+"a=inactive\r\n")
		wantEvent[Reoffer](c.outgoing).Reject(488)
		w.peer.Want("488")
		w.peer.Drain(time.Minute)
		c.noEvent(time.Second) // and the call goes on
	})
}

func TestAReinviteBeforeTheAnswerGets500_RFC3261_14_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.rings()
		for i, method := range []string{"INVITE", "UPDATE"} {
			c.say(method, 8+i, hold)
			if got := w.peer.Want("500").Header("Retry-After"); got == "" {
				t.Errorf("no Retry-After for %s", method)
			}
			w.peer.Say(c.text("ACK", 8+i))
		}
		c.say("UPDATE", 10) // changes the target only
		w.peer.Want("200")
		c.noEvent(time.Second)
	})
}

func TestAReinviteBeforeTheAckGets491_RFC3261_14_2(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.answered()
		c.say("INVITE", 8, hold)
		w.peer.Want("491")
	})
}

func TestWeRefreshAsUAS_RFC4028_9(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP, "Supported: timer", "Session-Expires: 600;refresher=uas", allowAll)
		ok := c.answered()
		wantSame(t, "Session-Expires", ok.Header("Session-Expires"), "600;refresher=uas")
		c.say("ACK", 7)
		wantEvent[Answered](c.outgoing)
		time.Sleep(5 * time.Minute)
		update := w.peer.Want("UPDATE")
		wantSame(t, "Session-Expires", update.Header("Session-Expires"), "600;refresher=uac")
		wantSame(t, "From", update.Header("From"), "<sip:alice@example.org>;tag="+c.tag)
		w.peer.Reply(update, 200, "", "Session-Expires: 600;refresher=uac")
		c.noEvent(time.Minute)
	})
}

func TestTheCallerRefreshesOrTheCallEnds_RFC4028_10(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP, "Supported: timer", "Session-Expires: 600;refresher=uac")
		ok := c.answered()
		wantSame(t, "Session-Expires", ok.Header("Session-Expires"), "600;refresher=uac")
		wantSame(t, "Require", ok.Header("Require"), "timer")
		start := time.Now()
		c.say("ACK", 7)
		wantEvent[Answered](c.outgoing)
		time.Sleep(5 * time.Minute)
		c.say("UPDATE", 8, "Supported: timer", "Session-Expires: 600;refresher=uac")
		w.peer.Want("200")
		time.Sleep(9 * time.Minute)
		bye := w.peer.Want("BYE")
		if d := bye.At.Sub(start); d != 5*time.Minute+600*time.Second-32*time.Second {
			t.Errorf("BYE after %s", d)
		}
		w.peer.Reply(bye, 200, "")
		c.wantEnd(ReasonSessionExpired)
	})
}

func TestGlareInAnIncomingCallBacksOffShortly_RFC3261_14_1(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP, "Supported: timer", "Session-Expires: 600;refresher=uas")
		c.answered()
		c.say("ACK", 7)
		time.Sleep(5 * time.Minute)
		again := w.peer.Want("INVITE")
		w.peer.Reply(again, 491, "")
		w.peer.Want("ACK")
		next := w.peer.Want("INVITE")
		if d := next.At.Sub(again.At); d > 2*time.Second {
			t.Errorf("tried again after %s: we do not own the Call-ID, so within 2 s", d)
		}
	})
}

func TestA180IsRepeatedEveryMinute_RFC3261_13_3_1_1(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		first := c.rings()
		for i := range 3 {
			time.Sleep(30 * time.Second)
			if m := w.peer.Want("180"); m.At.Sub(first.At) != time.Duration(i+1)*time.Minute {
				t.Errorf("repeated after %s", m.At.Sub(first.At))
			}
		}
	})
}

func TestEarlyMediaIsOfferedBy183(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.d.Progress([]byte(offer))
		m := w.peer.Want("183")
		wantSame(t, "answer", m.Body(), offer)
		wantSame(t, "Contact", m.Header("Contact"), "<sip:alice@203.0.113.9:1024>")
		c.tag = m.Param("To", "tag")
		wantSame(t, "answer", c.answered().Body(), offer)
	})
}

func TestRequire100relMakesProvisionalsReliable_RFC3262_3(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP, "Require: 100rel")
		first := c.rings()
		wantSame(t, "Require", first.Header("Require"), "100rel")
		second := w.peer.Want("180")
		wantSame(t, "repeated", second.Text, first.Text)
		c.d.Answer([]byte(offer)) // has to wait
		c.say("PRACK", 8, "RAck: 1 7 INVITE")
		w.peer.Want("481")
		c.say("PRACK", 9, "RAck: "+first.Header("RSeq")+" 7 INVITE")
		wantSame(t, "CSeq", w.peer.Want("200").Header("CSeq"), "9 PRACK")
		wantSame(t, "CSeq", w.peer.Want("200").Header("CSeq"), "7 INVITE")
		c.say("ACK", 7)
		wantEvent[Answered](c.outgoing)
		w.peer.None(time.Minute)
	})
	runIn(t, func(w *world, in *inbox) { // nobody acknowledges
		c := in.call(w, "x1", siptest.SDP, "Require: 100rel")
		first := c.rings()
		m := w.peer.Next()
		for ; m.Is("180"); m = w.peer.Next() {
		}
		if !m.Is("504") || m.At.Sub(first.At) != 32*time.Second {
			t.Errorf("got %q after %s, want 504 after 64*T1", m.Start(), m.At.Sub(first.At))
		}
		c.refusedAck()
		c.wantEnd(ReasonNoAck)
	})
}

func TestNoChallengeIsAnsweredInAnIncomingCall(t *testing.T) {
	for _, code := range []int{401, 407} {
		runIn(t, func(w *world, in *inbox) {
			c := in.up(w, "WWW-Authenticate: Digest theirs", "Proxy-Authenticate: Digest theirs")
			c.d.Hangup(hangupCause())
			bye := w.peer.Want("BYE")
			w.peer.Reply(bye, code, "", "WWW-Authenticate: Digest theirs", "Proxy-Authenticate: Digest theirs")
			for _, m := range w.peer.Drain(5 * time.Minute) {
				t.Errorf("sent %s", m.Text)
			}
			c.wantEnd(ReasonAPIHangup)
		})
	}
}

func TestACallToOurselvesHasTwoEndsWithOneCallID(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		out := w.ring()
		// The provider sends our own INVITE back to us.
		text := strings.Replace(out.invite.Text, "Via: ", "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKproxy\r\nVia: ", 1)
		w.peer.Say(text)
		w.peer.Want("100")
		back := <-in.arrivals
		back.w = w
		ok := back.answered()
		w.peer.Reply(out.invite, 200, back.tag, siptest.Contact("us"), siptest.SDP)
		w.peer.Want("ACK")
		wantEvent[Answered](out)
		// The ACK and the BYE of one end reach the other.
		ack := strings.Replace(text, "INVITE sip", "ACK sip", 1)
		ack = strings.Replace(ack, "1 INVITE", "1 ACK", 1)
		ack = strings.Replace(ack, "branch=z9hG4bKproxy", "branch=z9hG4bKack", 1)
		ack = strings.Replace(ack, "To: "+out.invite.Header("To"), "To: "+ok.Header("To"), 1)
		w.peer.Say(ack)
		wantEvent[Answered](back.outgoing)
		out.d.Hangup(hangupCause())
		bye := w.peer.Want("BYE")
		w.peer.Say(strings.Replace(bye.Text, "Via: ", "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKbye\r\nVia: ", 1))
		w.peer.Reply(w.peer.Want("200"), 200, "") // it is an answer, not a request: ignored
		w.peer.Reply(bye, 200, "")
		out.wantEnd(ReasonAPIHangup)
		back.wantEnd(ReasonRemoteBye)
	})
}

func TestShutdownWaitsForTheByeOfIncomingCalls(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		ringing := in.call(w, "x2", siptest.SDP)
		ringing.rings()
		up := in.up(w)
		for _, c := range []*caller{ringing, up} {
			c.d.Hangup(Cause{Reason: ReasonShutdown, By: BySystem})
		}
		w.peer.Want("480")
		ringing.refusedAck()
		bye := w.peer.Want("BYE")
		settled := make(chan error, 1)
		go func() { settled <- w.ua.Settle(w.t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		if len(settled) != 0 {
			t.Error("settled before the BYE was answered")
		}
		w.peer.Reply(bye, 200, "")
		if err := <-settled; err != nil {
			t.Error(err)
		}
	})
}

func TestEndedIncomingCallsAreForgotten(t *testing.T) {
	runIn(t, func(w *world, in *inbox) {
		c := in.call(w, "x1", siptest.SDP)
		c.rings()
		c.cancel()
		w.peer.Drain(time.Hour)
		left := make(chan int)
		w.layer.Do(func() { left <- len(w.ua.dialogs) })
		if n := <-left; n != 0 {
			t.Errorf("%d dialogs are left", n)
		}
	})
}
