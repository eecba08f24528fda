package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/call"
)

func TestDialAnswersWithTheCallAndTheAddressesOfItsSockets(t *testing.T) {
	for _, path := range []string{"/call", "/v1/calls"} {
		for name, body := range map[string]string{
			"to":            `{"to":"+49 30 123456"}`,
			"number":        `{"number":"+49 30 123456"}`,
			"both the same": `{"to":"+49 30 123456","number":"+49 30 123456"}`,
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				cfg, asked := testConfig(), call.Request{}
				cfg.Calls.(*fakeCalls).dial = func(_ context.Context, r call.Request) (call.Call, error) {
					asked = r
					return testCall(call.StatusQueued), nil
				}
				// What "curl -d" sends without -H.
				a := ask(t, newHandler(t, cfg), http.MethodPost, path, body, "Content-Type", "application/x-www-form-urlencoded", "Accept", "*/*")
				if a.status != http.StatusCreated || a.header.Get("Location") != "/v1/calls/"+testID {
					t.Errorf("status = %d, location = %q; want 201, /v1/calls/%s\n%s", a.status, a.header.Get("Location"), testID, a.text)
				}
				if diff := cmp.Diff(call.Request{To: "+49 30 123456"}, asked); diff != "" {
					t.Error(diff)
				}
				want := map[string]any{
					"id": testID, "status": "queued", "direction": "outbound", "from": "+4930999", "to": "+4930123456",
					"sip": map[string]any{}, "created_at": "2026-03-04T05:06:07Z", "duration_ms": 0.0,
					"speak_url":  "ws://localhost:8086/?call=" + testID,
					"listen_url": "ws://localhost:8087/?call=" + testID,
				}
				if diff := cmp.Diff(want, a.json); diff != "" {
					t.Error(diff)
				}
				if a.header.Get("Idempotency-Replayed") != "" {
					t.Error("a first request is marked as replayed")
				}
			})
		}
	}
}

func TestAllOptionsOfDialReachTheExchange(t *testing.T) {
	cfg, asked := testConfig(), call.Request{}
	cfg.Calls.(*fakeCalls).dial = func(_ context.Context, r call.Request) (call.Call, error) {
		asked = r
		c := testCall(call.StatusQueued)
		c.Replayed = true
		return c, nil
	}
	a := ask(t, newHandler(t, cfg), http.MethodPost, "/v1/calls",
		`{"to":"101","caller_id":"+4930555","ring_timeout_ms":5000,"max_duration_ms":60000,"metadata":{"a":"b"}}`, "Idempotency-Key", "k-1")
	want := call.Request{
		To: "101", CallerID: "+4930555", RingTimeout: 5 * time.Second, MaxDuration: time.Minute,
		Metadata: map[string]string{"a": "b"}, Key: "k-1",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if a.status != http.StatusCreated || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("status = %d, replayed = %q; want 201, true", a.status, a.header.Get("Idempotency-Replayed"))
	}
}

