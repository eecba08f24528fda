package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"phonesocket/internal/config"
	"phonesocket/internal/phonenet"
	"phonesocket/internal/sip/dialog"
)

// wing is a SIP wing with a journal, without sound.
type wing struct {
	*signalling
	parts *parts
	all   []*part
	diary diary
}

// startWing starts a SIP wing, and with it the end of what an earlier one has left.
func startWing(t *testing.T, cfg *config.Config) *wing {
	t.Helper()
	w, log := &wing{parts: newParts()}, slog.New(slog.DiscardHandler)
	if err := w.diary.open(cfg.Run.StateDir, log); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.signalling, err = newSignalling(cfg, "test", &w.diary, nil, log); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	w.all = []*part{
		w.parts.start(ctx, "loop", w.layer.Run), w.parts.start(ctx, "sockets", w.transport.Run), w.parts.start(ctx, "journal", w.diary.journal.Run),
	}
	w.parts.all.Go(func() { w.diary.end(ctx, log) })
	return w
}

// die stops everything without a word to anybody.
func (w *wing) die() {
	for _, p := range w.all {
		p.stop()
	}
	w.parts.all.Wait()
}

// TestACrashWith1000CallsLeavesNoLeg ends the SIP wing at once, as a killed process does, and starts it again.
func TestACrashWith1000CallsLeavesNoLeg(t *testing.T) {
	if testing.Short() {
		t.Skip("1,000 calls are left out with -short")
	}
	const up, ringing, late, limit = 400, 300, 300, 5 * time.Second
	var answer atomic.Bool
	box, err := phonenet.Start(t.Context(), phonenet.Config{
		Bind: netip.MustParseAddrPort("127.0.0.1:0"), Users: map[string]string{"alice": "alice-secret"},
		MaxCalls: 2000, History: 2000, RTPTimeout: -1, Record: -1, Scripts: map[string]phonenet.Script{"120": answerWhen(&answer)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	env := []string{"SIP_SERVER=" + box.Addr().String(), "SIP_USER=alice", "SIP_PASSWORD=alice-secret", "SIP_BIND=127.0.0.1:0", "STATE_DIR=" + t.TempDir()}
	cfg, err := config.Load(env)
	if err != nil {
		t.Fatal(err)
	}
	first := startWing(t, cfg)
	lease := newParts().start(context.WithoutCancel(t.Context()), "registration", first.registration.Run)
	if _, err := box.WaitRegistered(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	until(t, "registered", func() bool { _, err := first.registration.Path(); return err == nil })
	offer := []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n")
	began, pace := time.Now(), time.NewTicker(20*time.Millisecond)
	defer pace.Stop()
	for number, n := range map[string]int{"107": up, "103": ringing, "120": late} {
		for i := range n {
			if i%20 == 19 { // as many as the buffers of sockets hold
				<-pace.C
			}
			first.ua.Invite(dialog.Invitation{To: number, Offer: offer, RingTimeout: time.Hour}, func(dialog.Event) {})
		}
	}
	untilStates(t, box, map[phonenet.State]int{phonenet.StateConfirmed: up, phonenet.StateRinging: ringing + late})
	t.Logf("%d calls placed in %v", up+ringing+late, time.Since(began).Round(time.Millisecond))
	cfg.SIP.Bind = first.transport.Bound()
	first.die()
	lease.stop()
	answer.Store(true)
	untilStates(t, box, map[phonenet.State]int{phonenet.StateAnswered: late})

	restart := time.Now()
	second := startWing(t, cfg)
	defer second.die()
	untilStates(t, box, map[phonenet.State]int{phonenet.StateEnded: up + ringing + late})
	got, after := map[phonenet.EndReason]int{}, []time.Duration{}
	for _, c := range box.Calls() {
		got[c.Reason]++
		after = append(after, c.Ended.Sub(restart).Round(time.Millisecond))
	}
	slices.Sort(after)
	last := after[len(after)-1]
	t.Logf("%d legs ended %v; after the restart: first %v, median %v, last %v", len(after), got, after[0], after[len(after)/2], last)
	if got[phonenet.EndRemoteBye] != up+late || got[phonenet.EndCanceled] != ringing || last > limit {
		t.Errorf("want %d with BYE and %d with CANCEL, within %v", up+late, ringing, limit)
	}
}

// answerWhen is a callee who rings until a flag is set.
func answerWhen(flag *atomic.Bool) phonenet.Script {
	return func(leg *phonenet.Leg) {
		leg.Ring()
		var look func()
		look = func() {
			if flag.Load() {
				leg.Answer(phonenet.Nothing())
				return
			}
			leg.After(50*time.Millisecond, look)
		}
		look()
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not %s within 30 s", what)
		}
	}
}

func untilStates(t *testing.T, box *phonenet.Net, want map[phonenet.State]int) {
	t.Helper()
	until(t, fmt.Sprint("in states ", want), func() bool {
		got := map[phonenet.State]int{}
		for _, c := range box.Calls() {
			got[c.State]++
		}
		for state, n := range want {
			if got[state] != n {
				return false
			}
		}
		return true
	})
}
