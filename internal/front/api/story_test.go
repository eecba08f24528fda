package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"phonesocket/internal/call"
	"phonesocket/internal/call/policy"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/sip/dialog"
)

// phone is the SIP side of a story: it counts who rings and confirms every hang-up.
type phone struct {
	rings atomic.Int64
}

type phoneLeg struct {
	once sync.Once
	on   func(dialog.Event)
}

func (p *phone) dial(_ dialog.Invitation, on func(dialog.Event)) call.Leg {
	p.rings.Add(1)
	on(dialog.Ringing{Code: 180})
	return &phoneLeg{on: on}
}

func (*phoneLeg) ID() string { return "story@example.test" }

func (l *phoneLeg) Hangup(c dialog.Cause) {
	l.once.Do(func() {
		c.Code = 487
		l.on(dialog.Ended{Cause: c})
	})
}

// newStory serves a real exchange with a real engine over HTTP; only SIP is played.
func newStory(t *testing.T, p *phone) *httptest.Server {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	e, err := engine.New(engine.Config{Bind: netip.MustParseAddr("127.0.0.1"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	x, err := call.New(call.Config{
		Dial: p.dial, Open: e.Open, From: "+4930999", Logger: logger,
		Policy: policy.Rules{}, Limits: &policy.Limiter{PerMinute: 5, MaxCalls: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	cfg.Calls, cfg.Ready = x, x.Ready
	srv := httptest.NewServer(newHandler(t, cfg))
	ctx, cancel := context.WithCancel(t.Context())
	engineCtx, stopEngine := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(engineCtx) })
	running.Go(func() { _ = x.Run(ctx); stopEngine() })
	t.Cleanup(func() {
		srv.Client().CloseIdleConnections()
		srv.Close()
		cancel()
		running.Wait()
	})
	return srv
}

// do sends a request and returns status and body.
func do(t *testing.T, srv *httptest.Server, method, path, body, key string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Errorf("%s %s: %v\n%s", method, path, err, text)
	}
	return res.StatusCode, all
}

func TestFiftyRepetitionsOverHTTPRingOnce(t *testing.T) {
	p := &phone{}
	srv := newStory(t, p)
	var wg sync.WaitGroup
	var ids sync.Map
	for i := range 50 {
		wg.Go(func() {
			path := []string{"/call", "/v1/calls"}[i%2]
			status, c := do(t, srv, "POST", path, `{"to":"+49 30 123456"}`, "the-key")
			if status != http.StatusCreated {
				t.Errorf("status = %d, want 201: %v", status, c)
			}
			ids.Store(c["id"], true)
		})
	}
	wg.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if n != 1 || p.rings.Load() != 1 {
		t.Errorf("ids = %d, rings = %d; want 1, 1", n, p.rings.Load())
	}
	if status, problem := do(t, srv, "POST", "/call", `{"to":"+49 30 999999"}`, "the-key"); status != 422 || problem["code"] != "idempotency_key_reused" {
		t.Errorf("another request: %d %v", status, problem)
	}
}

func TestTheStoryOfSeveralCallsOverHTTP(t *testing.T) {
	p := &phone{}
	srv := newStory(t, p)
	step := func(method, path, body string, wantStatus int, wantCode string) map[string]any {
		t.Helper()
		status, got := do(t, srv, method, path, body, "")
		if status != wantStatus || (wantCode != "" && got["code"] != wantCode) {
			t.Fatalf("%s %s: %d %v; want %d %s", method, path, status, got, wantStatus, wantCode)
		}
		return got
	}
	step("POST", "/hangup", "", 404, "no_call")
	step("POST", "/call", `{"to":"112"}`, 403, "emergency_number")
	step("POST", "/call", `{"to":"0900 1234567"}`, 403, "premium_number")
	step("POST", "/call", `{"to":"+1 212 5550123"}`, 403, "foreign_country")
	step("POST", "/call", `{"to":"hello"}`, 422, "invalid_number")
	step("POST", "/call", `{}`, 422, "invalid_request")
	if p.rings.Load() != 0 {
		t.Fatal("somebody rings who must not")
	}
	first := step("POST", "/call", `{"number":"030 123456"}`, 201, "")
	if first["to"] != "+4930123456" {
		t.Errorf("to = %v, want +4930123456", first["to"])
	}
	step("POST", "/hangup", "", 200, "")
	var ids []string
	for i := range 3 {
		ids = append(ids, step("POST", "/v1/calls", fmt.Sprintf(`{"to":"10%d"}`, i), 201, "")["id"].(string))
	}
	step("POST", "/v1/calls", `{"to":"104"}`, 429, "too_many_calls")
	step("POST", "/hangup", "", 409, "several_calls")
	for _, id := range ids {
		if c := step("DELETE", "/v1/calls/"+id, "", 200, ""); c["status"] != "canceled" || c["reason"] != "api_hangup" {
			t.Errorf("call = %v, want canceled", c)
		}
	}
	step("POST", "/v1/calls", `{"to":"105"}`, 201, "")
	step("POST", "/v1/calls", `{"to":"106"}`, 429, "calls_per_minute")
	page := step("GET", "/v1/calls?limit=2&status=canceled", "", 200, "")
	if calls := page["calls"].([]any); len(calls) != 2 || calls[0].(map[string]any)["id"] != ids[2] || page["next"] != ids[1] {
		t.Errorf("page = %v", page)
	}
}