func TestABadRequestIsAProblemThatNamesTheField(t *testing.T) {
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code, detail       string
		headers            []string
	}{
		"no body":                {"POST", "/call", "", 400, "invalid_body", "There is no body", nil},
		"not JSON":               {"POST", "/call", "to=+49", 400, "invalid_body", "not JSON", nil},
		"JSON and more":          {"POST", "/call", `{"to":"1"} x`, 400, "invalid_body", "not JSON", nil},
		"a list":                 {"POST", "/call", `[]`, 422, "invalid_request", "body: expected object", nil},
		"null":                   {"POST", "/call", `null`, 422, "invalid_request", "body: expected object", nil},
		"unknown field":          {"POST", "/call", `{"too":"1"}`, 422, "invalid_request", `body.too: unexpected property, did you mean "to"?`, nil},
		"misspelt field":         {"POST", "/call", `{"to":"1","ring_timout_ms":5000}`, 422, "invalid_request", `did you mean "ring_timeout_ms"?`, nil},
		"strange field":          {"POST", "/call", `{"to":"1","webhook_url":"x"}`, 422, "invalid_request", "body.webhook_url: unexpected property.", nil},
		"number as a number":     {"POST", "/call", `{"to":101}`, 422, "invalid_request", "body.to: expected string", nil},
		"two numbers":            {"POST", "/call", `{"to":"1","number":"2"}`, 422, "invalid_request", "two numbers", nil},
		"short ring":             {"POST", "/call", `{"to":"1","ring_timeout_ms":10}`, 422, "invalid_request", "body.ring_timeout_ms", nil},
		"long ring":              {"POST", "/call", `{"to":"1","ring_timeout_ms":999999}`, 422, "invalid_request", "body.ring_timeout_ms", nil},
		"ring as text":           {"POST", "/call", `{"to":"1","ring_timeout_ms":"10s"}`, 422, "invalid_request", "body.ring_timeout_ms", nil},
		"ring with a fraction":   {"POST", "/call", `{"to":"1","ring_timeout_ms":5000.5}`, 422, "invalid_request", "body.ring_timeout_ms", nil},
		"metadata as a list":     {"POST", "/call", `{"to":"1","metadata":["a"]}`, 422, "invalid_request", "body.metadata", nil},
		"metadata with a number": {"POST", "/call", `{"to":"1","metadata":{"a":1}}`, 422, "invalid_request", "body.metadata.a", nil},
		"endless key":            {"POST", "/call", `{"to":"1"}`, 422, "invalid_request", "header.Idempotency-Key", []string{"Idempotency-Key", strings.Repeat("k", 256)}},
		"limit of zero":          {"GET", "/v1/calls?limit=0", "", 422, "invalid_request", "query.limit", nil},
		"limit as text":          {"GET", "/v1/calls?limit=all", "", 422, "invalid_request", "query.limit", nil},
		"unknown status":         {"GET", "/v1/calls?status=ringing,gone", "", 422, "invalid_request", "query.status", nil},
		"unknown parameter":      {"GET", "/v1/calls?state=ringing", "", 422, "invalid_request", "query.state", nil},
		"unknown path":           {"GET", "/nowhere", "", 404, "not_found", "GET /docs", nil},
		"path with a slash":      {"POST", "/call/", "", 404, "not_found", "GET /docs", nil},
		"the root":               {"GET", "/", "", 404, "not_found", "GET /docs", nil},
		"body too large":         {"POST", "/call", `{"to":"` + strings.Repeat("1", maxBody) + `"}`, 413, "body_too_large", "64 KB", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Calls = &fakeCalls{} // nothing may be asked: a nil func would panic
			a := ask(t, newHandler(t, cfg), tt.method, tt.path, tt.body, tt.headers...)
			wantProblem(t, a, tt.status, tt.code)
			if detail, _ := a.json["detail"].(string); !strings.Contains(detail, tt.detail) {
				t.Errorf("detail = %q, want %q in it", detail, tt.detail)
			}
			if path, _, _ := strings.Cut(tt.path, "?"); a.json["instance"] != path {
				t.Errorf("instance = %v, want %s", a.json["instance"], path)
			}
		})
	}
}

func TestABodyOfExactlyTheLimitIsRead(t *testing.T) {
	body := `{"to":"1"}`
	body += strings.Repeat(" ", maxBody-len(body))
	if a := ask(t, newHandler(t, testConfig()), http.MethodPost, "/call", body); a.status != http.StatusCreated {
		t.Errorf("status = %d, want 201\n%s", a.status, a.text)
	}
}

