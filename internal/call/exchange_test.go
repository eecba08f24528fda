package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/sip/dialog"
)

func wantRefusal(t *testing.T, err error, class Class, code, field string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want a refusal with code %s", err, code)
	}
	if e.Class != class || e.Code != code || e.Field != field || e.Message == "" {
		t.Errorf("refusal = %+v, want class %d, code %s, field %q and a message", e, class, code, field)
	}
	return e
}

func TestARequestThatIsRefusedSaysWhyAndDialsNobody(t *testing.T) {
	many := map[string]string{}
	for i := range MaxMetadata + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for name, tt := range map[string]struct {
		request Request
		class   Class
		code    string
		field   string
	}{
		"emergency number":         {Request{To: "112"}, Denied, "emergency_number", ""},
		"not a number":             {Request{To: "nonsense"}, Invalid, "invalid_number", "to"},
		"policy out of order":      {Request{To: "broken"}, Internal, CodeInternal, ""},
		"nobody to call":           {Request{}, Invalid, CodeInvalid, "to"},
		"endless number":           {Request{To: strings.Repeat("1", 300)}, Invalid, CodeInvalid, "to"},
		"too short a ring":         {Request{To: "1", RingTimeout: time.Second}, Invalid, CodeInvalid, "ring_timeout_ms"},
		"too long a ring":          {Request{To: "1", RingTimeout: time.Hour}, Invalid, CodeInvalid, "ring_timeout_ms"},
		"longer than configured":   {Request{To: "1", MaxDuration: 2 * time.Hour}, Invalid, CodeInvalid, "max_duration_ms"},
		"negative duration":        {Request{To: "1", MaxDuration: -1}, Invalid, CodeInvalid, "max_duration_ms"},
		"too much metadata":        {Request{To: "1", Metadata: many}, Invalid, CodeInvalid, "metadata"},
		"metadata without key":     {Request{To: "1", Metadata: map[string]string{"": "x"}}, Invalid, CodeInvalid, "metadata"},
		"endless metadata":         {Request{To: "1", Metadata: map[string]string{"a": strings.Repeat("x", 501)}}, Invalid, CodeInvalid, "metadata"},
		"binary metadata":          {Request{To: "1", Metadata: map[string]string{"a": "\xff"}}, Invalid, CodeInvalid, "metadata"},
		"caller ID with letters":   {Request{To: "1", CallerID: "alice"}, Invalid, CodeInvalid, "caller_id"},
		"caller ID with a header":  {Request{To: "1", CallerID: "+4930\r\nX: y"}, Invalid, CodeInvalid, "caller_id"},
		"caller ID of two digits":  {Request{To: "1", CallerID: "12"}, Invalid, CodeInvalid, "caller_id"},
		"key with a space":         {Request{To: "1", Key: "a b"}, Invalid, CodeInvalid, "Idempotency-Key"},
		"key without end":          {Request{To: "1", Key: strings.Repeat("k", 256)}, Invalid, CodeInvalid, "Idempotency-Key"},
		"caller ID of 16 digits":   {Request{To: "1", CallerID: "+1234567890123456"}, Invalid, CodeInvalid, "caller_id"},
		"plus in the middle of it": {Request{To: "1", CallerID: "49+30123"}, Invalid, CodeInvalid, "caller_id"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				_, err := b.Dial(b.t.Context(), tt.request)
				wantRefusal(t, err, tt.class, tt.code, tt.field)
				if len(b.legs) != 0 || b.limits.asked != 0 {
					t.Errorf("invited = %d, asked limits = %d; want neither", len(b.legs), b.limits.asked)
				}
			})
		})
	}
}

func TestTheCallerIDIsBroughtIntoOneForm(t *testing.T) {
	for raw, want := range map[string]string{
		"":                   "",
		" +49 (0)30 123-45 ": "+493012345",
		"0049 30/12345":      "+493012345",
		"030.12345":          "03012345",
		"620":                "620",
	} {
		if got, err := callerID(raw); err != nil || got != want {
			t.Errorf("callerID(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
}

func TestTheCallerIDOfTheRequestIsShown(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{CallerID: "+49 30 555"})
		if placed.From != "+4930555" || leg.invitation.CallerID != "+4930555" || sound.cfg.Session.From != "+4930555" {
			t.Errorf("from = %q, invited = %q, sockets = %q; want +4930555", placed.From, leg.invitation.CallerID, sound.cfg.Session.From)
		}
	})
}

