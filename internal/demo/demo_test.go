package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"phonesocket/internal/audio/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run makes the check and returns its report.
func run(t *testing.T, echo string) (Report, error) {
	t.Helper()
	var out, log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := check(ctx, Config{Version: "test", Environ: []string{"LOG_LEVEL=debug", "SIP_SERVER=192.0.2.1", "SIP_NONSENSE=1", "API_PORT=1"}, Out: &out, Log: &log}, echo)
	t.Log("\n" + out.String())
	if t.Failed() || err != nil && echo == "100" {
		t.Log("\n" + log.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r Report
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line is no report: %v", err)
	}
	return r, err
}

func TestTheCheckSucceeds(t *testing.T) { // not parallel: what is measured here needs the machine
	r, err := run(t, "100")
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || r.Correlation < minCorrelation || r.MissingMS != 0 || r.DelayMedianMS <= 0 || r.Codec != "PCMA" || r.SpokenMS < 3000 {
		t.Errorf("report is %+v", r)
	}
}

func TestTheCheckFailsWhenTheLineDoes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, echo, want string }{
		{"the callee is silent", "107", "nothing of the speech came back"},
		{"the callee is busy", "102", "ended as busy|409"}, // the latter when it was over before the socket came
		{"the callee hangs up in between", "105", "audio socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := run(t, test.echo)
			if !errors.Is(err, ErrCheck) || r.OK {
				t.Fatalf("got %v, %+v", err, r)
			}
			if !regexp.MustCompile(test.want).MatchString(r.Error) {
				t.Errorf("error is %q, want %q in it", r.Error, test.want)
			}
		})
	}
}

func TestTheVerdictNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	speech, _ := sample.Speech()
	const ms = lineRate / 1000
	pause := make([]int16, 300*ms)
	tests := []struct {
		name string
		pcm  []int16
		late time.Duration
		want string // in the error; empty when all is well
	}{
		{"all is well", slices.Concat(pause, speech, pause), 40 * time.Millisecond, ""},
		{"a piece is missing", slices.Concat(speech[:1500*ms], speech[1700*ms:]), 20 * time.Millisecond, "missing"},
		{"a pause was put in", slices.Concat(speech[:1500*ms], pause, speech[1500*ms:]), 40 * time.Millisecond, "pauses"},
		{"it comes too late", speech, 240 * time.Millisecond, "mouth to ear takes"},
		{"it is not there", pause, 0, "nothing of the speech"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &mouth{start: time.Now()}
			e := ear{pcm: test.pcm}
			for first := 0; first < len(test.pcm); first += 20 * ms {
				n := min(20*ms, len(test.pcm)-first)
				// The pause in front was heard before the speech was begun.
				at := m.start.Add(test.late + time.Duration(first)*time.Second/lineRate - 300*time.Millisecond)
				if test.want != "" {
					at = at.Add(300 * time.Millisecond)
				}
				e.frames = append(e.frames, frame{at: at, first: first, samples: n})
			}
			trip := &trip{out: io.Discard}
			err := trip.judge(e, m)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("verdict is %v, want %q; %+v", err, test.want, trip.report)
			}
		})
	}
}

// screen is what a user sees, and tells when a word appears.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	seen chan struct{}
	word string
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := strings.Contains(s.text.String(), s.word)
	s.text.Write(p)
	if !had && strings.Contains(s.text.String(), s.word) {
		close(s.seen)
	}
	return len(p), nil
}

func TestTheDemoServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	out := &screen{seen: make(chan struct{}), word: "/docs\n"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, Config{Version: "test", Out: out, Log: io.Discard, Environ: []string{
			"API_PORT=0", "SPEAK_PORT=0", "LISTEN_PORT=0", "HTTP_BIND=127.0.0.1", "API_TOKEN=a-token-of-some-length", "SIP_USER=somebody", "DIAL_COUNTRY=AT",
		}}, nil)
	}()
	select {
	case <-out.seen:
	case err := <-done:
		t.Fatalf("ended: %v", err)
	}
	out.mu.Lock()
	text := out.text.String()
	out.mu.Unlock()
	_, rest, _ := strings.Cut(text, "docs    http://localhost:")
	port, _, _ := strings.Cut(rest, "/")
	if !strings.Contains(text, `curl -H "Authorization: Bearer $API_TOKEN" -d '{"to":"100"}' http://localhost:`+port+"/call") {
		t.Errorf("the commands are\n%s", text)
	}
	at, err := netip.ParseAddrPort("127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(at, "a-token-of-some-length")
	defer c.close()
	var r callResource
	if err := c.do(ctx, http.MethodPost, "/call", map[string]string{"to": "+4930901820105"}, &r); err != nil {
		t.Fatal(err)
	}
	if r, err := c.final(ctx, r.ID); err != nil || r.Status != "completed" || r.Reason != "remote_bye" {
		t.Errorf("call is %+v, %v", r, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestAPortInUseIsTold(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	err = Serve(t.Context(), Config{Out: io.Discard, Log: io.Discard, Environ: []string{"API_PORT=" + port}}, nil)
	if err == nil || !strings.Contains(err.Error(), "API_PORT") {
		t.Errorf("got %v", err)
	}
}
