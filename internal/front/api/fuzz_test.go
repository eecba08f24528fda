package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzDialBody sends anything as a body: the answer is the call or a refusal
// that the client has to blame itself for.
func FuzzDialBody(f *testing.F) {
	for _, seed := range []string{
		`{"to":"+4930123456"}`, `{"number":"101","metadata":{"a":"b"}}`, `{"to":"1","ring_timeout_ms":5000}`, `[]`, `null`, `{"to":`,
		`{"to":1e999}`, `{"metadata":{"a":[]}}`, `{"ring_timeout_ms":9223372036854775808}`, "\xff", `{"":""}`, `{"\u0000":"\ud800"}`,
		strings.Repeat("[", 5000),
	} {
		f.Add(seed)
	}
	h, err := New(testConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/call", strings.NewReader(body))
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusCreated, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("status = %d\n%s", w.Code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is not JSON:\n%s", w.Body)
		}
	})
}

// FuzzGuard sends any Origin, Host and Authorization: no panic, and nobody gets
// in with a token that is not the right one.
func FuzzGuard(f *testing.F) {
	for _, seed := range [][3]string{
		{"http://localhost:8085", "localhost:8085", "Bearer s3cret"},
		{"null", "", "Bearer"},
		{"http://[::1]:80", "[::1]", "bearer  s3cret"},
		{"https://a@b:c", "a:b:c", "Basic Og=="},
		{"http://x:0", "x:0", "Bearer s3cret\x00"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	with, without := NewGuard(GuardConfig{Token: "s3cret"}), NewGuard(GuardConfig{})
	f.Fuzz(func(t *testing.T, origin, host, authorization string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Host = host
		r.Header["Origin"] = []string{origin}
		r.Header["Authorization"] = []string{authorization}
		_ = without.Check(r)
		if err := with.Check(r); err == nil && !strings.EqualFold(strings.Join(strings.Fields(authorization), " "), "Bearer s3cret") {
			t.Errorf("%q lets in", authorization)
		}
	})
}
