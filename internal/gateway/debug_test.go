//go:build debug

package gateway_test

import (
	"net"
	"net/http"
	"testing"
	"time"
)

func TestProfilesAreServedWhereTheyAreAskedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	r := startRig(t, "DEBUG_LISTEN="+at)
	if got := r.status(t, "GET", "/debug/pprof/"); got != http.StatusNotFound {
		t.Errorf("profiles at the REST port: %d", got)
	}
	r.base = "http://" + at
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/profile?seconds=1"} {
		res, err := r.client.Get(r.base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	r.stop()
	r.wait(t, 10*time.Second)
}
