package transaction

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/sip/siptest"
)

func TestTheInboxShedsOnlyMessagesOfTheNetwork(t *testing.T) {
	run(t, "udp", func(w *world) {
		gate := make(chan struct{})
		w.Do(func() { <-gate })
		synctest.Wait()
		for i := range 20 {
			w.peer.Say(siptest.Outside("OPTIONS", fmt.Sprint("x", i)))
		}
		ran := 0
		for range 1000 {
			w.Do(func() { ran++ })
		}
		close(gate)
		w.loop(func() {})
		if ran != 1000 {
			t.Errorf("%d of 1000 functions ran", ran)
		}
		if got := len(w.requests); got != 10 {
			t.Errorf("%d requests, want 10", got)
		}
		if got := w.Stats().Shed; got != 10 {
			t.Errorf("%d counted as shed, want 10", got)
		}
	}, func(c *Config) { c.Inbox = 10 })
}

func TestMessagesAndFunctionsKeepTheirOrder(t *testing.T) {
	run(t, "udp", func(w *world) {
		var got, want []string
		w.loop(func() {
			w.serve = func(s *Server) { got = append(got, strings.TrimPrefix(s.Request().CallID().Value(), "out-")) }
		})
		for i := range 200 {
			name := fmt.Sprint("m", i)
			want = append(want, name)
			if i%3 == 0 {
				w.Do(func() { got = append(got, name) })
			} else {
				w.peer.Say(siptest.Outside("OPTIONS", name))
			}
		}
		w.loop(func() {})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	})
}

func TestAStoppedTimerDoesNotRun(t *testing.T) {
	run(t, "udp", func(w *world) {
		var ran []string
		w.loop(func() {
			w.After(time.Second, func() { ran = append(ran, "a") })
			stop := w.After(time.Second, func() { ran = append(ran, "b") })
			stop()
			// This one is due, and waits in the inbox, when it is stopped.
			late := w.After(time.Second, func() { ran = append(ran, "c") })
			w.Do(func() {
				time.Sleep(2 * time.Second)
				late()
			})
		})
		time.Sleep(3 * time.Second)
		w.loop(func() {
			if d := cmp.Diff([]string{"a"}, ran); d != "" {
				t.Errorf("ran (-want +got):\n%s", d)
			}
		})
	})
}

func TestAPanicOfAFunctionDoesNotEndTheLoop(t *testing.T) {
	run(t, "udp", func(w *world) {
		w.Do(func() { panic("a mistake") })
		w.loop(func() {})
		if got := w.Stats().Panics; got != 1 {
			t.Errorf("%d panics counted, want 1", got)
		}
	})
}

func TestAfterTheEndNothingRuns(t *testing.T) {
	l := New(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	l.Do(func() { t.Error("ran") })
	l.After(time.Millisecond, func() { t.Error("ran") })()
	if got := l.Stats().Shed; got != 0 {
		t.Errorf("%d counted", got)
	}
}
