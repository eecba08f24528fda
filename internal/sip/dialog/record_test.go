package dialog

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"phonesocket/internal/sip/siptest"
)

var errDisk = errors.New("the disk is full")

// shelf is a Recorder. It answers at once unless it is slow.
type shelf struct {
	mu      sync.Mutex
	records map[string]string
	err     error
	slow    bool
	waiting []func()
	keeps   int
}

func newShelf() *shelf { return &shelf{records: map[string]string{}} }

func (s *shelf) Keep(key string, record []byte, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeps++
	err := s.err
	if err == nil {
		s.records[key] = string(record)
	}
	if done == nil {
		return
	}
	if s.slow {
		s.waiting = append(s.waiting, func() { done(err) })
		return
	}
	done(err)
}

func (s *shelf) Forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
}

// set changes how the shelf behaves.
func (s *shelf) set(slow bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow, s.err = slow, err
}

// write finishes what is waited for.
func (s *shelf) write() {
	s.mu.Lock()
	all := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, f := range all {
		f()
	}
}

// only returns the one record there is, "" if there is none.
func (s *shelf) only(t *testing.T) string {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.records) > 1 {
		t.Fatalf("%d records, want one at most", len(s.records))
	}
	for _, r := range s.records {
		return r
	}
	return ""
}

func recording(s *shelf) option { return func(c *Config) { c.Recorder = s } }

func TestTheInviteLeavesWhenItsRecordIsSafe(t *testing.T) {
	s := newShelf()
	s.slow = true
	run(t, func(w *world) {
		c := w.dial()
		w.peer.None(time.Second)
		record := s.only(t)
		s.write()
		invite := w.peer.Want("INVITE")
		if branch := invite.Param("Via", "branch"); branch == "" || !strings.Contains(record, branch) {
			t.Errorf("the record does not have the branch %q:\n%s", branch, record)
		}
		if strings.Contains(record, "m=audio") {
			t.Errorf("the record has a session description:\n%s", record)
		}
		s.set(false, nil)
		w.peer.Reply(invite, 486, "b")
		w.peer.Want("ACK")
		c.wantEnd(ReasonBusy)
		if got := s.only(t); got != "" {
			t.Errorf("after the end there is the record\n%s", got)
		}
	}, recording(s))
}

func TestAnInviteWhoseRecordFailsIsNotSent(t *testing.T) {
	s := newShelf()
	s.err = errDisk
	run(t, func(w *world) {
		c := w.dial()
		if cause := c.wantEnd(ReasonJournal); !strings.Contains(cause.Text, errDisk.Error()) || cause.By != BySystem {
			t.Errorf("ended because of %+v, want the error of the disk", cause)
		}
		w.peer.None(time.Minute)
	}, recording(s))
}

func TestAnInviteWhoseRecordIsLateIsNotSentAnyMore(t *testing.T) {
	s := newShelf()
	s.slow = true
	run(t, func(w *world) {
		start := time.Now()
		c := w.dial()
		wantEvent[Ended](c)
		if took := time.Since(start); took != invitePatience {
			t.Errorf("given up after %v, want %v", took, invitePatience)
		}
		s.write()
		w.peer.None(time.Minute)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
	}, recording(s))
}

func TestACallHungUpBeforeItsInviteLeftIsNotPlaced(t *testing.T) {
	s := newShelf()
	s.slow = true
	run(t, func(w *world) {
		c := w.dial()
		synctest.Wait()
		c.d.Hangup(hangupCause())
		wantEvent[Ended](c)
		s.write()
		w.peer.None(time.Minute)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
	}, recording(s))
}

func TestEachInviteIsRecordedWithItsOwnBranch(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c := w.ring()
		w.peer.Reply(c.invite, 407, "p", `Proxy-Authenticate: Digest realm="r", nonce="1"`)
		w.peer.Want("ACK")
		second := w.peer.Want("INVITE")
		if record := s.only(t); !strings.Contains(record, second.Param("Via", "branch")) || strings.Contains(record, c.invite.Param("Via", "branch")) {
			t.Errorf("the record is not about the second INVITE:\n%s", record)
		}
		w.peer.Reply(second, 486, "b")
		w.peer.Want("ACK")
		c.wantEnd(ReasonBusy)
	}, recording(s))
}

// answerSlowly answers a call while the disk is slow.
func answerSlowly(w *world, s *shelf) (*outgoing, time.Time) {
	c := w.ring()
	s.set(true, nil)
	w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
	synctest.Wait()
	return c, time.Now()
}

func TestTheAckLeavesWhenTheRecordOfTheAnswerIsSafe(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c, _ := answerSlowly(w, s)
		w.peer.None(ackPatience / 4)
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP) // repeated: not acknowledged earlier
		w.peer.None(ackPatience / 4)
		c.noEvent(0)
		if record := s.only(t); !strings.Contains(record, "SIP/2.0 200") || !strings.Contains(record, "tag=b") {
			t.Errorf("the record does not have the answer:\n%s", record)
		}
		s.write()
		w.peer.Want("ACK")
		wantEvent[Answered](c)
	}, recording(s))
}

func TestTheAckDoesNotWaitLongForASlowDisk(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c, start := answerSlowly(w, s)
		if at := w.peer.Want("ACK").At; at.Sub(start) != ackPatience {
			t.Errorf("acknowledged after %v, want %v", at.Sub(start), ackPatience)
		}
		wantEvent[Answered](c)
		s.write()
		w.peer.None(10 * time.Second)
		c.noEvent(0)
	}, recording(s))
}

func TestAnAnsweredCallGoesOnWhenItsRecordFails(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c := w.ring()
		s.set(false, errDisk)
		w.peer.Reply(c.invite, 200, "b", siptest.Contact("b"), siptest.SDP)
		w.peer.Want("ACK")
		wantEvent[Answered](c)
		c.noEvent(time.Minute)
	}, recording(s))
}

func TestAHangupWhileTheAckWaitsGivesAckAndBye(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c, _ := answerSlowly(w, s)
		c.d.Hangup(hangupCause())
		synctest.Wait()
		c.noEvent(0)
		s.write()
		w.peer.Want("ACK")
		w.peer.Reply(w.peer.Want("BYE"), 200, "b")
		c.wantEnd(ReasonAPIHangup)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
	}, recording(s))
}

func TestAByeOfThePeerWhileTheAckWaitsEndsTheCall(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c, _ := answerSlowly(w, s)
		w.peer.Say(siptest.Within(c.invite, "b", "BYE", 1))
		w.peer.Want("200")
		s.write()
		w.peer.Want("ACK")
		c.wantEnd(ReasonRemoteBye)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
	}, recording(s))
}

func TestANewAddressOfThePeerIsRecorded(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c := w.talk()
		w.peer.Say(siptest.Within(c.invite, "b", "UPDATE", 1, "Contact: <sip:moved@192.0.2.1:5062>"))
		w.peer.Want("200")
		if record := s.only(t); !strings.Contains(record, "sip:moved@192.0.2.1:5062") {
			t.Errorf("the record does not have the new address:\n%s", record)
		}
	}, recording(s))
}

func TestACallWithoutAnyFinalAnswerIsRecordedAsLongAsSomebodyMayStillAnswer(t *testing.T) {
	s := newShelf()
	run(t, func(w *world) {
		c := w.dial()
		wantEvent[Ended](c)
		if s.only(t) == "" {
			t.Error("the record is gone, but the callee may still answer")
		}
		time.Sleep(patience)
		if got := s.only(t); got != "" {
			t.Errorf("the record is left:\n%s", got)
		}
		w.peer.Drain(0)
	}, recording(s))
}
