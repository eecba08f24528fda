package call

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/sip/dialog"
)

// fakeCaller is the other side of a call that comes in.
type fakeCaller struct {
	fakeLeg

	bound chan struct{} // closed when events have somewhere to go, as on the SIP loop
	mu    sync.Mutex
	told  []string
	sdp   []byte // what it was answered with
}

func newFakeCaller() *fakeCaller { return &fakeCaller{bound: make(chan struct{})} }

// bind tells where its events go.
func (l *fakeCaller) bind(on func(dialog.Event)) {
	l.emit = on
	close(l.bound)
}

func (l *fakeCaller) say(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, what)
}

func (l *fakeCaller) log() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.told...)
}

func (l *fakeCaller) Ring() { l.say("ring") }

func (l *fakeCaller) Answer(sdp []byte) {
	l.say("answer")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sdp = sdp
}

// Hangup of a call that came in ends with the code that it was refused with.
func (l *fakeCaller) Hangup(c dialog.Cause) {
	l.say("hangup " + c.Reason)
	if c.Code == 0 {
		c.Code = 480
	}
	<-l.bound
	l.emit(dialog.Ended{Cause: c})
}

// arrive lets a call come in and waits until that was handled.
func (b *bench) arrive(change ...func(*Arrival)) (string, *fakeCaller, *fakeSound) {
	b.t.Helper()
	leg := newFakeCaller()
	a := Arrival{Leg: leg, From: "+4930777", FromName: "Ann", To: "+4930999", Offer: good}
	for _, f := range change {
		f(&a)
	}
	on, code := b.Incoming(a)
	if on == nil {
		b.t.Fatalf("refused with %d", code)
	}
	leg.bind(on)
	synctest.Wait()
	b.mu.Lock()
	s := b.sounds[len(b.sounds)-1]
	b.mu.Unlock()
	return s.cfg.Session.CallID, leg, s
}

func TestAnIncomingCallRingsUntilASocketIsThere(t *testing.T) {
	run(t, nil, func(b *bench) {
		id, leg, sound := b.arrive()
		c := b.see(id)
		if c.Status != StatusRinging || c.Direction != Inbound || c.From != "+4930777" || c.FromName != "Ann" || c.To != "+4930999" ||
			c.RingingAt == nil || c.SIP.CallID != leg.ID() || c.SIP.Code != 180 {
			t.Errorf("call %+v", c)
		}
		if s := sound.cfg.Session; s.Direction != Inbound || s.From != "+4930777" || s.To != "+4930999" {
			t.Errorf("the sockets get %q %q %q", s.Direction, s.From, s.To)
		}
		wantLog(t, b.hooks, "started "+id)
		time.Sleep(10 * time.Second)
		wantLog(t, leg.log(), "ring")
		b.fact(sound, engine.SocketsPresent)
		wantLog(t, leg.log(), "ring", "answer")
		if !strings.Contains(string(leg.sdp), "m=audio 30000 RTP/AVP 8\r\n") {
			t.Errorf("answered with %q", leg.sdp)
		}
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000")
		b.say(&leg.fakeLeg, dialog.Answered{SDP: good})
		wantLog(t, sound.log(), "ringing", "start PCMA 203.0.113.5:40000", "answered")
		if c := b.see(id); c.Status != StatusInProgress || c.Codec != "PCMA" || c.AnsweredAt == nil {
			t.Errorf("call %+v", c)
		}
		b.say(&leg.fakeLeg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonRemoteBye, By: dialog.ByRemote}})
		if c := b.see(id); c.Status != StatusCompleted || b.Running() != 0 {
			t.Errorf("call %+v, %d run", c, b.Running())
		}
	})
}

func TestAnIncomingCallIsAnsweredAtOnceWhereConfigured(t *testing.T) {
	run(t, func(c *Config) { c.Inbound.AnswerAtOnce = true }, func(b *bench) {
		_, leg, _ := b.arrive()
		wantLog(t, leg.log(), "ring", "answer")
	})
}

