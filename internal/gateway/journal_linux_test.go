package gateway_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"phonesocket/internal/gateway"
	"phonesocket/internal/phonenet"
)

func TestAFullDiskRefusesNewCallsAndEndsNone(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system of our own: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := startRig(t, "STATE_DIR="+dir)
	r.dial(t, "100")
	running, err := r.net.WaitState(t.Context(), phonenet.StateConfirmed)
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 2<<20), 0o600) // until it is full
	status, problem := r.do(t, "POST", "/call", `{"to":"100"}`)
	if detail, _ := problem["detail"].(string); status != http.StatusServiceUnavailable || problem["code"] != "journal_full" || !strings.Contains(detail, "STATE_DIR") {
		t.Errorf("POST /call on a full disk = %d %v, want 503 journal_full with the cure", status, problem)
	}
	if status := r.status(t, "GET", "/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("GET /ready on a full disk = %d, want 503", status)
	}
	if code, err := r.net.Ping(t.Context(), running.ID); err != nil || code != http.StatusOK {
		t.Errorf("OPTIONS within the running call = %d, %v; want 200", code, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "ready again", func() bool { return r.status(t, "GET", "/ready") == http.StatusOK })
	r.dial(t, "100")
	r.eventually(t, "two calls up", func() bool {
		up := 0
		for _, c := range r.net.Calls() {
			if c.State == phonenet.StateConfirmed {
				up++
			}
		}
		return up == 2
	})
	r.stop()
	close(r.hurry)
	r.wait(t, 10*time.Second)
}

func TestAStateDirectoryInUseIsToldWithItsVariable(t *testing.T) {
	dir := t.TempDir()
	r := startRig(t, "STATE_DIR="+dir)
	cfg := settings(t, "SIP_SERVER=127.0.0.1:5060", "SIP_USER=a", "SIP_PASSWORD=b", "STATE_DIR="+dir)
	if _, err := gateway.New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "STATE_DIR") {
		t.Errorf("New with a directory in use = %v, want an error that names STATE_DIR", err)
	}
	r.stop()
	r.wait(t, 10*time.Second)
}

func TestTheJournalIsEmptyAfterAnOrderlyEnd(t *testing.T) {
	dir := t.TempDir()
	r := startRig(t, "STATE_DIR="+dir, "DRAIN_TIMEOUT=0s")
	r.dial(t, "100")
	r.dial(t, "103")
	r.eventually(t, "both on their way", func() bool {
		for _, c := range r.net.Calls() {
			if c.State != phonenet.StateConfirmed && c.State != phonenet.StateRinging {
				return false
			}
		}
		return len(r.net.Calls()) == 2
	})
	r.stop()
	r.wait(t, 10*time.Second)
	var log lockedBuffer
	again := launch(t, r.net, slog.New(slog.NewTextHandler(&log, nil)), "STATE_DIR="+dir)
	again.stop()
	again.wait(t, 10*time.Second)
	if strings.Contains(log.String(), "crash") {
		t.Errorf("after an orderly end the next start says\n%s", log.String())
	}
}
