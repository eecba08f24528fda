package api

import (
	"context"
	"net/http"
	"testing"

	"phonesocket/internal/call"
)

func TestACallThatCameInIsAnswered(t *testing.T) {
	for status, want := range map[call.Status]int{call.StatusInProgress: http.StatusOK, call.StatusRinging: http.StatusAccepted} {
		cfg := testConfig()
		cfg.Calls.(*fakeCalls).answer = func(_ context.Context, id string) (call.Call, error) {
			if id != testID {
				t.Errorf("answered %q", id)
			}
			return testCall(status), nil
		}
		a := ask(t, newHandler(t, cfg), http.MethodPost, "/v1/calls/"+testID+"/answer", "")
		if a.status != want {
			t.Errorf("%s: got %d %s, want %d", status, a.status, a.text, want)
		}
	}
}

func TestACallThatCameInIsRefusedWithACode(t *testing.T) {
	for body, want := range map[string]int{"": 0, "{}": 0, `{"code":603}`: 603} {
		cfg := testConfig()
		got := -1
		cfg.Calls.(*fakeCalls).reject = func(_ context.Context, _ string, code int) (call.Call, error) {
			got = code
			return testCall(call.StatusBusy), nil
		}
		a := ask(t, newHandler(t, cfg), http.MethodPost, "/v1/calls/"+testID+"/reject", body)
		if a.status != http.StatusOK || got != want {
			t.Errorf("%q: got %d %s with code %d, want 200 with %d", body, a.status, a.text, got, want)
		}
	}
	h := newHandler(t, testConfig())
	for body, want := range map[string]int{`{"code":200}`: 422, `{"code":"busy"}`: 422, `{"reason":"x"}`: 422, "busy": 400} {
		a := ask(t, h, http.MethodPost, "/v1/calls/"+testID+"/reject", body)
		if a.status != want {
			t.Errorf("%q: got %d %s, want %d", body, a.status, a.text, want)
		}
	}
}

func TestACallThatDoesNotRingIsAConflict(t *testing.T) {
	refusal := &call.Error{Class: call.Conflict, Code: call.CodeNotRinging, Message: "It does not ring."}
	cfg := testConfig()
	cfg.Calls.(*fakeCalls).answer = func(context.Context, string) (call.Call, error) { return call.Call{}, refusal }
	cfg.Calls.(*fakeCalls).reject = func(context.Context, string, int) (call.Call, error) { return call.Call{}, refusal }
	h := newHandler(t, cfg)
	for _, what := range []string{"answer", "reject"} {
		wantProblem(t, ask(t, h, http.MethodPost, "/v1/calls/"+testID+"/"+what, ""), http.StatusConflict, "call_not_ringing")
	}
}
