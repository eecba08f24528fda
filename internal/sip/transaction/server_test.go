package transaction

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/sip/siptest"
)

// as turns a request into one of another method in the same transaction.
func as(text, method string) string {
	old, _, _ := strings.Cut(text, " ")
	text = strings.Replace(text, old+" sip", method+" sip", 1)
	return strings.Replace(text, " "+old+"\r\n", " "+method+"\r\n", 1)
}

func TestARepeatedRequestGetsTheSameAnswerDuringTimerJ_RFC3261_17_2_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		text := siptest.Outside("OPTIONS", "x1")
		w.peer.Say(text)
		s := w.wantRequest()
		w.peer.Say(text)
		w.peer.None(time.Second) // no answer yet: nothing to repeat
		w.respond(s, 200)
		first := w.peer.Want("200")
		for range 3 {
			w.peer.Say(text)
			if again := w.peer.Want("200"); again.Text != first.Text {
				t.Errorf("got another answer:\n%s", again.Text)
			}
			time.Sleep(10 * time.Second)
		}
		w.respond(s, 500) // too late
		w.peer.None(time.Second)
		w.noRequest(time.Second)
		w.wantEmpty(1100 * time.Millisecond)
		w.peer.Say(text)
		w.wantRequest() // after timer J it is a new one
	})
}

func TestTimersGAndHRepeatAFailureUntilItsAck_RFC3261_17_2_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		w.peer.Say(siptest.Outside("INVITE", "x1"))
		s := w.wantRequest()
		w.respond(s, 486)
		start := time.Now()
		got := times(t, w, start, "486", 100*time.Second)
		if d := cmp.Diff(ms(0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500), got); d != "" {
			t.Errorf("times (-want +got):\n%s", d)
		}
		w.wantEmpty(0)
	})
}

func TestTheAckOfAFailureIsAbsorbedDuringTimerI_RFC3261_17_2_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		text := siptest.Outside("INVITE", "x1")
		w.peer.Say(text)
		w.respond(w.wantRequest(), 486)
		w.peer.Want("486")
		w.peer.Say(as(text, "ACK"))
		w.peer.None(time.Second)
		w.peer.Say(as(text, "ACK"))
		w.peer.Say(text)
		w.peer.None(3 * time.Second)
		w.noRequest(0)
		w.wantEmpty(1100 * time.Millisecond)
	})
}

func TestFailuresAreNotRepeatedOnReliableNetworks_RFC3261_17_2_1(t *testing.T) {
	run(t, "tcp", func(w *world) {
		text := siptest.Outside("INVITE", "x1")
		w.peer.Say(text)
		w.respond(w.wantRequest(), 486)
		w.peer.Want("486")
		w.peer.None(time.Second)
		w.peer.Say(as(text, "ACK"))
		w.wantEmpty(time.Millisecond) // timer I is zero
		w.peer.Say(siptest.Outside("OPTIONS", "x2"))
		w.respond(w.wantRequest(), 200)
		w.peer.Want("200")
		w.wantEmpty(time.Millisecond) // timer J is zero
	})
}

func TestA2xxOfAnInviteBelongsToTheTUDuringTimerL_RFC6026_7_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		text := siptest.Outside("INVITE", "x1")
		w.peer.Say(text)
		s := w.wantRequest()
		w.respond(s, 200)
		first := w.peer.Want("200")
		w.peer.Say(text) // absorbed
		w.peer.None(time.Second)
		w.noRequest(0)
		w.loop(s.Resend)
		if again := w.peer.Want("200"); again.Text != first.Text {
			t.Errorf("got another answer:\n%s", again.Text)
		}
		w.peer.Say(as(text, "ACK")) // even with the branch of the INVITE, as old phones do
		if got := w.wantRequest(); got.Request().Method != sip.ACK || !got.Done() {
			t.Errorf("got %s, want the ACK", got.Request().Method)
		}
		w.peer.Say(strings.Replace(as(text, "ACK"), "z9hG4bKx1", "z9hG4bKother", 1))
		ack := w.wantRequest()
		w.loop(func() {
			ack.Respond(NewResponse(ack.Request(), 200, ""))
			ack.RespondStateless(NewResponse(ack.Request(), 200, ""))
		})
		w.peer.None(time.Second) // an ACK has no answer
		w.wantEmpty(33 * time.Second)
	})
}

func TestAnInviteGets100After200ms_RFC3261_17_2_1(t *testing.T) {
	run(t, "udp", func(w *world) {
		text := siptest.Outside("INVITE", "x1")
		w.peer.Say(text)
		s := w.wantRequest()
		start := time.Now()
		trying := w.peer.Want("100")
		if d := trying.At.Sub(start); d != 200*time.Millisecond {
			t.Errorf("100 after %s", d)
		}
		if trying.Param("To", "tag") != "" {
			t.Error("the 100 has a tag")
		}
		w.peer.Say(text)
		w.peer.Want("100")
		w.respond(s, 180)
		w.peer.Want("180")
		w.peer.Say(text)
		w.peer.Want("180")
		w.respond(s, 603)
		w.peer.Want("603")
		w.peer.Say(as(text, "ACK"))
		w.peer.Say(siptest.Outside("INVITE", "x2"))
		w.respond(w.wantRequest(), 180) // at once: no 100
		w.peer.Want("180")
		w.peer.None(time.Second)
	})
}

