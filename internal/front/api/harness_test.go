package api

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"phonesocket/internal/call"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCalls answers with what its fields say.
type fakeCalls struct {
	dial       func(context.Context, call.Request) (call.Call, error)
	get        func(context.Context, string) (call.Call, error)
	list       func(call.Filter) call.Page
	hangup     func(context.Context, string) (call.Call, error)
	hangupOnly func(context.Context) (call.Call, error)
	answer     func(context.Context, string) (call.Call, error)
	reject     func(context.Context, string, int) (call.Call, error)
}

func (f *fakeCalls) Dial(ctx context.Context, r call.Request) (call.Call, error) {
	return f.dial(ctx, r)
}
func (f *fakeCalls) Get(ctx context.Context, id string) (call.Call, error) { return f.get(ctx, id) }
func (f *fakeCalls) List(_ context.Context, filter call.Filter) call.Page  { return f.list(filter) }
func (f *fakeCalls) Hangup(ctx context.Context, id string) (call.Call, error) {
	return f.hangup(ctx, id)
}
func (f *fakeCalls) HangupOnly(ctx context.Context) (call.Call, error) { return f.hangupOnly(ctx) }

func (f *fakeCalls) Answer(ctx context.Context, id string) (call.Call, error) {
	return f.answer(ctx, id)
}

func (f *fakeCalls) Reject(ctx context.Context, id string, code int) (call.Call, error) {
	return f.reject(ctx, id, code)
}

const testID = "call_01jq3k7v9x2m4n6p8r0s1t3w5y"

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func testCall(status call.Status) call.Call {
	return call.Call{ID: testID, Status: status, Direction: call.Outbound, From: "+4930999", To: "+4930123456", CreatedAt: testTime}
}

// testConfig serves a call that can be placed, seen and hung up.
func testConfig() Config {
	return Config{
		Calls: &fakeCalls{
			dial:       func(context.Context, call.Request) (call.Call, error) { return testCall(call.StatusQueued), nil },
			get:        func(context.Context, string) (call.Call, error) { return testCall(call.StatusRinging), nil },
			list:       func(call.Filter) call.Page { return call.Page{Calls: []call.Call{testCall(call.StatusRinging)}} },
			hangup:     func(context.Context, string) (call.Call, error) { return testCall(call.StatusCanceled), nil },
			hangupOnly: func(context.Context) (call.Call, error) { return testCall(call.StatusCanceled), nil },
			answer:     func(context.Context, string) (call.Call, error) { return testCall(call.StatusInProgress), nil },
			reject:     func(context.Context, string, int) (call.Call, error) { return testCall(call.StatusBusy), nil },
		},
		Registrations: func() []Registration {
			return []Registration{{Account: "main", State: "registered", Since: testTime}}
		},
		Ready:     func() error { return nil },
		Guard:     NewGuard(GuardConfig{}),
		SpeakPort: 8086, ListenPort: 8087,
		Version: "test",
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func newHandler(t *testing.T, cfg Config) http.Handler {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

// ask sends a request to the handler; headers come in pairs, Host among them.
func ask(t *testing.T, h http.Handler, method, path, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, reader)
	r.Host = "localhost:8085"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.Contains(a.header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.json); err != nil {
			t.Fatalf("%s %s: body is not JSON: %v\n%s", method, path, err, a.text)
		}
	}
	return a
}

// wantProblem checks that an answer is a complete problem document.
func wantProblem(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.json["code"] != code {
		t.Errorf("status = %d, code = %v; want %d, %s\n%s", a.status, a.json["code"], status, code, a.text)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type = %q, want application/problem+json", got)
	}
	for _, field := range []string{"type", "title", "detail", "instance"} {
		if text, _ := a.json[field].(string); text == "" {
			t.Errorf("%s is missing:\n%s", field, a.text)
		}
	}
	if got, _ := a.json["status"].(float64); int(got) != status {
		t.Errorf("status in the body = %v, want %d", a.json["status"], status)
	}
}