func TestTooManyCallsAreRefusedUntilOneHasEnded(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.limits.calls = 2
		_, first, _ := b.place(Request{})
		b.place(Request{})
		_, err := b.Dial(b.t.Context(), Request{To: "1"})
		e := wantRefusal(t, err, Limited, "too_many_calls", "")
		if e.RetryAfter != 7*time.Second {
			t.Errorf("retry after %v, want 7s", e.RetryAfter)
		}
		b.say(first, dialog.Ended{})
		b.place(Request{})
	})
}

func TestManyAtOnceNeverPassTheLimit(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.limits.calls, b.slow = 3, time.Second
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _, _ = b.Dial(b.t.Context(), Request{To: "1"}) })
		}
		wg.Wait()
		if len(b.legs) != 3 {
			t.Errorf("invited = %d, want 3", len(b.legs))
		}
	})
}

func TestNotReadyRefusesWithTheAdvice(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.readyErr = errors.New("the provider does not accept the password: check SIP_PASSWORD")
		_, err := b.Dial(b.t.Context(), Request{To: "1"})
		e := wantRefusal(t, err, Unavailable, CodeNotRegistered, "")
		if e.Message != "The provider does not accept the password: check SIP_PASSWORD." {
			t.Errorf("message = %q, want the advice", e.Message)
		}
		if b.limits.asked != 0 {
			t.Error("the limits were asked for a call that cannot be placed")
		}
	})
}

func TestRepeatedRequestsWithOneKeyRingOnce(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.slow = time.Second // all of them come while the first is at work
		request := Request{To: "+4930123456", Metadata: map[string]string{"a": "1", "b": "2"}, Key: "key"}
		var mu sync.Mutex
		ids, replayed := map[string]bool{}, 0
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				c, err := b.Dial(b.t.Context(), request)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[c.ID] = true
				if c.Replayed {
					replayed++
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 || len(b.legs) != 1 || replayed != 49 || b.limits.asked != 1 {
			t.Errorf("calls = %d, invited = %d, replayed = %d, limits asked = %d; want 1, 1, 49, 1", len(ids), len(b.legs), replayed, b.limits.asked)
		}
	})
}

func TestAKeyWithAnotherRequestIsRefused(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.place(Request{To: "1", Key: "key"})
		_, err := b.Dial(b.t.Context(), Request{To: "2", Key: "key"})
		wantRefusal(t, err, Invalid, CodeKeyReused, "Idempotency-Key")
		if len(b.legs) != 1 {
			t.Errorf("invited = %d, want 1", len(b.legs))
		}
	})
}

func TestAKeyUnderWhichNoCallWasPlacedIsFree(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.readyErr = errors.New("not registered")
		if _, err := b.Dial(b.t.Context(), Request{To: "1", Key: "key"}); err == nil {
			t.Fatal("no error")
		}
		b.readyErr, b.openErr = nil, errors.New("no port")
		if _, err := b.Dial(b.t.Context(), Request{To: "1", Key: "key"}); err == nil {
			t.Fatal("no error")
		}
		b.openErr = nil
		if c, err := b.Dial(b.t.Context(), Request{To: "2", Key: "key"}); err != nil || c.Replayed {
			t.Errorf("call = %+v, %v; want a new one", c, err)
		}
	})
}

func TestRefusalsDoNotPushOutTheKeysOfCalls(t *testing.T) {
	run(t, func(c *Config) { c.Keys = 3 }, func(b *bench) {
		first, err := b.Dial(b.t.Context(), Request{To: "1", Key: "of-a-call"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			_, err := b.Dial(b.t.Context(), Request{To: "112", Key: fmt.Sprint(i)})
			wantRefusal(t, err, Denied, "emergency_number", "")
		}
		again, err := b.Dial(b.t.Context(), Request{To: "1", Key: "of-a-call"})
		if err != nil || !again.Replayed || again.ID != first.ID {
			t.Errorf("repetition = %+v, %v; want the first call %s", again, err, first.ID)
		}
	})
}

func TestARepetitionGivesUpWaitingWithItsContext(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.slow = time.Minute
		first := make(chan error, 1)
		go func() {
			_, err := b.Dial(b.t.Context(), Request{To: "1", Key: "key"})
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		_, err := b.Dial(ctx, Request{To: "1", Key: "key"})
		wantRefusal(t, err, Conflict, CodeKeyInUse, "")
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestAClientThatLeavesDoesNotMakeASecondCall(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.slow = time.Second
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Millisecond)
		defer cancel()
		_, err := b.Dial(ctx, Request{To: "1", Key: "key"})
		wantRefusal(t, err, Unavailable, CodeRequestCanceled, "")
		c, err := b.Dial(b.t.Context(), Request{To: "1", Key: "key"})
		if err != nil || !c.Replayed || len(b.legs) != 1 {
			t.Errorf("call = %+v, %v, invited = %d; want the first call", c, err, len(b.legs))
		}
	})
}

