package problem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"phonesocket/internal/call"
)

func TestEveryClassOfRefusalHasItsStatus(t *testing.T) {
	tests := []struct {
		class  call.Class
		after  time.Duration
		status int
		retry  string
	}{
		{call.Invalid, 0, 422, ""},
		{call.Denied, 0, 403, ""},
		{call.Limited, 0, 429, "5"},
		{call.Limited, 1500 * time.Millisecond, 429, "2"},
		{call.NotFound, 0, 404, ""},
		{call.Conflict, 0, 409, ""},
		{call.Conflict, time.Second, 409, "1"},
		{call.Unavailable, 0, 503, "5"},
	}
	for _, c := range tests {
		d := Of(&call.Error{Class: c.class, Code: "some_code", Message: "Some words.", RetryAfter: c.after})
		if d.Status != c.status || d.Code != "some_code" || d.Detail != "Some words." || d.Header.Get("Retry-After") != c.retry {
			t.Errorf("class %d: %+v, want %d with Retry-After %q", c.class, d, c.status, c.retry)
		}
	}
}

func TestAMistakeOfOursTellsNothingElse(t *testing.T) {
	d := Of(&call.Error{Class: call.Internal, Code: "tables_gone", Message: "secret"})
	if d.Status != 500 || d.Code != call.CodeInternal || strings.Contains(d.Detail, "secret") {
		t.Errorf("got %+v", d)
	}
}

func TestADocumentIsWrittenWhole(t *testing.T) {
	d := New(http.StatusMethodNotAllowed, "method_not_allowed", "Only \"POST\".")
	d.Header = http.Header{"Allow": {"POST"}}
	w := httptest.NewRecorder()
	d.Write(w, httptest.NewRequest(http.MethodGet, "/call?x=1", http.NoBody))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "about:blank", "title": "Method Not Allowed", "status": 405.0,
		"detail": `Only "POST".`, "code": "method_not_allowed", "instance": "/call",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if w.Code != 405 || w.Header().Get("Allow") != "POST" || w.Header().Get("Content-Type") != ContentType {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
}