func TestAPathThatIsNotCleanIsRefusedAndNotRedirected(t *testing.T) {
	h := newHandler(t, testConfig())
	for _, asked := range []string{"//call", "/./call", "/v1/../call", "/call/", "/v1//calls"} {
		a := ask(t, h, http.MethodPost, asked, `{"to":"100"}`)
		wantProblem(t, a, http.StatusNotFound, "not_found")
		if a.header.Get("Location") != "" {
			t.Errorf("%s: sent on to %s", asked, a.header.Get("Location"))
		}
	}
}

func TestAWrongMethodIsToldTheRightOnes(t *testing.T) {
	h := newHandler(t, testConfig())
	for _, tt := range []struct{ method, path, allow string }{
		{"GET", "/call", "POST"},
		{"PUT", "/v1/calls", "GET, HEAD, POST"},
		{"POST", "/v1/calls/" + testID, "DELETE, GET, HEAD"},
		{"GET", "/hangup", "POST"},
		{"OPTIONS", "/call", "POST"},
		{"POST", "/health", "GET, HEAD"},
		{"BREW", "/docs", "GET, HEAD"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			a := ask(t, h, tt.method, tt.path, "")
			wantProblem(t, a, http.StatusMethodNotAllowed, "method_not_allowed")
			if got := a.header.Get("Allow"); got != tt.allow {
				t.Errorf("allow = %q, want %q", got, tt.allow)
			}
		})
	}
}

func TestARefusalOfTheExchangeHasItsStatusAndCode(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		code   string
		retry  string
	}{
		"rule":            {&call.Error{Class: call.Denied, Code: "emergency_number", Message: "No."}, 403, "emergency_number", ""},
		"rate":            {&call.Error{Class: call.Limited, Code: "calls_per_minute", Message: "Wait.", RetryAfter: 1500 * time.Millisecond}, 429, "calls_per_minute", "2"},
		"too many":        {&call.Error{Class: call.Limited, Code: "too_many_calls", Message: "Wait."}, 429, "too_many_calls", "5"},
		"not registered":  {&call.Error{Class: call.Unavailable, Code: "not_registered", Message: "Check SIP_PASSWORD."}, 503, "not_registered", "5"},
		"draining":        {&call.Error{Class: call.Unavailable, Code: "draining", Message: "Soon gone."}, 503, "draining", "5"},
		"invalid":         {&call.Error{Class: call.Invalid, Code: "invalid_number", Message: "No number.", Field: "to"}, 422, "invalid_number", ""},
		"key reused":      {&call.Error{Class: call.Invalid, Code: "idempotency_key_reused", Message: "No.", Field: "Idempotency-Key"}, 422, "idempotency_key_reused", ""},
		"key in use":      {&call.Error{Class: call.Conflict, Code: "idempotency_key_in_use", Message: "Wait.", RetryAfter: time.Second}, 409, "idempotency_key_in_use", "1"},
		"our fault":       {&call.Error{Class: call.Internal, Code: "internal_error", Message: "secret", Err: errors.New("secret")}, 500, "internal_error", ""},
		"any other error": {errors.New("secret"), 500, "internal_error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Calls.(*fakeCalls).dial = func(context.Context, call.Request) (call.Call, error) { return call.Call{}, tt.err }
			a := ask(t, newHandler(t, cfg), http.MethodPost, "/call", `{"to":"1"}`)
			wantProblem(t, a, tt.status, tt.code)
			if got := a.header.Get("Retry-After"); got != tt.retry {
				t.Errorf("retry after = %q, want %q", got, tt.retry)
			}
			var e *call.Error
			if errors.As(tt.err, &e) && tt.status != 500 && a.json["detail"] != e.Message {
				t.Errorf("detail = %q, want %q", a.json["detail"], e.Message)
			}
			if strings.Contains(a.text, "secret") {
				t.Errorf("the cause is shown:\n%s", a.text)
			}
		})
	}
}

