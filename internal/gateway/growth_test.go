package gateway_test

import (
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"testing"

	"phonesocket/internal/phonenet"
)

// footprint is what a process holds.
type footprint struct {
	goroutines, files int
	heap              uint64
}

func measure(t *testing.T) footprint {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil { // Linux only
		f.files = len(open)
	}
	return f
}

func TestShortCallsLeaveNothingBehind(t *testing.T) {
	r := startRigWith(t, phonenet.Config{Record: -1}, slog.New(slog.DiscardHandler), "CALLS_PER_MINUTE=100000")
	calls := func(n int) {
		for range n {
			status, placed := r.do(t, "POST", "/call", `{"to":"100"}`)
			if status != http.StatusCreated {
				t.Fatalf("status %d: %v", status, placed)
			}
			path, _ := placed["id"].(string)
			path = "/v1/calls/" + path
			r.eventually(t, "answered", func() bool {
				_, now := r.do(t, "GET", path, "")
				return now["status"] == "in-progress"
			})
			if status, ended := r.do(t, "DELETE", path, ""); status != http.StatusOK || ended["status"] != "completed" {
				t.Fatalf("hang up: %d %v", status, ended)
			}
		}
	}
	calls(20) // pools and tables grow to their size
	before := measure(t)
	calls(200)
	var after footprint
	r.eventually(t, "back to the goroutines and files of before", func() bool {
		after = measure(t)
		return after.goroutines <= before.goroutines+3 && after.files <= before.files+3
	})
	// Both ends are in this process. Ended calls stay readable, and their
	// transactions live for half a minute (RFC 3261 17).
	const perCall = 64 << 10
	if grown := int64(after.heap) - int64(before.heap); grown > 200*perCall {
		t.Errorf("the heap has grown by %d bytes in 200 calls, want at most %d for each", grown, perCall)
	}
	t.Logf("before %+v, after %+v", before, after)
}
