package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startCallee runs a sipp scenario as the callee of exactly one call.
func startCallee(t *testing.T, port int, scenario string) *process {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	callee := start(t, dir, nil, "sipp", "-sf", file, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-mp", strconv.Itoa(freePort(t)),
		"-m", "1", "-nr", "-nostdin", "-timeout", "40", "-timeout_error", "-trace_err", "-error_file", filepath.Join(dir, "errors.log"))
	// Who calls before the callee is there is refused.
	eventually(t, 10*time.Second, "sipp listens", func() (bool, string) {
		// Not by binding the port oneself: sipp could come just then.
		sockets, err := os.ReadFile("/proc/net/udp")
		return err != nil || strings.Contains(string(sockets), fmt.Sprintf("0100007F:%04X", port)), "its port is free"
	})
	return callee
}

// waitScenario waits until the callee has seen all that its scenario wants.
func waitScenario(t *testing.T, callee *process) {
	t.Helper()
	select {
	case <-callee.done:
		if callee.err != nil {
			t.Errorf("the callee did not see what its scenario wants: %v", callee.err)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("the callee still waits for something that its scenario wants")
	}
}

func TestCalleesThatBehaveBadly(t *testing.T) {
	peers(t, "sipp")
	tests := []struct {
		scenario string
		request  object
		hangupAt string // the status in which the test hangs up; empty: never
		status   string
		reason   string
	}{
		{scenario: "busy", status: "busy", reason: "busy"},
		{scenario: "noanswer", request: object{"ring_timeout_ms": 5000}, status: "no-answer", reason: "ring_timeout"},
		{scenario: "noanswer", hangupAt: "ringing", status: "canceled", reason: "api_hangup"},
		{scenario: "crossing", hangupAt: "ringing", status: "canceled", reason: "api_hangup"},
		{scenario: "fork", hangupAt: "in-progress", status: "completed", reason: "api_hangup"},
		{scenario: "lostack", status: "completed", reason: "remote_bye"},
		{scenario: "many18x", hangupAt: "in-progress", status: "completed", reason: "api_hangup"},
		{scenario: "lostinvite", hangupAt: "in-progress", status: "completed", reason: "api_hangup"},
		{scenario: "lostbye", hangupAt: "in-progress", status: "completed", reason: "api_hangup"},
		{scenario: "nosdp", status: "failed", reason: "sdp"},
		{scenario: "deafport", status: "failed", reason: "media_rejected"},
		{scenario: "moved", status: "failed", reason: "redirected"},
	}
	for _, test := range tests {
		t.Run(test.scenario+" ends "+test.status, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			callee := startCallee(t, port, test.scenario)
			g := startGateway(t, fmt.Sprintf("SIP_SERVER=127.0.0.1:%d", port), "SIP_USER=alice", "SIP_PASSWORD=unused", "SIP_REGISTER=false")
			g.waitReady(t)
			request := object{"to": "1000"}
			maps.Copy(request, test.request)
			id := g.dial(t, request).text("id")
			if test.hangupAt != "" {
				g.waitStatus(t, id, 10*time.Second, test.hangupAt)
				g.hangup(t, id)
			}
			call := g.waitStatus(t, id, 15*time.Second, test.status)
			if call.text("reason") != test.reason {
				t.Errorf("reason = %q, want %q", call.text("reason"), test.reason)
			}
			waitScenario(t, callee)
		})
	}
}