func TestAnIncomingCallThatNobodyTakesIsGivenUp(t *testing.T) {
	run(t, func(c *Config) { c.RingTimeout = 20 * time.Second }, func(b *bench) {
		id, leg, sound := b.arrive()
		time.Sleep(20*time.Second + time.Millisecond)
		wantLog(t, leg.log(), "ring", "hangup ring_timeout")
		if c := b.see(id); c.Status != StatusNoAnswer || c.SIP.Code != 480 {
			t.Errorf("call %+v", c)
		}
		b.fact(sound, engine.SocketsPresent) // too late
		wantLog(t, leg.log(), "ring", "hangup ring_timeout")
	})
}

func TestTheCallerGivesUp(t *testing.T) {
	run(t, nil, func(b *bench) {
		id, leg, _ := b.arrive()
		b.say(&leg.fakeLeg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonRemoteCancel, Code: 487, By: dialog.ByRemote}})
		if c := b.see(id); c.Status != StatusNoAnswer || c.Reason != "remote_cancel" || c.HangupBy != "remote" {
			t.Errorf("call %+v", c)
		}
		_, err := b.Answer(b.t.Context(), id)
		wantRefusal(t, err, Conflict, CodeNotRinging, "")
	})
}

func TestAnOfferThatCannotBeTakenGets488(t *testing.T) {
	for reason, offer := range map[string][]byte{
		ReasonNoCodec:       answer("203.0.113.5", 40000, "18", ""),
		ReasonMediaRejected: []byte(strings.Replace(string(good), "RTP/AVP", "RTP/SAVP", 1)),
		ReasonMediaAddress:  answer("127.0.0.1", 40000, "8", ""),
		ReasonBadSDP:        []byte("v=0\r\nm=?"),
	} {
		run(t, nil, func(b *bench) {
			id, leg, _ := b.arrive(func(a *Arrival) { a.Offer = offer })
			wantLog(t, leg.log(), "hangup "+reason)
			if c := b.see(id); c.Status != StatusFailed || c.SIP.Code != 488 {
				t.Errorf("call %+v", c)
			}
		})
	}
}

func TestACallerWithoutAnOfferGetsOurs(t *testing.T) {
	run(t, func(c *Config) { c.Inbound.AnswerAtOnce = true }, func(b *bench) {
		id, leg, sound := b.arrive(func(a *Arrival) { a.Offer = nil })
		if !strings.Contains(string(leg.sdp), "m=audio 30000 RTP/AVP 8 ") {
			t.Errorf("offered %q", leg.sdp)
		}
		b.say(&leg.fakeLeg, dialog.Answered{SDP: answer("203.0.113.5", 40002, "0", "")})
		wantLog(t, sound.log(), "ringing", "start PCMU 203.0.113.5:40002", "answered")
		if c := b.see(id); c.Status != StatusInProgress || c.Codec != "PCMU" {
			t.Errorf("call %+v", c)
		}
	})
	run(t, func(c *Config) { c.Inbound.AnswerAtOnce = true }, func(b *bench) { // and answers it badly
		id, leg, _ := b.arrive(func(a *Arrival) { a.Offer = nil })
		b.say(&leg.fakeLeg, dialog.Answered{SDP: answer("203.0.113.5", 40002, "18", "")})
		wantLog(t, leg.log(), "ring", "answer", "hangup "+ReasonNoCodec)
		if c := b.see(id); c.Status != StatusFailed {
			t.Errorf("call %+v", c)
		}
	})
}

func TestIncomingCallsCountAgainstTheLimits(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.limits.calls = 2
		b.place(Request{})
		b.arrive()
		if on, code := b.Incoming(Arrival{Leg: newFakeCaller()}); on != nil || code != 486 {
			t.Errorf("got %d, want 486", code)
		}
		_, err := b.Dial(b.t.Context(), Request{To: "1"})
		wantRefusal(t, err, Limited, "too_many_calls", "")
	})
}

