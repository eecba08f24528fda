package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"phonesocket/internal/call"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// serve runs a server and a hook that asks it.
func serve(t *testing.T, handler http.HandlerFunc) *Hook {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	h, err := New(Config{URL: s.URL + "/calls?a=b", Secret: secret, Private: true, UserAgent: "phonesocket/test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// answering answers with a body.
func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body)
	}
}

var ringing = call.Call{ID: "call_1", Direction: call.Inbound, From: "+4930777", To: "+4930999", Status: call.StatusQueued}

func TestTheSignatureIsThatOfTheSpecification(t *testing.T) {
	// The example of the Standard Webhooks specification.
	key, err := Key(secret)
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheQuestionTellsTheCallAndIsSigned(t *testing.T) {
	var body []byte
	var header http.Header
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header
		if r.Method != http.MethodPost || r.URL.String() != "/calls?a=b" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		answering(`{"action":"accept","metadata":{"customer":"7"},"more":[1]}`)(w, r)
	})
	got, err := h.Ask(t.Context(), ringing)
	if diff := cmp.Diff(call.Decision{Accept: true, Metadata: map[string]string{"customer": "7"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	var q struct {
		Type      string
		Timestamp time.Time
		Data      map[string]any
	}
	if err := json.Unmarshal(body, &q); err != nil {
		t.Fatal(err)
	}
	if q.Type != "call.incoming" || q.Data["id"] != "call_1" || q.Data["direction"] != "inbound" || q.Data["from"] != "+4930777" || time.Since(q.Timestamp) > time.Minute {
		t.Errorf("question %s", body)
	}
	stamp, _ := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if age := time.Since(time.Unix(stamp, 0)); age < 0 || age > time.Minute {
		t.Errorf("timestamp is %s old", age)
	}
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header.Get("webhook-id") + "." + header.Get("webhook-timestamp") + "." + string(body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); header.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", header.Get("webhook-signature"), want)
	}
	if header.Get("Content-Type") != "application/json" || header.Get("User-Agent") != "phonesocket/test" || len(header.Get("webhook-id")) < 20 {
		t.Errorf("headers %v", header)
	}
}

func TestARefusalNamesACodeOrNone(t *testing.T) {
	for body, want := range map[string]call.Decision{
		`{"action":"reject","code":603}`: {Code: 603},
		`{"action":"reject"}`:            {},
	} {
		got, err := serve(t, answering(body)).Ask(t.Context(), ringing)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
}

func TestAnswersThatCannotBeUsedAreErrors(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"action":"accept"}`)
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"a failure":               {status(500), "status 500"},
		"no content":              {status(204), "status 204"},
		"a redirection":           {status(307), "redirections are not followed"},
		"no JSON":                 {answering("accept"), "not what was asked for"},
		"nothing":                 {answering(""), "not what was asked for"},
		"another type":            {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `<html>`) }, "text/html"},
		"an unknown action":       {answering(`{"action":"dance"}`), `"dance"`},
		"no action":               {answering(`{}`), "neither"},
		"a code that is none":     {answering(`{"action":"reject","code":200}`), "400 to 699"},
		"metadata that are none":  {answering(`{"action":"accept","metadata":{"a":1}}`), "object of texts"},
		"metadata that are large": {answering(`{"action":"accept","metadata":{"a":"` + strings.Repeat("b", 501) + `"}}`), "501 bytes"},
		"too much":                {answering(`{"action":"accept"}` + strings.Repeat(" ", maxAnswer)), "larger than 64 KB"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := serve(t, tt.handler).Ask(t.Context(), ringing)
			if err == nil || !strings.Contains(err.Error(), tt.want) || d.Accept {
				t.Errorf("got %+v, %v; want an error with %q", d, err, tt.want)
			}
		})
	}
}

func TestASlowServerIsGivenUp(t *testing.T) {
	stop := make(chan struct{})
	h := serve(t, func(http.ResponseWriter, *http.Request) { <-stop })
	defer close(stop)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the caller is gone")
	time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
	if _, err := h.Ask(ctx, ringing); !errors.Is(err, gone) {
		t.Errorf("got %v, want that the caller is gone", err)
	}
	if testing.Short() {
		t.Skip("the time-out takes 5 s")
	}
	start := time.Now()
	_, err := h.Ask(t.Context(), ringing)
	if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "within 5s") || took < Timeout || took > Timeout+2*time.Second {
		t.Errorf("got %v after %s", err, took)
	}
}

func TestPrivateTargetsAreNotAskedUnlessAllowed(t *testing.T) {
	asked := false
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer s.Close()
	for _, url := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)} {
		h, err := New(Config{URL: url, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Ask(t.Context(), ringing); !errors.Is(err, errPrivate) || strings.Contains(err.Error(), "Post") || asked {
			t.Errorf("%s: got %v, want that it is private", url, err)
		}
		h.Close()
	}
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2001:4860:4860::8888": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "::1": false, "::": false, "fe80::1%eth0": false, "fd00::1": false,
		"::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "ff02::1": false, "198.18.0.1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("public(%s) = %t", text, got)
		}
	}
}

func TestWrongSettingsAreToldWithoutShowingThem(t *testing.T) {
	for _, cfg := range []Config{
		{URL: "ftp://user:hunter2@x", Secret: secret},
		{URL: "https://", Secret: secret},
		{URL: "https://x/#hunter2", Secret: secret},
		{URL: "https://hunter2\x00", Secret: secret},
		{URL: "https://x", Secret: "hunter2!"},
		{URL: "https://x", Secret: "whsec_aHVudGVyMg=="},
		{URL: "https://x"},
	} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q) = %v", cfg.URL, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"action":"accept","code":486,"metadata":{"a":"b"}}`)
	f.Add(`{"action":"reject","code":1e9}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		d, err := read("application/json", []byte(body))
		if err == nil && d.Check() != nil {
			t.Errorf("%q became %+v", body, d)
		}
	})
}
