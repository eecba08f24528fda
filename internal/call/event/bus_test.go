package event

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("CET", 3600))

func ids(t *testing.T, q *Queue, n int) []string {
	t.Helper()
	var got []string
	for range n {
		e, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data.(Call).ID)
	}
	return got
}

func TestEveryQueueGetsEveryEventInOrder(t *testing.T) {
	b := NewBus()
	q1, q2 := b.Subscribe(0), b.Subscribe(2)
	defer q1.Close()
	defer q2.Close()
	b.Publish(epoch, CallCreated, Call{ID: "a"})
	b.Publish(epoch, CallEnded, Call{ID: "b"})
	for _, q := range []*Queue{q1, q2} {
		if diff := cmp.Diff([]string{"a", "b"}, ids(t, q, 2)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAnEventCarriesItsNumberItsTypeAndUTC(t *testing.T) {
	b := NewBus()
	q := b.Subscribe(1)
	defer q.Close()
	b.Publish(epoch, RegistrationDown, Registration{Account: "main", Code: 403})
	got, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Event{Number: 1, Type: RegistrationDown, Time: epoch.UTC(), Data: Registration{Account: "main", Code: 403}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Time.Location() != time.UTC {
		t.Errorf("location = %v, want UTC", got.Time.Location())
	}
}

func TestASlowReaderLosesItsOldestEventsAndCanCountThem(t *testing.T) {
	b := NewBus()
	slow, fast := b.Subscribe(2), b.Subscribe(8)
	defer slow.Close()
	defer fast.Close()
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		b.Publish(epoch, CallCreated, Call{ID: id})
	}
	if diff := cmp.Diff([]string{"d", "e"}, ids(t, slow, 2)); diff != "" {
		t.Error(diff)
	}
	if got := slow.Dropped(); got != 3 {
		t.Errorf("dropped = %d, want 3", got)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, ids(t, fast, 5)); diff != "" {
		t.Error(diff)
	}
	if got := fast.Dropped(); got != 0 {
		t.Errorf("dropped = %d, want 0", got)
	}
}

func TestNextWaitsForAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBus()
		q := b.Subscribe(1)
		defer q.Close()
		time.AfterFunc(time.Hour, func() { b.Publish(time.Now(), CallCreated, Call{ID: "late"}) })
		before := time.Now()
		if diff := cmp.Diff([]string{"late"}, ids(t, q, 1)); diff != "" {
			t.Error(diff)
		}
		if got := time.Since(before); got != time.Hour {
			t.Errorf("waited %v, want 1h", got)
		}
	})
}

func TestNextEndsWithItsContext(t *testing.T) {
	b := NewBus()
	q := b.Subscribe(1)
	defer q.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

func TestAClosedBusLetsReadersFinishWhatIsQueued(t *testing.T) {
	b := NewBus()
	q := b.Subscribe(4)
	b.Publish(epoch, CallCreated, Call{ID: "a"})
	b.Close()
	b.Publish(epoch, CallCreated, Call{ID: "never"})
	if diff := cmp.Diff([]string{"a"}, ids(t, q, 1)); diff != "" {
		t.Error(diff)
	}
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v, want ErrClosed", err)
	}
	q.Close()
	late := b.Subscribe(1)
	if _, err := late.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("late subscriber: error = %v, want ErrClosed", err)
	}
}

func TestAClosedQueueGetsNothingMore(t *testing.T) {
	b := NewBus()
	q := b.Subscribe(4)
	q.Close()
	b.Publish(epoch, CallCreated, Call{ID: "a"})
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v, want ErrClosed", err)
	}
}

func TestManyPublishersAndReadersKeepTheOrderOfTheNumbers(t *testing.T) {
	const publishers, each = 8, 200
	b := NewBus()
	queues := []*Queue{b.Subscribe(publishers * each), b.Subscribe(publishers * each)}
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for range each {
				b.Publish(epoch, CallCreated, Call{})
			}
		})
	}
	for _, q := range queues {
		wg.Go(func() {
			defer q.Close()
			for want := uint64(1); want <= publishers*each; want++ {
				e, err := q.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if e.Number != want {
					t.Errorf("number = %d, want %d", e.Number, want)
					return
				}
			}
		})
	}
	wg.Wait()
}