func TestAKeyOutlivesItsCallAndThenEnds(t *testing.T) {
	run(t, nil, func(b *bench) {
		first, leg, _ := b.place(Request{To: "1", Key: "key"})
		b.say(leg, dialog.Ended{})
		time.Sleep(DefaultKeepFor)
		if _, err := b.Get(b.t.Context(), first.ID); !errors.Is(err, ErrNotFound) {
			t.Fatalf("error = %v, want not found", err)
		}
		again, err := b.Dial(b.t.Context(), Request{To: "1", Key: "key"})
		if err != nil || again.ID != first.ID {
			t.Errorf("call = %s, %v; want %s", again.ID, err, first.ID)
		}
		time.Sleep(DefaultKeysFor)
		again, err = b.Dial(b.t.Context(), Request{To: "1", Key: "key"})
		if err != nil || again.ID == first.ID {
			t.Errorf("call = %s, %v; want a new one", again.ID, err)
		}
	})
}

func TestTheKeysThatAreRememberedAreBounded(t *testing.T) {
	k := newKeyring(3, time.Hour)
	now := time.Unix(0, 0)
	for i := range 100 {
		e := &keyEntry{key: fmt.Sprint(i), at: now}
		k.add(e)
		if i%2 == 0 {
			k.drop(e)
		}
	}
	if len(k.entries) != 3 || len(k.order) != 3 {
		t.Errorf("entries = %d, order = %d; want 3", len(k.entries), len(k.order))
	}
	if k.entries["99"] == nil {
		t.Error("the newest key is forgotten")
	}
	k.prune(now.Add(time.Hour))
	if len(k.entries) != 0 || len(k.order) != 0 {
		t.Errorf("entries = %d, order = %d; want none after their time", len(k.entries), len(k.order))
	}
}

func TestEndedCallsStayReadableForAWhileAndNotTooMany(t *testing.T) {
	run(t, func(c *Config) { c.Keep = 2 }, func(b *bench) {
		var ids []string
		for range 3 {
			c, leg, _ := b.place(Request{})
			b.say(leg, dialog.Ended{})
			ids = append(ids, c.ID)
			time.Sleep(time.Minute)
		}
		running, _, _ := b.place(Request{})
		if _, err := b.Get(b.t.Context(), ids[0]); !errors.Is(err, ErrNotFound) {
			t.Errorf("oldest: %v, want not found", err)
		}
		wantIDs(t, b.List(b.t.Context(), Filter{}), running.ID, ids[2], ids[1])
		time.Sleep(58 * time.Minute)
		wantIDs(t, b.List(b.t.Context(), Filter{}), running.ID, ids[2])
		time.Sleep(time.Minute)
		synctest.Wait()
		wantIDs(t, b.List(b.t.Context(), Filter{}), running.ID)
	})
}