func TestTheFieldOfARefusalIsNamed(t *testing.T) {
	for field, want := range map[string]string{"to": "body.to", "Idempotency-Key": "header.Idempotency-Key"} {
		cfg := testConfig()
		cfg.Calls.(*fakeCalls).dial = func(context.Context, call.Request) (call.Call, error) {
			return call.Call{}, &call.Error{Class: call.Invalid, Code: "x", Message: "No.", Field: field}
		}
		a := ask(t, newHandler(t, cfg), http.MethodPost, "/call", `{"to":"1"}`)
		if diff := cmp.Diff([]any{map[string]any{"location": want, "message": "No."}}, a.json["errors"]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestACallIsSeenAndHungUp(t *testing.T) {
	notFound := &call.Error{Class: call.NotFound, Code: "call_not_found", Message: "No such call."}
	for name, tt := range map[string]struct {
		method, path string
		err          error
		status       call.Status
		want         int
		code         string
	}{
		"seen":                       {"GET", "/v1/calls/" + testID, nil, call.StatusRinging, 200, ""},
		"seen by HEAD":               {"HEAD", "/v1/calls/" + testID, nil, call.StatusRinging, 200, ""},
		"not there":                  {"GET", "/v1/calls/" + testID, notFound, "", 404, "call_not_found"},
		"endless name":               {"GET", "/v1/calls/" + strings.Repeat("x", 65), nil, "", 422, "invalid_request"},
		"deleted":                    {"DELETE", "/v1/calls/" + testID, nil, call.StatusCompleted, 200, ""},
		"deleted, not confirmed yet": {"DELETE", "/v1/calls/" + testID, nil, call.StatusInProgress, 202, ""},
		"deleted, not there":         {"DELETE", "/v1/calls/" + testID, notFound, "", 404, "call_not_found"},
		"hung up":                    {"POST", "/v1/calls/" + testID + "/hangup", nil, call.StatusCompleted, 200, ""},
		"the only one hung up":       {"POST", "/hangup", nil, call.StatusCompleted, 200, ""},
		"none to hang up":            {"POST", "/hangup", &call.Error{Class: call.NotFound, Code: "no_call", Message: "None."}, "", 404, "no_call"},
		"several to hang up":         {"POST", "/hangup", &call.Error{Class: call.Conflict, Code: "several_calls", Message: "Which?"}, "", 409, "several_calls"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			one := func(_ context.Context, id string) (call.Call, error) {
				if id != testID {
					t.Errorf("asked for %q", id)
				}
				return testCall(tt.status), tt.err
			}
			cfg.Calls = &fakeCalls{get: one, hangup: one, hangupOnly: func(ctx context.Context) (call.Call, error) { return one(ctx, testID) }}
			a := ask(t, newHandler(t, cfg), tt.method, tt.path, "")
			if tt.code != "" {
				wantProblem(t, a, tt.want, tt.code)
				return
			}
			if a.status != tt.want || a.json["status"] != string(tt.status) || a.json["listen_url"] == "" {
				t.Errorf("status = %d, call = %s; want %d, %s", a.status, a.text, tt.want, tt.status)
			}
		})
	}
}

func TestAListSaysWhereItGoesOn(t *testing.T) {
	cfg, asked := testConfig(), call.Filter{}
	cfg.Calls.(*fakeCalls).list = func(f call.Filter) call.Page {
		asked = f
		return call.Page{Calls: []call.Call{testCall(call.StatusRinging)}, Next: testID}
	}
	h := newHandler(t, cfg)
	a := ask(t, h, http.MethodGet, "/v1/calls?limit=1&after=call_z&status=ringing,busy", "")
	want := call.Filter{Limit: 1, After: "call_z", Status: []call.Status{call.StatusRinging, call.StatusBusy}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	link := fmt.Sprintf(`</v1/calls?after=%s&limit=1&status=ringing%%2Cbusy>; rel="next"`, testID)
	if a.status != http.StatusOK || a.header.Get("Link") != link || a.json["next"] != testID {
		t.Errorf("status = %d, link = %q, next = %v; want 200, %q, %s", a.status, a.header.Get("Link"), a.json["next"], link, testID)
	}
	cfg.Calls.(*fakeCalls).list = func(call.Filter) call.Page { return call.Page{} }
	a = ask(t, h, http.MethodGet, "/v1/calls", "")
	if diff := cmp.Diff(map[string]any{"calls": []any{}}, a.json); diff != "" || a.header.Get("Link") != "" {
		t.Errorf("an empty list (-want +got):\n%s", diff)
	}
}

func TestTheURLsOfTheSocketsNameTheHostThatTheClientAsked(t *testing.T) {
	for name, tt := range map[string]struct{ host, public, want string }{
		"name and port":         {"phone.lan:18085", "", "ws://phone.lan:8086/"},
		"name alone":            {"phonesocket", "", "ws://phonesocket:8086/"},
		"IPv4":                  {"192.168.1.2:8085", "", "ws://192.168.1.2:8086/"},
		"IPv6":                  {"[fd00::1]:8085", "", "ws://[fd00::1]:8086/"},
		"configured host":       {"10.0.0.1:8085", "phone.example.com", "ws://phone.example.com:8086/"},
		"something made up":     {`a"b<c>:8085`, "", "ws://localhost:8086/"},
		"nothing (HTTP/1.0)":    {"", "", "ws://localhost:8086/"},
		"IPv6 that is no such":  {"[zz]:8085", "", "ws://zz:8086/"},
		"path in the host name": {"a/b:8085", "", "ws://localhost:8086/"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.PublicURLHost = tt.public
			cfg.Guard = NewGuard(GuardConfig{Hosts: []string{"phone.lan"}})
			a := ask(t, newHandler(t, cfg), http.MethodPost, "/call", `{"to":"1"}`, "Host", tt.host, "X-Forwarded-Proto", "https")
			if got, _ := a.json["speak_url"].(string); got != tt.want+"?call="+testID {
				t.Errorf("speak_url = %q, want %s?call=…", got, tt.want)
			}
		})
	}
}

func TestTheTokenOpensEveryDoorButHealth(t *testing.T) {
	cfg := testConfig()
	cfg.Guard = NewGuard(GuardConfig{Token: "s3cret"})
	h := newHandler(t, cfg)
	doors := []struct{ method, path, body string }{
		{"POST", "/call", `{"to":"1"}`},
		{"POST", "/v1/calls", `{"to":"1"}`},
		{"GET", "/v1/calls", ""},
		{"GET", "/v1/calls/" + testID, ""},
		{"DELETE", "/v1/calls/" + testID, ""},
		{"POST", "/v1/calls/" + testID + "/hangup", ""},
		{"POST", "/v1/calls/" + testID + "/answer", ""},
		{"POST", "/v1/calls/" + testID + "/reject", `{"code":603}`},
		{"POST", "/hangup", ""},
		{"GET", "/v1/registrations", ""},
		{"GET", "/ready", ""},
		{"GET", "/openapi.json", ""},
		{"GET", "/docs", ""},
	}
	for _, d := range doors {
		for name, header := range map[string]string{
			"none": "", "wrong": "Bearer wrong", "empty": "Bearer ", "prefix": "Bearer s3cre", "longer": "Bearer s3cret2",
			"another scheme": "Token s3cret", "bare": "s3cret",
		} {
			headers := []string{}
			if header != "" {
				headers = []string{"Authorization", header}
			}
			a := ask(t, h, d.method, d.path, d.body, headers...)
			wantProblem(t, a, http.StatusUnauthorized, "unauthorized")
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="phonesocket"`) {
				t.Errorf("%s %s, %s token: challenge = %q", d.method, d.path, name, a.header.Get("WWW-Authenticate"))
			}
		}
		for _, scheme := range []string{"Bearer ", "bearer "} {
			if a := ask(t, h, d.method, d.path, d.body, "Authorization", scheme+"s3cret"); a.status >= 300 {
				t.Errorf("%s %s with the token: status = %d\n%s", d.method, d.path, a.status, a.text)
			}
		}
	}
	wantProblem(t, ask(t, h, "GET", "/nowhere", ""), http.StatusUnauthorized, "unauthorized")
	if a := ask(t, h, "GET", "/health", ""); a.status != http.StatusOK || a.json["status"] != "ok" {
		t.Errorf("health: status = %d\n%s", a.status, a.text)
	}
	if n := len(doors) + 1; n != len((&server{}).table()) {
		t.Errorf("%d doors were tried, the table has %d", n, len((&server{}).table()))
	}
}

func TestABrowserMayBringTheTokenByItsOwnPromptToTheDocumentsOnly(t *testing.T) {
	cfg := testConfig()
	cfg.Guard = NewGuard(GuardConfig{Token: "s3cret"})
	h := newHandler(t, cfg)
	basic := func(password string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.SetBasicAuth("anybody", password)
		return r.Header.Get("Authorization")
	}
	for _, path := range []string{"/docs", "/openapi.json"} {
		if a := ask(t, h, "GET", path, "", "Authorization", basic("s3cret")); a.status != http.StatusOK {
			t.Errorf("%s: status = %d, want 200", path, a.status)
		}
		a := ask(t, h, "GET", path, "", "Authorization", basic("wrong"))
		wantProblem(t, a, http.StatusUnauthorized, "unauthorized")
		if got := a.header.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[1], "Basic ") {
			t.Errorf("%s: challenges = %q, want Bearer and Basic", path, got)
		}
	}
	a := ask(t, h, "POST", "/call", `{"to":"1"}`, "Authorization", basic("s3cret"))
	wantProblem(t, a, http.StatusUnauthorized, "unauthorized")
	if got := a.header.Values("WWW-Authenticate"); len(got) != 1 {
		t.Errorf("challenges = %q, want Bearer alone", got)
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		origin, host string
		refused      bool
	}{
		"the same":                   {"http://localhost:8085", "localhost:8085", false},
		"the same, other letters":    {"http://LocalHost:8085", "localhost:8085", false},
		"the port of the scheme":     {"http://phone", "phone:80", false},
		"another port":               {"http://localhost:3000", "localhost:8085", true},
		"another host":               {"https://evil.example", "localhost:8085", true},
		"another name of this host":  {"http://127.0.0.1:8085", "localhost:8085", true},
		"a sandbox":                  {"null", "localhost:8085", true},
		"a file":                     {"file://", "localhost:8085", true},
		"an extension":               {"chrome-extension://abc", "localhost:8085", true},
		"no text":                    {"", "localhost:8085", true},
		"garbage":                    {"http://[", "localhost:8085", true},
		"https in front of the same": {"https://phone", "phone:443", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, token := range []string{"", "s3cret"} {
				cfg := testConfig()
				cfg.Guard = NewGuard(GuardConfig{Token: token})
				h := newHandler(t, cfg)
				for _, d := range []struct{ method, path, body string }{
					{"POST", "/call", `{"to":"1"}`}, {"GET", "/v1/calls", ""}, {"GET", "/health", ""}, {"OPTIONS", "/call", ""}, {"GET", "/docs", ""},
				} {
					a := ask(t, h, d.method, d.path, d.body, "Origin", tt.origin, "Host", tt.host, "Authorization", "Bearer s3cret")
					switch {
					case tt.refused:
						wantProblem(t, a, http.StatusForbidden, "foreign_origin")
					case a.status == http.StatusForbidden:
						t.Errorf("%s %s: refused\n%s", d.method, d.path, a.text)
					}
				}
			}
		})
	}
}

func TestTwoOriginsMustBothBeOurs(t *testing.T) {
	a := ask(t, newHandler(t, testConfig()), "GET", "/health", "", "Origin", "http://localhost:8085", "Origin", "http://evil.example")
	wantProblem(t, a, http.StatusForbidden, "foreign_origin")
}

func TestThePagesOfOurOtherPortsAreNotForeign(t *testing.T) {
	g := NewGuard(GuardConfig{Ports: []uint16{8085}})
	for origin, refused := range map[string]bool{
		"http://localhost:8085": false, "http://localhost:8086": false, "http://localhost:3000": true, "http://evil:8085": true,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Host = "localhost:8086"
		r.Header.Set("Origin", origin)
		if err := g.Check(r); (err != nil) != refused {
			t.Errorf("%s: error = %v, refused = %v", origin, err, refused)
		}
	}
}

func TestWithoutATokenOnlyNamesThatNoStrangerCanGiveAreServed(t *testing.T) {
	for host, refused := range map[string]bool{
		"localhost:8085": false, "LOCALHOST": false, "app.localhost:8085": false, "127.0.0.1:8085": false, "192.168.1.5:8085": false,
		"[::1]:8085": false, "[fd00::1]": false, "phonesocket:8085": false, "phone_socket:8085": false, "host.docker.internal:8085": false,
		"phone.example.com:8085": false, "Phone.Example.Com.": false, "": false,
		"evil.example": true, "evil.example:8085": true, "localhost.evil.example": true, "127.0.0.1.evil.example:8085": true,
		"phone.example.com.evil.example": true, "xlocalhost.com": true,
	} {
		for token, wantRefused := range map[string]bool{"": refused, "s3cret": false} {
			cfg := testConfig()
			cfg.Guard = NewGuard(GuardConfig{Token: token, Hosts: []string{"phone.example.com", ""}})
			a := ask(t, newHandler(t, cfg), "GET", "/v1/calls", "", "Host", host, "Authorization", "Bearer s3cret")
			if wantRefused {
				wantProblem(t, a, http.StatusForbidden, "unknown_host")
			} else if a.status != http.StatusOK {
				t.Errorf("%q with token %q: status = %d\n%s", host, token, a.status, a.text)
			}
		}
	}
}

func TestReadyAndRegistrationsSayWhatToDo(t *testing.T) {
	cfg := testConfig()
	cfg.Ready = func() error {
		return &call.Error{Class: call.Unavailable, Code: "not_registered", Message: "Check SIP_PASSWORD."}
	}
	until := testTime.Add(time.Hour + time.Microsecond).In(time.FixedZone("CET", 3600))
	cfg.Registrations = func() []Registration {
		return []Registration{{Account: "main", State: "failed", Since: testTime, ExpiresAt: &until, Code: 403, Advice: "Check SIP_PASSWORD."}}
	}
	h := newHandler(t, cfg)
	a := ask(t, h, "GET", "/ready", "")
	wantProblem(t, a, http.StatusServiceUnavailable, "not_registered")
	if a.json["detail"] != "Check SIP_PASSWORD." {
		t.Errorf("detail = %v", a.json["detail"])
	}
	a = ask(t, h, "GET", "/v1/registrations", "")
	want := map[string]any{"registrations": []any{map[string]any{
		"account": "main", "state": "failed", "since": "2026-03-04T05:06:07Z", "expires_at": "2026-03-04T06:06:07Z",
		"code": 403.0, "advice": "Check SIP_PASSWORD.", "attempts": 0.0,
	}}}
	if diff := cmp.Diff(want, a.json); diff != "" {
		t.Error(diff)
	}
	if a := ask(t, newHandler(t, testConfig()), "GET", "/ready", ""); a.status != http.StatusOK || a.json["status"] != "ready" {
		t.Errorf("ready: status = %d\n%s", a.status, a.text)
	}
	if a := ask(t, h, "GET", "/health", ""); a.status != http.StatusOK {
		t.Errorf("health depends on the registration: %d", a.status)
	}
}

func TestEveryAnswerForbidsWhatABrowserNeedsNot(t *testing.T) {
	h := newHandler(t, testConfig())
	for _, path := range []string{"/health", "/nowhere", "/docs", "/v1/calls"} {
		a := ask(t, h, "GET", path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got, want)
			}
		}
		if got := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'") {
			t.Errorf("%s: policy = %q", path, got)
		}
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: other origins are let in", path)
		}
	}
}

func TestAPanicOfAHandlerIsAProblemAndTheNextRequestIsServed(t *testing.T) {
	cfg := testConfig()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Calls.(*fakeCalls).get = func(context.Context, string) (call.Call, error) { panic("a mistake") }
	h := newHandler(t, cfg)
	a := ask(t, h, "GET", "/v1/calls/"+testID, "")
	wantProblem(t, a, http.StatusInternalServerError, "internal_error")
	if strings.Contains(a.text, "a mistake") || !strings.Contains(log.String(), "a mistake") {
		t.Errorf("the panic belongs into the log and not into the answer:\n%s\n%s", a.text, log.String())
	}
	if a := ask(t, h, "GET", "/v1/calls", ""); a.status != http.StatusOK {
		t.Errorf("status = %d, want 200", a.status)
	}
}

func TestTheAccessLogHasNoNumbers(t *testing.T) {
	cfg := testConfig()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := newHandler(t, cfg)
	ask(t, h, "POST", "/call", `{"to":"+4930123456"}`)
	ask(t, h, "GET", "/v1/calls?after=+4930123456", "")
	ask(t, h, "GET", "/"+strings.Repeat("x", 5000), "")
	if text := log.String(); strings.Contains(text, "4930123456") || strings.Count(text, "msg=request") != 3 || len(text) > 1500 {
		t.Errorf("log:\n%s", text)
	}
	if !strings.Contains(log.String(), "status=201") || !strings.Contains(log.String(), "path=/call") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestOverARealConnectionChunkedBodiesAreBoundedToo(t *testing.T) {
	srv := httptest.NewServer(newHandler(t, testConfig()))
	defer srv.Close()
	defer srv.Client().CloseIdleConnections()
	body := io.MultiReader(strings.NewReader(`{"to":"`), strings.NewReader(strings.Repeat("1", 2*maxBody))) // no length
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/call", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status = %d, content type = %q; want 413 and a problem", res.StatusCode, res.Header.Get("Content-Type"))
	}
}

func TestOverARealConnectionABodyThatNeverComesIsNotWaitedFor(t *testing.T) {
	srv := httptest.NewServer(newHandler(t, testConfig()))
	defer srv.Close()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status = %d, want 413 before the body has come", res.StatusCode)
	}
}

func TestFiftyParallelRequestsAreServedAtOnce(t *testing.T) {
	cfg := testConfig()
	var dialled atomic.Int64
	cfg.Calls.(*fakeCalls).dial = func(_ context.Context, r call.Request) (call.Call, error) {
		dialled.Add(1)
		c := testCall(call.StatusQueued)
		c.To = r.To
		return c, nil
	}
	h := newHandler(t, cfg)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			to := fmt.Sprint(100 + i)
			if a := ask(t, h, "POST", "/call", `{"to":"`+to+`"}`); a.json["to"] != to {
				t.Errorf("to = %v, want %s", a.json["to"], to)
			}
		})
	}
	wg.Wait()
	if n := dialled.Load(); n != 50 {
		t.Errorf("dialled = %d, want 50", n)
	}
}

func TestNewWantsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no error")
	}
}

func TestTheDocumentIsTheOneThatIsCheckedIn(t *testing.T) {
	a := ask(t, newHandler(t, testConfig()), "GET", "/openapi.json", "")
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.WriteFile(golden, []byte(a.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), a.text); diff != "" {
		t.Errorf("the interface has changed; if that is meant, run go test ./internal/front/api -update (-want +got):\n%s", diff)
	}
}