func TestCancelIsAnsweredAndHandedOn_RFC3261_9_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		w.serve = func(s *Server) {
			s.OnCancel(func() { s.Respond(NewResponse(s.Request(), 487, "")) })
			s.Respond(NewResponse(s.Request(), 180, ""))
		}
		text := siptest.Outside("INVITE", "x1")
		w.peer.Say(text)
		w.peer.Want("180")
		w.peer.Say(as(text, "CANCEL"))
		w.peer.Want("200")
		w.peer.Want("487")
		w.peer.Say(as(text, "CANCEL")) // repeated
		w.peer.Want("200")
		w.peer.Say(as(text, "ACK"))
		w.peer.None(time.Second)
		w.peer.Say(as(siptest.Outside("INVITE", "x2"), "CANCEL"))
		w.peer.Want("481")
	})
}

func TestAMergedRequestGets482_RFC3261_8_2_2_2(t *testing.T) {
	run(t, "udp", func(w *world) {
		text := siptest.Outside("INVITE", "x1")
		w.peer.Say(text)
		s := w.wantRequest()
		w.peer.Say(strings.Replace(text, "z9hG4bKx1", "z9hG4bKx2", 1))
		w.peer.Want("482")
		w.noRequest(100 * time.Millisecond)
		w.respond(s, 486)
		w.peer.Want("486")
		w.peer.Say(as(text, "ACK"))
		w.wantEmpty(time.Minute)
		w.peer.Say(strings.Replace(text, "z9hG4bKx1", "z9hG4bKx2", 1))
		w.wantRequest() // long after, it is a new one
	})
}

func TestAtTheLimitRequestsGet503WithoutState_RFC3261_8_2_7(t *testing.T) {
	run(t, "udp", func(w *world) {
		for i := range 5 {
			w.peer.Say(siptest.Outside("OPTIONS", fmt.Sprint("x", i)))
		}
		for range 3 {
			w.wantRequest()
		}
		for range 2 {
			if got := w.peer.Want("503").Header("Retry-After"); got != "5" {
				t.Errorf("got Retry-After %q", got)
			}
		}
		w.noRequest(time.Second)
		if got := w.Stats().Refused; got != 2 {
			t.Errorf("%d counted, want 2", got)
		}
	}, func(c *Config) { c.MaxTransactions = 3 })
}

func TestAStatelessAnswerLeavesNothingBehind_RFC3261_8_2_7(t *testing.T) {
	run(t, "udp", func(w *world) {
		w.serve = func(s *Server) { s.RespondStateless(NewResponse(s.Request(), 481, "")) }
		var tags []string
		for range 2 {
			w.peer.Say(siptest.Outside("BYE", "x1"))
			tags = append(tags, w.peer.Want("481").Param("To", "tag"))
		}
		if tags[0] == "" || tags[0] != tags[1] {
			t.Errorf("got tags %q, want one", tags)
		}
		w.wantEmpty(0)
	})
}

func TestAnswersGoBackToTheSource_RFC3581_4(t *testing.T) {
	run(t, "udp", func(w *world) {
		from := w.peer.Target
		from.Addr = netip.MustParseAddrPort("192.0.2.1:31000")
		withRport := siptest.Outside("OPTIONS", "x1")
		cases := []struct {
			name, text, to, via string
		}{
			{"with rport to the port of the source", withRport, "192.0.2.1:31000", ";rport=31000;received=192.0.2.1"},
			{"without rport to the port of the Via (18.2.2)", strings.Replace(withRport, ";rport", "", 1), "192.0.2.1:5060", ""},
			{
				"a name gets received (18.2.1)", strings.Replace(strings.Replace(withRport, ";rport", "", 1), "192.0.2.1:5060", "pbx.example:5999", 1),
				"192.0.2.1:5999", ";received=192.0.2.1",
			},
			{
				"maddr is not followed", strings.Replace(withRport, ";rport", ";maddr=192.0.2.99", 1),
				"192.0.2.1:5060", ";maddr=192.0.2.99",
			},
		}
		for i, tt := range cases {
			branch := fmt.Sprint("z9hG4bKc", i)
			w.peer.SayFrom(from, strings.Replace(strings.Replace(tt.text, "z9hG4bKx1", branch, 1), "out-x1", branch, 1))
			w.respond(w.wantRequest(), 200)
			res := w.peer.Want("200")
			if res.To.Addr.String() != tt.to {
				t.Errorf("%s: sent to %s, want %s", tt.name, res.To, tt.to)
			}
			if _, got, _ := strings.Cut(res.Header("Via"), branch); got != tt.via {
				t.Errorf("%s: got Via %q, want %q", tt.name, got, tt.via)
			}
		}
	})
}

func TestAPanicInARequestIsAnsweredWith500(t *testing.T) {
	run(t, "udp", func(w *world) {
		w.serve = func(*Server) { panic("a mistake") }
		w.peer.Say(siptest.Outside("OPTIONS", "x1"))
		w.peer.Want("500")
		if got := w.Stats().Panics; got != 1 {
			t.Errorf("%d panics counted, want 1", got)
		}
		w.loop(func() { w.serve = nil })
		w.peer.Say(siptest.Outside("OPTIONS", "x2"))
		w.respond(w.wantRequest(), 200)
		w.peer.Want("200")
		w.wantEmpty(time.Minute)
	})
}
