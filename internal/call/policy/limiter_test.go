package policy

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiterCountsTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limiter{PerMinute: 3, MaxCalls: 10}
		admit := func(want bool, retry time.Duration) {
			t.Helper()
			err := l.Admit(time.Now(), 0)
			if want != (err == nil) {
				t.Fatalf("admitted: %t, %v", err == nil, err)
			}
			var denied *Denied
			if errors.As(err, &denied) && (denied.Code != CallsPerMinute || !denied.Throttled() || denied.RetryAfter != retry) {
				t.Fatalf("got %+v, want a retry after %v", denied, retry)
			}
		}
		admit(true, 0)
		time.Sleep(10 * time.Second)
		admit(true, 0)
		admit(true, 0)
		admit(false, 50*time.Second)
		time.Sleep(49 * time.Second)
		admit(false, time.Second)
		time.Sleep(time.Second)
		admit(true, 0) // the first is a minute old
		admit(false, 10*time.Second)
		time.Sleep(10 * time.Second)
		admit(true, 0)
		admit(true, 0)
		admit(false, 50*time.Second) // the fourth began 10 s ago
		time.Sleep(time.Hour)
		for range 3 {
			admit(true, 0)
		}
		admit(false, time.Minute)
	})
}

func TestLimiterNeverAdmitsMoreWithinAnyMinute(t *testing.T) {
	l := Limiter{PerMinute: 30}
	now := time.Unix(1_800_000_000, 0)
	var admitted []time.Time
	for range 10_000 {
		if l.Admit(now, 0) == nil {
			admitted = append(admitted, now)
		}
		now = now.Add(437 * time.Millisecond)
	}
	for i := 30; i < len(admitted); i++ {
		if gap := admitted[i].Sub(admitted[i-30]); gap < time.Minute {
			t.Fatalf("31 calls within %v", gap)
		}
	}
	if len(admitted) < 2000 {
		t.Errorf("only %d calls in 73 minutes", len(admitted))
	}
}

func TestLimiterCountsRunningCalls(t *testing.T) {
	l := Limiter{PerMinute: 2, MaxCalls: 2}
	now := time.Unix(1_800_000_000, 0)
	var denied *Denied
	for range 5 { // refused calls use up nothing of the minute
		if err := l.Admit(now, 2); !errors.As(err, &denied) || denied.Code != TooManyCalls || !denied.Throttled() {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.Admit(now, 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLimiterWithoutLimits(t *testing.T) {
	var l Limiter
	for range 1000 {
		if err := l.Admit(time.Unix(0, 0), 1_000_000); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLimiterSurvivesAClockThatJumpsBack(t *testing.T) {
	l := Limiter{PerMinute: 1}
	now := time.Unix(1_800_000_000, 0)
	if err := l.Admit(now, 0); err != nil {
		t.Fatal(err)
	}
	var denied *Denied
	if err := l.Admit(now.Add(-time.Hour), 0); !errors.As(err, &denied) || denied.RetryAfter > time.Minute {
		t.Errorf("got %+v: nobody may be told to wait longer than the window", denied)
	}
}