func TestAGatewayThatStopsTakesNoCalls(t *testing.T) {
	run(t, nil, func(b *bench) {
		id, leg, _ := b.arrive()
		late := newFakeCaller()
		on, _ := b.Incoming(Arrival{Leg: late, Offer: good}) // has no goroutine yet
		late.bind(on)
		b.stop()
		wantLog(t, leg.log(), "ring", "hangup shutdown")
		if c := b.see(id); c.Status != StatusCanceled || b.Running() != 0 {
			t.Errorf("call %+v, %d run", c, b.Running())
		}
		if on, code := b.Incoming(Arrival{Leg: newFakeCaller()}); on != nil || code != 480 {
			t.Errorf("got %d, want 480", code)
		}
	})
}

func TestWithoutAPortForItsSoundACallIsRefused(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.openErr = errors.New("no port")
		leg := newFakeCaller()
		on, _ := b.Incoming(Arrival{Leg: leg, Offer: good})
		leg.bind(on)
		synctest.Wait()
		wantLog(t, leg.log(), "hangup internal_error")
		if b.Running() != 0 {
			t.Errorf("%d run", b.Running())
		}
	})
}

func TestTheAPIAnswersACallThatRings(t *testing.T) {
	run(t, nil, func(b *bench) {
		id, leg, _ := b.arrive()
		go func() {
			time.Sleep(100 * time.Millisecond)
			leg.emit(dialog.Answered{SDP: good})
		}()
		c, err := b.Answer(b.t.Context(), id)
		if err != nil || c.Status != StatusInProgress {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err = b.Answer(b.t.Context(), id); err != nil || c.Status != StatusInProgress {
			t.Errorf("again: %+v, %v", c, err)
		}
		_, err = b.Reject(b.t.Context(), id, 0)
		wantRefusal(t, err, Conflict, CodeNotRinging, "")
		wantLog(t, leg.log(), "ring", "answer")
	})
	run(t, nil, func(b *bench) { // the caller does not confirm in time
		id, _, _ := b.arrive()
		if c, err := b.Answer(b.t.Context(), id); err != nil || c.Status != StatusRinging {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestTheAPIRefusesACallThatRings(t *testing.T) {
	for code, want := range map[int]brief{
		0:   {Status: StatusBusy, Reason: "rejected", By: "local", Code: 486},
		600: {Status: StatusBusy, Reason: "rejected", By: "local", Code: 600},
		603: {Status: StatusCanceled, Reason: "rejected", By: "local", Code: 603},
	} {
		run(t, nil, func(b *bench) {
			id, _, _ := b.arrive()
			c, err := b.Reject(b.t.Context(), id, code)
			if diff := cmp.Diff(want, briefOf(c)); diff != "" || err != nil {
				t.Error(diff, err)
			}
			_, err = b.Reject(b.t.Context(), id, code)
			wantRefusal(t, err, Conflict, CodeNotRinging, "")
		})
	}
	run(t, nil, func(b *bench) {
		id, _, _ := b.arrive()
		for _, code := range []int{1, 200, 302, 700} {
			_, err := b.Reject(b.t.Context(), id, code)
			wantRefusal(t, err, Invalid, CodeInvalid, "code")
		}
		_, err := b.Reject(b.t.Context(), "call_unknown", 486)
		wantRefusal(t, err, NotFound, CodeNotFound, "")
		placed, _, _ := b.place(Request{})
		_, err = b.Reject(b.t.Context(), placed.ID, 486)
		wantRefusal(t, err, Conflict, CodeNotRinging, "")
		_, err = b.Answer(b.t.Context(), placed.ID)
		wantRefusal(t, err, Conflict, CodeNotRinging, "")
	})
}

// asking is a decision that the test takes.
type asking struct {
	asked   chan Call
	decided chan Decision
	failed  chan error
}

func (a *asking) ask(ctx context.Context, c Call) (Decision, error) {
	a.asked <- c
	select {
	case d := <-a.decided:
		return d, nil
	case err := <-a.failed:
		return Decision{}, err
	case <-ctx.Done():
		return Decision{}, context.Cause(ctx)
	}
}

// runAsking runs a test in which calls wait for a decision.
func runAsking(t *testing.T, undecided bool, test func(*bench, *asking)) {
	t.Helper()
	a := &asking{}
	run(t, func(c *Config) {
		*a = asking{make(chan Call, 10), make(chan Decision), make(chan error)}
		c.Inbound = InboundRules{Ask: a.ask, AcceptUndecided: undecided}
	}, func(b *bench) { test(b, a) })
}

func TestSomebodyElseDecidesAboutACall(t *testing.T) {
	runAsking(t, false, func(b *bench, a *asking) {
		id, leg, sound := b.arrive()
		c := <-a.asked
		if c.ID != id || c.Status != StatusQueued || c.Direction != Inbound || c.From != "+4930777" {
			t.Errorf("asked about %+v", c)
		}
		b.fact(sound, engine.SocketsPresent) // opened by the one who decides
		if told, line := leg.log(), b.hooks; len(told) != 0 || len(line) != 0 {
			t.Errorf("the caller was told %v, the line %v, before it was decided", told, line)
		}
		a.decided <- Decision{Accept: true, Metadata: map[string]string{"customer": "7"}}
		if c := b.see(id); c.Status != StatusRinging || c.Metadata["customer"] != "7" {
			t.Errorf("call %+v", c)
		}
		wantLog(t, leg.log(), "ring", "answer")
	})
	runAsking(t, true, func(b *bench, a *asking) {
		id, leg, _ := b.arrive()
		a.decided <- Decision{Code: 603}
		if c := b.see(id); c.Status != StatusCanceled || c.SIP.Code != 603 || c.Reason != "rejected" {
			t.Errorf("call %+v", c)
		}
		wantLog(t, leg.log(), "hangup rejected")
	})
}

func TestWithoutADecisionTheFallbackCounts(t *testing.T) {
	for name, decide := range map[string]func(*asking){
		"a failure":           func(a *asking) { a.failed <- errors.New("time-out") },
		"a code that is none": func(a *asking) { a.decided <- Decision{Accept: true, Code: 200} },
		"too much metadata": func(a *asking) {
			a.decided <- Decision{Accept: true, Metadata: map[string]string{"x": strings.Repeat("y", 501)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			runAsking(t, false, func(b *bench, a *asking) {
				id, leg, _ := b.arrive()
				decide(a)
				if c := b.see(id); c.Status != StatusFailed || c.Reason != ReasonUndecided || c.SIP.Code != 480 {
					t.Errorf("call %+v", c)
				}
				wantLog(t, leg.log(), "hangup undecided")
			})
			runAsking(t, true, func(b *bench, a *asking) {
				_, leg, _ := b.arrive()
				decide(a)
				synctest.Wait()
				wantLog(t, leg.log(), "ring")
			})
		})
	}
}

func TestTheAPIIsFasterThanTheDecision(t *testing.T) {
	runAsking(t, false, func(b *bench, a *asking) {
		id, leg, _ := b.arrive()
		if _, err := b.Answer(b.t.Context(), id); err != nil {
			t.Error(err)
		}
		a.decided <- Decision{Code: 603}
		synctest.Wait()
		wantLog(t, leg.log(), "ring", "answer")
	})
}

func TestACallerThatGivesUpEndsTheQuestion(t *testing.T) {
	runAsking(t, true, func(b *bench, a *asking) {
		id, leg, _ := b.arrive()
		<-a.asked
		b.say(&leg.fakeLeg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonRemoteCancel, Code: 487, By: dialog.ByRemote}})
		if c := b.see(id); c.Status != StatusNoAnswer || b.Running() != 0 {
			t.Errorf("call %+v", c)
		}
	})
}