func wantIDs(t *testing.T, p Page, want ...string) {
	t.Helper()
	var got []string
	for _, c := range p.Calls {
		got = append(got, c.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAListIsReadInPages(t *testing.T) {
	run(t, nil, func(b *bench) {
		var ids []string
		for i := range 5 {
			c, leg, _ := b.place(Request{})
			ids = append(ids, c.ID)
			if i%2 == 0 {
				b.say(leg, dialog.Answered{SDP: good})
			}
		}
		slices.Reverse(ids)
		first := b.List(b.t.Context(), Filter{Limit: 2})
		wantIDs(t, first, ids[0], ids[1])
		second := b.List(b.t.Context(), Filter{Limit: 2, After: first.Next})
		wantIDs(t, second, ids[2], ids[3])
		last := b.List(b.t.Context(), Filter{Limit: 2, After: second.Next})
		wantIDs(t, last, ids[4])
		if last.Next != "" {
			t.Errorf("next = %q, want none", last.Next)
		}
		exact := b.List(b.t.Context(), Filter{Limit: 5})
		if exact.Next != "" {
			t.Errorf("next = %q after exactly all, want none", exact.Next)
		}
		answered := b.List(b.t.Context(), Filter{Status: []Status{StatusInProgress}, Limit: 2})
		wantIDs(t, answered, ids[0], ids[2])
		wantIDs(t, b.List(b.t.Context(), Filter{Status: []Status{StatusInProgress}, Limit: 2, After: answered.Next}), ids[4])
		for _, c := range first.Calls {
			if c.Audio == nil || c.Audio.RTPPacketsSent != 42 {
				t.Errorf("audio of %s = %+v, want the counters of now", c.ID, c.Audio)
			}
		}
		if n := len(b.List(b.t.Context(), Filter{Limit: -1}).Calls); n != 5 {
			t.Errorf("calls = %d, want 5", n)
		}
	})
}

func TestHangupOnlyWantsExactlyOneCall(t *testing.T) {
	run(t, nil, func(b *bench) {
		_, err := b.HangupOnly(b.t.Context())
		wantRefusal(t, err, NotFound, CodeNoCall, "")
		_, leg, _ := b.place(Request{})
		second, _, _ := b.place(Request{})
		_, err = b.HangupOnly(b.t.Context())
		wantRefusal(t, err, Conflict, CodeSeveralCalls, "")
		b.say(leg, dialog.Ended{})
		got, err := b.HangupOnly(b.t.Context())
		if err != nil || got.ID != second.ID || got.Status != StatusCanceled {
			t.Errorf("call = %+v, %v; want %s canceled", briefOf(got), err, second.ID)
		}
	})
}

func TestAnUnknownCallIsNotFound(t *testing.T) {
	run(t, nil, func(b *bench) {
		_, err := b.Get(b.t.Context(), "call_x")
		wantRefusal(t, err, NotFound, CodeNotFound, "")
		_, err = b.Hangup(b.t.Context(), "call_x")
		wantRefusal(t, err, NotFound, CodeNotFound, "")
		_, err = b.Media("call_x")
		wantRefusal(t, err, NotFound, CodeNotFound, "")
	})
}

func TestTheSoundOfAnEndedCallIsNotHandedOut(t *testing.T) {
	run(t, nil, func(b *bench) {
		c, leg, _ := b.place(Request{})
		b.say(leg, dialog.Ended{})
		_, err := b.Media(c.ID)
		wantRefusal(t, err, Conflict, CodeEnded, "")
	})
}

func TestDrainLetsCallsEndAndRefusesNewOnes(t *testing.T) {
	run(t, nil, func(b *bench) {
		_, leg, _ := b.place(Request{Key: "key", To: "1"})
		b.say(leg, dialog.Answered{SDP: good})
		cut := make(chan int, 1)
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
		defer cancel()
		go func() { cut <- b.Drain(ctx) }()
		synctest.Wait()
		_, err := b.Dial(b.t.Context(), Request{To: "1"})
		wantRefusal(t, err, Unavailable, CodeDraining, "")
		if c, err := b.Dial(b.t.Context(), Request{To: "1", Key: "key"}); err != nil || !c.Replayed {
			t.Errorf("repetition: %v; a call that exists is still found by its key", err)
		}
		if !b.Draining() {
			t.Error("not draining")
		}
		time.Sleep(30 * time.Second)
		b.say(leg, dialog.Ended{Cause: dialog.Cause{Reason: dialog.ReasonRemoteBye}})
		synctest.Wait()
		select {
		case n := <-cut:
			if n != 0 {
				t.Errorf("cut %d calls, want 0", n)
			}
		default:
			t.Error("drain goes on without calls")
		}
	})
}

func TestDrainHangsUpWhatIsLeftAtItsDeadline(t *testing.T) {
	run(t, nil, func(b *bench) {
		var ids []string
		for range 3 {
			c, leg, _ := b.place(Request{})
			b.say(leg, dialog.Answered{SDP: good})
			ids = append(ids, c.ID)
		}
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
		defer cancel()
		before := time.Now()
		if n := b.Drain(ctx); n != 3 {
			t.Errorf("cut %d calls, want 3", n)
		}
		if took := time.Since(before); took != time.Minute {
			t.Errorf("took %v, want 1m", took)
		}
		for _, id := range ids {
			wantCall(t, b.see(id), brief{Status: StatusCompleted, Reason: "shutdown", By: "system", Code: 487, Codec: "PCMA", Duration: time.Minute})
		}
	})
}

func TestDrainDoesNotWaitForeverForAnswersToBye(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.silent = true
		b.place(Request{})
		ctx, cancel := context.WithCancel(b.t.Context())
		cancel()
		before := time.Now()
		b.Drain(ctx)
		if took := time.Since(before); took != DefaultByeWait {
			t.Errorf("took %v, want %v", took, DefaultByeWait)
		}
	})
}

func TestTheEndOfRunHangsUpAllCalls(t *testing.T) {
	run(t, nil, func(b *bench) {
		placed, leg, sound := b.place(Request{})
		b.say(leg, dialog.Answered{SDP: good})
		b.stop()
		wantLog(t, leg.hangupReasons(), "shutdown")
		wantLog(t, sound.log(), "start PCMA 203.0.113.5:40000", "answered", "end completed shutdown", "close")
		wantCall(t, b.see(placed.ID), brief{Status: StatusCompleted, Reason: "shutdown", By: "system", Code: 487, Codec: "PCMA"})
		_, err := b.Dial(b.t.Context(), Request{To: "1"})
		wantRefusal(t, err, Unavailable, CodeDraining, "")
	})
}

func TestTheEndOfRunGivesUpOnASilentOtherSide(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.silent = true
		placed, _, sound := b.place(Request{})
		before := time.Now()
		b.stop()
		if took := time.Since(before); took != DefaultByeWait {
			t.Errorf("took %v, want %v", took, DefaultByeWait)
		}
		wantCall(t, b.see(placed.ID), brief{Status: StatusCanceled, Reason: "shutdown", By: "system"})
		wantLog(t, sound.log(), "end canceled shutdown", "close")
	})
}

