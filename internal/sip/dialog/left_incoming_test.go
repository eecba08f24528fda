package dialog

import (
	"strings"
	"testing"
	"time"

	"phonesocket/internal/sip/siptest"
)

// takeInto has a UA take calls into an inbox, and record them.
func takeInto(in *inbox, s *shelf) []option {
	return []option{recording(s), func(c *Config) {
		in.arrivals = make(chan *caller, 10) // made in the bubble
		c.Incoming = func(a Arrival) (func(Event), int) {
			c := &caller{Arrival: a, outgoing: &outgoing{d: a.Dialog, events: make(chan Event, 100)}}
			in.arrivals <- c
			return func(e Event) { c.events <- e }, 0
		}
	}}
}

func TestAnIncomingCallIsRecordedBeforeItsAnswerAndForgottenAfterItsEnd(t *testing.T) {
	in, s := &inbox{}, newShelf()
	run(t, func(w *world) {
		c := in.call(w, "x1", siptest.SDP)
		c.rings()
		if got := s.only(t); got != "" {
			t.Errorf("a call that rings needs no record: nobody pays for it\n%s", got)
		}
		s.set(true, nil)
		c.d.Answer([]byte(offer))
		c.d.Answer([]byte(offer))
		w.peer.None(ackPatience / 2)
		s.write()
		c.tag = w.peer.Want("200").Param("To", "tag")
		c.say("ACK", 7)
		wantEvent[Answered](c.outgoing)
		if got := s.only(t); !strings.Contains(got, `"incoming":true`) || strings.Contains(got, "v=0") {
			t.Errorf("record %s", got)
		}
		c.say("BYE", 8)
		w.peer.Want("200")
		c.wantEnd(ReasonRemoteBye)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
	}, takeInto(in, s)...)
}

func TestACallerWhoGivesUpWhileTheAnswerIsRecordedIsNotConnected(t *testing.T) {
	in, s := &inbox{}, newShelf()
	run(t, func(w *world) {
		c := in.call(w, "x1", siptest.SDP)
		s.set(true, nil)
		c.d.Answer([]byte(offer))
		c.cancel()
		w.peer.Want("200")
		w.peer.Want("487")
		c.refusedAck()
		s.write()
		c.wantEnd(ReasonRemoteCancel)
		w.peer.None(time.Minute)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
	}, takeInto(in, s)...)
}

func TestASlowJournalDelaysAnAnswerAMomentOnly(t *testing.T) {
	in, s := &inbox{}, newShelf()
	run(t, func(w *world) {
		c := in.call(w, "x1", siptest.SDP)
		s.set(true, nil)
		start := time.Now()
		if at := c.answered().At; at.Sub(start) != ackPatience {
			t.Errorf("answered after %s", at.Sub(start))
		}
		s.write()
		c.say("ACK", 7)
		wantEvent[Answered](c.outgoing)
	}, takeInto(in, s)...)
}

func TestAfterACrashIncomingCallsGetTheirBye(t *testing.T) {
	var l life
	t.Run("first life", func(t *testing.T) {
		in, s := &inbox{}, newShelf()
		run(t, func(w *world) {
			c := in.call(w, "x1", siptest.SDP, "Record-Route: <sip:192.0.2.1;lr;n=1>", "Record-Route: <sip:192.0.2.2;lr;n=2>")
			ok := c.answered()
			c.say("ACK", 7)
			wantEvent[Answered](c.outgoing)
			l = life{invite: ok, record: s.only(t)}
		}, takeInto(in, s)...)
	})
	second := func(test func(*world, *shelf, chan struct{}, siptest.Message)) {
		s := newShelf()
		run(t, func(w *world) {
			left, err := w.ua.Left([]byte(l.record))
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, "key", left.ID(), "out-x1 "+l.invite.Param("To", "tag"))
			s.records[left.ID()] = l.record
			done := make(chan struct{}, 10)
			left.End(func() { done <- struct{}{} })
			test(w, s, done, w.peer.Want("BYE")) // and no ACK before it
		}, recording(s))
	}
	t.Run("second life", func(t *testing.T) {
		second(func(w *world, s *shelf, done chan struct{}, bye siptest.Message) {
			wantSame(t, "remote target", bye.RequestURI(), "sip:bob@192.0.2.1:5060")
			wantSame(t, "Route", strings.Join(bye.Headers("Route"), ","), "<sip:192.0.2.1;lr;n=1>,<sip:192.0.2.2;lr;n=2>")
			wantSame(t, "From", bye.Header("From"), l.invite.Header("To"))
			wantSame(t, "To", bye.Header("To"), l.invite.Header("From"))
			wantSame(t, "Call-ID", bye.Header("Call-ID"), "out-x1")
			w.peer.Reply(bye, 200, "")
			wantDone(t, w, s, done)
		})
	})
	t.Run("no challenge is answered", func(t *testing.T) {
		second(func(w *world, _ *shelf, _ chan struct{}, bye siptest.Message) {
			w.peer.Reply(bye, 407, "", "Proxy-Authenticate: Digest theirs")
			for _, m := range w.peer.Drain(5 * time.Minute) {
				if strings.Contains(m.Text, "Authorization") {
					t.Errorf("leaked credentials:\n%s", m.Text)
				}
			}
		})
	})
}
