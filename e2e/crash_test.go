package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"phonesocket/internal/phonenet"
)

// TestKillNineWith100CallsLeavesNoLeg kills the process with calls that are up, ringing, and answered
// while nobody is there; after the restart every leg has to get its BYE or CANCEL.
func TestKillNineWith100CallsLeavesNoLeg(t *testing.T) {
	peers(t)
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) { killNine(t, network, load{up: 40, ringing: 30, late: 30, limit: 2 * time.Second}) })
	}
}

// load is how many calls a process is killed with: up, ringing, and ringing but answered before
// the restart; and how long after the restart the last leg may get its BYE or CANCEL.
type load struct {
	up, ringing, late int
	limit             time.Duration
}

func (l load) all() int { return l.up + l.ringing + l.late }

func killNine(t *testing.T, network string, l load) {
	var answer atomic.Bool
	box, err := phonenet.Start(t.Context(), phonenet.Config{
		Bind: netip.MustParseAddrPort("127.0.0.1:0"), Network: network, Users: map[string]string{"alice": "alice-secret"},
		MaxCalls: 2000, History: 2000, Behaviour: phonenet.Behaviour{ChallengeBye: true},
		Scripts: map[string]phonenet.Script{"120": func(leg *phonenet.Leg) {
			leg.Ring()
			var look func()
			look = func() {
				if answer.Load() {
					leg.Answer(phonenet.Nothing())
					return
				}
				leg.After(20*time.Millisecond, look)
			}
			look()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	env := []string{
		"SIP_SERVER=" + box.Addr().String(), "SIP_USER=alice", "SIP_PASSWORD=alice-secret", "SIP_TRANSPORT=" + network,
		fmt.Sprintf("SIP_BIND=127.0.0.1:%d", freePort(t)), "STATE_DIR=" + t.TempDir(), "MAX_CALLS=2000", "CALLS_PER_MINUTE=10000",
	}
	g := startGateway(t, env...)
	g.waitReady(t)
	began := time.Now()
	for number, count := range map[string]int{"100": l.up, "103": l.ringing, "120": l.late} {
		for range count {
			g.dial(t, object{"to": number})
		}
	}
	waitStates(t, box, map[phonenet.State]int{phonenet.StateConfirmed: l.up, phonenet.StateRinging: l.ringing + l.late})
	// What the gateway has not read yet it cannot know after the crash.
	g.waitCalls(t, l.all(), "in-progress", "ringing")
	t.Logf("%d calls placed in %v", l.all(), time.Since(began).Round(time.Millisecond))

	_ = g.cmd.Process.Kill()
	<-g.done
	answer.Store(true)
	waitStates(t, box, map[phonenet.State]int{phonenet.StateConfirmed: l.up, phonenet.StateRinging: l.ringing, phonenet.StateAnswered: l.late})

	restart := time.Now()
	again := startGateway(t, env...)
	waitStates(t, box, map[phonenet.State]int{phonenet.StateEnded: l.all()})
	last := wantEnded(t, box.Calls(), restart, map[phonenet.EndReason]int{phonenet.EndRemoteBye: l.up + l.late, phonenet.EndCanceled: l.ringing})
	if last > l.limit {
		t.Errorf("the last leg ended %v after the restart, want within %v", last, l.limit)
	}
	again.waitReady(t)
	again.waitOutput(t, "calls that a crash has left are ended", 45*time.Second)
	id := again.dial(t, object{"to": "100"}).text("id") // and life goes on
	again.waitStatus(t, id, 10*time.Second, "in-progress")
	again.hangup(t, id)
	again.waitStatus(t, id, 10*time.Second, "completed")
}

// waitCalls waits until so many calls have one of the statuses.
func (g *gateway) waitCalls(t *testing.T, want int, statuses ...string) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprint(want, " calls are ", statuses), func() (bool, string) {
		status, page, err := g.try("GET", "/v1/calls?limit=500", nil)
		calls, _ := page["calls"].([]any)
		got := 0
		for _, c := range calls {
			call, _ := c.(map[string]any)
			if slices.Contains(statuses, object(call).text("status")) {
				got++
			}
		}
		return got == want, fmt.Sprint(got, status, err)
	})
}

// waitStates waits until the callees are in these states.
func waitStates(t *testing.T, box *phonenet.Net, want map[phonenet.State]int) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprint("calls are in states ", want), func() (bool, string) {
		got := map[phonenet.State]int{}
		for _, c := range box.Calls() {
			got[c.State]++
		}
		for state, n := range want {
			if got[state] != n {
				return false, fmt.Sprint(got)
			}
		}
		return true, ""
	})
}

// wantEnded checks how the calls have ended, and returns how soon after the restart the last one has.
func wantEnded(t *testing.T, calls []phonenet.Call, restart time.Time, want map[phonenet.EndReason]int) (last time.Duration) {
	t.Helper()
	got := map[phonenet.EndReason]int{}
	var after []time.Duration
	for _, c := range calls {
		got[c.Reason]++
		after = append(after, c.Ended.Sub(restart))
	}
	slices.Sort(after)
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	t.Logf("%d legs ended %v; after the restart: first %v, median %v, last %v", len(calls), got, ms(after[0]), ms(after[len(after)/2]), ms(after[len(after)-1]))
	for reason, n := range want {
		if got[reason] != n {
			t.Errorf("%d legs ended with %s, want %d", got[reason], reason, n)
		}
	}
	return after[len(after)-1]
}