func TestACallThatIsBeingPlacedWhenRunEndsIsHungUpToo(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.slow = time.Second
		placed := make(chan Call, 1)
		go func() {
			c, _ := b.Dial(b.t.Context(), Request{To: "1"})
			placed <- c
		}()
		synctest.Wait()
		b.stop()
		wantLog(t, b.legs[0].hangupReasons(), "shutdown")
		if got := b.see((<-placed).ID); got.Status != StatusCanceled || got.Reason != "shutdown" {
			t.Errorf("call = %+v, want canceled because of shutdown", briefOf(got))
		}
	})
}

func TestACallThatOpensAfterTheEndOfRunSendsNoInviteThatIsNotCanceled(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.slow, b.silent = time.Minute, true
		go func() { _, _ = b.Dial(b.t.Context(), Request{To: "1"}) }()
		synctest.Wait()
		b.stop() // waits for the goroutine, however long the opening takes
		wantLog(t, b.legs[0].hangupReasons(), "shutdown")
	})
}

func TestNothingIsPlacedWithoutRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, err := New(Config{
			Dial:   func(dialog.Invitation, func(dialog.Event)) Leg { t.Error("invited"); return nil },
			Open:   func(engine.MediaConfig) (*engine.Media, error) { t.Error("opened"); return nil, errors.New("no") },
			Policy: fakePolicy{}, Limits: &fakeLimits{calls: 1}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = x.Dial(ctx, Request{To: "1", Key: "key"})
		wantRefusal(t, err, Unavailable, CodeRequestCanceled, "")
		if x.Running() != 0 {
			t.Error("the place of the call was not given back")
		}
	})
}

func TestARequestThatDiffersOnlyInEmptyMetadataIsTheSame(t *testing.T) {
	a, b := Request{To: "1", Key: "x"}, Request{To: "1", Key: "y", Metadata: map[string]string{}}
	if a.fingerprint() != b.fingerprint() {
		t.Error("the requests differ")
	}
	if (Request{To: "1"}).fingerprint() == (Request{To: "2"}).fingerprint() {
		t.Error("different requests are the same")
	}
}

func TestNewWantsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
}

func TestNamesSortInTheOrderOfTheirMakingAlsoWhenTheClockDoesNot(t *testing.T) {
	var n namer
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	var names []string
	for i := range 3000 {
		switch {
		case i%1000 == 999:
			now = now.Add(-time.Hour)
		case i%7 == 0:
			now = now.Add(time.Millisecond)
		}
		names = append(names, n.next(now))
	}
	if !slices.IsSorted(names) {
		t.Error("names do not sort")
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != 3000 {
		t.Error("names repeat")
	}
	for _, name := range names {
		if len(name) != len(idPrefix)+idLength || strings.Trim(name[len(idPrefix):], idDigits) != "" {
			t.Fatalf("name = %q", name)
		}
	}
}

func TestStatusKnowsWhichOnesAreFinal(t *testing.T) {
	for status, want := range map[Status]bool{
		StatusQueued: false, StatusRinging: false, StatusInProgress: false,
		StatusCompleted: true, StatusBusy: true, StatusNoAnswer: true, StatusCanceled: true, StatusFailed: true,
	} {
		if got := status.Final(); got != want {
			t.Errorf("%s: final = %v, want %v", status, got, want)
		}
	}
}
