package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"phonesocket": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// start runs one command line within the test.
func start(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = program{environ: environ, stdout: &out, stderr: &err}.run(t.Context(), args)
	return code, out.String(), err.String()
}

func TestHealthAsksTheGatewayOfTheSameEnvironment(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	port := server.URL[strings.LastIndexByte(server.URL, ':')+1:]
	// HTTP_PROXY must not come between; a wrong account must not matter.
	environ := []string{"API_PORT=" + port, "HTTP_BIND=0.0.0.0", "HTTP_PROXY=http://192.0.2.1:1", "SIP_TRANSPORT=x", "API_TOKEN=secret"}
	if code, stdout, stderr := start(t, environ, "health"); code != exitOK || stdout != "ok\n" || stderr != "" {
		t.Errorf("healthy: %d %q %q", code, stdout, stderr)
	}
	status = http.StatusServiceUnavailable
	if code, stdout, stderr := start(t, environ, "health"); code != exitFailed || stdout != "" || !strings.Contains(stderr, "503") {
		t.Errorf("not healthy: %d %q %q", code, stdout, stderr)
	}
}

func TestHealthGivesUpOnAGatewayThatHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	begun := time.Now()
	code, _, stderr := start(t, []string{"API_PORT=" + server.URL[strings.LastIndexByte(server.URL, ':')+1:]}, "health")
	if took := time.Since(begun); code != exitFailed || took > healthTimeout+2*time.Second || took < healthTimeout {
		t.Errorf("exit code %d after %v: %s", code, took, stderr)
	}
}

func TestExitCodesTellMistakesFromFailures(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want int
	}{
		{nil, exitUsage},
		{[]string{"run"}, exitUsage},
		{[]string{"nonsense"}, exitUsage},
		{[]string{"version", "x"}, exitUsage},
		{[]string{"version"}, exitOK},
		{[]string{"-h"}, exitOK},
		{[]string{"env"}, exitOK},
	} {
		if code, _, stderr := start(t, nil, tc.args...); code != tc.want {
			t.Errorf("%v: exit code %d, want %d: %s", tc.args, code, tc.want, stderr)
		}
	}
}

func TestTheFirstSignalStopsAndTheSecondHurries(t *testing.T) {
	seen := make(chan os.Signal, 3)
	signal.Notify(seen, syscall.SIGTERM)
	defer signal.Stop(seen)
	interrupt := func() {
		t.Helper()
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		wait(t, seen, "the signal did not arrive")
	}
	ctx, hurry, stop := signals(t.Context())
	defer stop()
	if ctx.Err() != nil {
		t.Fatal("stopped before any signal")
	}
	interrupt()
	wait(t, ctx.Done(), "the first signal stopped nothing")
	select {
	case <-hurry:
		t.Fatal("the first signal hurried")
	default:
	}
	interrupt()
	wait(t, hurry, "the second signal did not hurry")
	interrupt() // a third must not panic
}

func wait[T any](t *testing.T, c <-chan T, complaint string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatal(complaint)
	}
}
