package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"phonesocket/internal/config"
	"phonesocket/internal/gateway"
	"phonesocket/internal/phonenet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a gateway that runs beside a telephone network.
type rig struct {
	*gateway.Gateway
	net    *phonenet.Net
	base   string
	client *http.Client
	stop   context.CancelFunc
	hurry  chan struct{}
	ended  chan error
}

func settings(t *testing.T, env ...string) *config.Config {
	t.Helper()
	cfg, err := config.Load(append([]string{"SIP_BIND=127.0.0.1:0", "API_PORT=0", "SPEAK_PORT=0", "LISTEN_PORT=0"}, env...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// startRig runs a gateway beside an honest network and waits until it is registered.
func startRig(t *testing.T, env ...string) *rig {
	t.Helper()
	return startRigWith(t, phonenet.Config{}, slog.New(slog.DiscardHandler), env...)
}

// startRigWith is startRig with another network and log.
func startRigWith(t *testing.T, network phonenet.Config, log *slog.Logger, env ...string) *rig {
	t.Helper()
	r := launch(t, startBox(t, network), log, env...)
	if _, err := r.net.WaitRegistered(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	r.eventually(t, "ready", func() bool { return r.status(t, "GET", "/ready") == http.StatusOK })
	return r
}

// startBox runs a telephone network in which alice may call.
func startBox(t *testing.T, network phonenet.Config) *phonenet.Net {
	t.Helper()
	network.Bind, network.Users = netip.MustParseAddrPort("127.0.0.1:0"), map[string]string{"alice": "alice-secret"}
	box, err := phonenet.Start(t.Context(), network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	return box
}

// launch runs a gateway as alice.
func launch(t *testing.T, box *phonenet.Net, log *slog.Logger, env ...string) *rig {
	t.Helper()
	cfg := settings(t, append([]string{"SIP_SERVER=" + box.Addr().String(), "SIP_USER=alice", "SIP_PASSWORD=alice-secret"}, env...)...)
	g, err := gateway.New(t.Context(), cfg, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	transport := &http.Transport{}
	r := &rig{
		Gateway: g, net: box, base: fmt.Sprintf("http://%v", g.Addresses().API), client: &http.Client{Transport: transport},
		stop: stop, hurry: make(chan struct{}), ended: make(chan error, 1),
	}
	go func() { r.ended <- g.Run(ctx, r.hurry) }()
	t.Cleanup(func() {
		stop()
		transport.CloseIdleConnections()
	})
	return r
}

func (r *rig) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not %s within 10 s", what)
		}
	}
}

func (r *rig) status(t *testing.T, method, path string) int {
	t.Helper()
	status, _ := r.do(t, method, path, "")
	return status
}

func (r *rig) do(t *testing.T, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]any{}
	_ = json.NewDecoder(res.Body).Decode(&out) // an empty body stays an empty object
	return res.StatusCode, out
}

// wait returns what Run returned.
func (r *rig) wait(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	case <-time.After(limit):
		t.Fatalf("Run did not return within %v", limit)
	}
}

func (r *rig) dial(t *testing.T, to string) {
	t.Helper()
	status, call := r.do(t, "POST", "/call", `{"to":"`+to+`"}`)
	if status != http.StatusCreated {
		t.Fatalf("POST /call = %d %v, want 201", status, call)
	}
}

func TestStoppingWithoutCallsUnregistersAndReturns(t *testing.T) {
	r := startRig(t)
	r.stop()
	r.wait(t, 5*time.Second)
	if err := r.net.WaitUnregistered(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

func TestStoppingRefusesNewCallsAndSaysByeToTheOthersWhenTheDrainTimeIsOver(t *testing.T) {
	r := startRig(t, "DRAIN_TIMEOUT=500ms")
	for range 5 {
		r.dial(t, "100")
	}
	for range 2 {
		r.dial(t, "103") // rings for ever: these need a CANCEL
	}
	r.eventually(t, "all calls on their way", func() bool {
		up := 0
		for _, c := range r.net.Calls() {
			if c.State == phonenet.StateConfirmed || c.State == phonenet.StateRinging {
				up++
			}
		}
		return up == 7
	})
	r.stop()
	r.eventually(t, "not ready while draining", func() bool { return r.status(t, "GET", "/ready") == http.StatusServiceUnavailable })
	if status, problem := r.do(t, "POST", "/call", `{"to":"100"}`); status != http.StatusServiceUnavailable || problem["code"] != "draining" {
		t.Errorf("POST /call while draining = %d %v, want 503 draining", status, problem)
	}
	r.wait(t, 10*time.Second)
	for _, c := range r.net.Calls() {
		if c.State != phonenet.StateEnded {
			t.Errorf("call %s to %s is left in state %v, want ended", c.ID, c.To, c.State)
		}
	}
	if err := r.net.WaitUnregistered(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

func TestASecondSignalEndsTheDrainAtOnce(t *testing.T) {
	r := startRig(t, "DRAIN_TIMEOUT=1h")
	r.dial(t, "100")
	if _, err := r.net.WaitState(t.Context(), phonenet.StateConfirmed); err != nil {
		t.Fatal(err)
	}
	r.stop()
	close(r.hurry)
	r.wait(t, 10*time.Second)
	if calls := r.net.Calls(); len(calls) != 1 || calls[0].State != phonenet.StateEnded {
		t.Errorf("calls = %v, want one that has ended", calls)
	}
}

func TestAPortInUseIsToldWithItsVariable(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, variable := range []string{"API_PORT", "SPEAK_PORT", "LISTEN_PORT"} {
		cfg := settings(t, "SIP_SERVER=127.0.0.1:5060", "SIP_USER=a", "SIP_PASSWORD=b", fmt.Sprintf("%s=%d", variable, port))
		if _, err := gateway.New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("New with %s in use = %v, want an error that names it", variable, err)
		}
	}
}

func TestTheSIPPortInUseIsToldWithItsVariable(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := settings(t, "SIP_SERVER=127.0.0.1:5060", "SIP_USER=a", "SIP_PASSWORD=b", "SIP_BIND="+taken.LocalAddr().String())
	if _, err := gateway.New(t.Context(), cfg, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "SIP_BIND") {
		t.Errorf("New with the SIP port in use = %v, want an error that names SIP_BIND", err)
	}
}

func TestAWrongPasswordIsToldAtEveryPlaceWhereSomebodyLooks(t *testing.T) {
	var log lockedBuffer
	r := launch(t, startBox(t, phonenet.Config{}), slog.New(slog.NewTextHandler(&log, nil)), "SIP_PASSWORD=wrong-secret")
	r.eventually(t, "told as failed", func() bool {
		_, body := r.do(t, "GET", "/v1/registrations", "")
		return strings.Contains(fmt.Sprint(body), "SIP_PASSWORD")
	})
	if status, problem := r.do(t, "POST", "/call", `{"to":"100"}`); status != http.StatusServiceUnavailable ||
		problem["code"] != "not_registered" || !strings.Contains(fmt.Sprint(problem["detail"]), "SIP_PASSWORD") {
		t.Errorf("POST /call = %d %v, want 503 not_registered with advice on SIP_PASSWORD", status, problem)
	}
	if text := log.String(); !strings.Contains(text, "SIP_PASSWORD") || strings.Contains(text, "wrong-secret") {
		t.Errorf("log = %s, want advice on SIP_PASSWORD and no password", text)
	}
	r.stop()
	r.wait(t, 5*time.Second)
}

// lockedBuffer is a buffer that a logger and a test may use at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
