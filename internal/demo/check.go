package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"phonesocket/internal/audio/sample"
	"phonesocket/internal/phonenet"
)

// What the check demands.
const (
	checkTime      = 20 * time.Second       // for all of it
	minCorrelation = 0.9                    // through G.711 both ways
	maxDelay       = 150 * time.Millisecond // mouth to ear, of most frames (ITU-T G.114)
	maxExtra       = 100 * time.Millisecond // of pauses put in; a machine may be late once
	maxAttempts    = 3                      // of the call, when the machine stood still
)

// ErrCheck is returned when something does not hold; the lines have said what.
var ErrCheck = errors.New("the demo's check did not succeed")

// Report is the result of a check, the JSON line at its end.
type Report struct {
	OK            bool    `json:"ok"`
	Error         string  `json:"error,omitempty"`
	Version       string  `json:"version"`
	RegisteredMS  float64 `json:"registered_ms"` // from the start of the gateway
	AnsweredMS    float64 `json:"answered_ms"`   // from POST /call
	Codec         string  `json:"codec,omitempty"`
	SpokenMS      int64   `json:"spoken_ms"`
	Correlation   float64 `json:"correlation"`
	MissingMS     float64 `json:"missing_ms"`
	ExtraMS       float64 `json:"extra_ms"`
	DelayMedianMS float64 `json:"mouth_to_ear_ms"`
	DelayWorstMS  float64 `json:"mouth_to_ear_worst_ms"`
	PacketsLost   int     `json:"packets_lost"`
	Attempts      int     `json:"attempts"` // calls to the echo; more than one when the machine was too busy to judge
	StallMS       float64 `json:"stall_ms"` // how long this machine stood still at most in the last of them
	TookMS        float64 `json:"took_ms"`
}

// trip is one run of the check.
type trip struct {
	*pair

	rest   *client
	out    io.Writer
	report Report
	began  time.Time
	echo   string // whom to call
}

// Check makes a whole call through a gateway of its own, prints what it saw, and
// as the last line a Report. Its ports are any free ones, so it can run beside
// anything. It returns ErrCheck when something does not hold.
func Check(ctx context.Context, cfg Config) error { return check(ctx, cfg, "100") }

func check(ctx context.Context, cfg Config, echo string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	t := &trip{out: cfg.Out, began: time.Now(), echo: echo}
	t.report.Version = cfg.Version
	err := t.all(ctx, cfg)
	t.report.OK = err == nil
	t.report.TookMS = ms(time.Since(t.began))
	if err != nil {
		t.report.Error = err.Error()
		t.say("failed", "%v", err)
	} else {
		t.say("verdict", "all holds, after %.1f s", t.report.TookMS/1000)
	}
	line, failure := json.Marshal(t.report)
	if failure != nil {
		return fmt.Errorf("write the report: %w", failure)
	}
	if _, failure = fmt.Fprintf(t.out, "%s\n", line); failure != nil {
		return fmt.Errorf("write the report: %w", failure)
	}
	if err != nil {
		return ErrCheck
	}
	return nil
}

// say prints one line for people.
func (t *trip) say(what, format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "%-14s %s\n", what, fmt.Sprintf(format, args...)) // the report at the end tells when nobody can read
}

func ms(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

// all is the whole trip, from the start of both sides to their end.
func (t *trip) all(ctx context.Context, cfg Config) error {
	// The lines of the check are what matters; whoever sets LOG_LEVEL gets more.
	cfg.Environ = append([]string{"LOG_LEVEL=warn"}, cfg.Environ...)
	p, err := begin(ctx, cfg, forCheck, map[string]string{
		"HTTP_BIND": "127.0.0.1", "API_PORT": "0", "SPEAK_PORT": "0", "LISTEN_PORT": "0",
		"API_TOKEN": secret(), "DRAIN_TIMEOUT": "0s", "RING_TIMEOUT": "5s",
	}, phonenet.Config{Record: checkTime}, nil)
	if err != nil {
		return err
	}
	t.pair, t.rest = p, newClient(p.where.API, p.token)
	defer t.rest.close()
	t.say("network", "a telephone network with a registrar at %s", p.net.Addr())
	err = t.calls(p.alive(ctx))
	p.stop()
	if err == nil {
		if err = p.net.WaitUnregistered(ctx, user); err == nil {
			t.say("left", "the registration was given up at the end")
		}
	}
	return errors.Join(err, p.end())
}

// calls is what happens while the gateway runs.
func (t *trip) calls(ctx context.Context) error {
	steps := []func(context.Context) error{t.register, t.refuse, t.busy, t.judged}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *trip) register(ctx context.Context) error {
	if _, err := t.net.WaitRegistered(ctx, user); err != nil {
		return err
	}
	if err := t.rest.ready(ctx); err != nil {
		return err
	}
	t.report.RegisteredMS = ms(time.Since(t.began))
	t.say("registered", "as %s with a SHA-256 digest, ready after %.0f ms", user, t.report.RegisteredMS)
	return nil
}

// refuse checks the guard rail that matters most.
func (t *trip) refuse(ctx context.Context) error {
	code, err := t.rest.refused(ctx, "110")
	if err != nil {
		return err
	}
	t.say("refused", "a call to 110, with 403 %s", code)
	return nil
}

func (t *trip) busy(ctx context.Context) error {
	var r callResource
	if err := t.rest.do(ctx, http.MethodPost, "/call", map[string]string{"to": "102"}, &r); err != nil {
		return err
	}
	r, err := t.rest.final(ctx, r.ID)
	if err != nil {
		return err
	}
	if r.Status != "busy" || r.SIP.Code != 486 {
		return fmt.Errorf("a call to a busy number ended as %s with %d, want busy with 486", r.Status, r.SIP.Code)
	}
	t.say("called", "102, which is busy: status %s, SIP %d", r.Status, r.SIP.Code)
	return nil
}

// soundError says that the line works and its sound is not good.
type soundError struct{ error }

// judged calls the echo until the sound can be judged: a failure counts when the
// machine was in time, or when it never is.
func (t *trip) judged(ctx context.Context) error {
	for {
		t.report.Attempts++
		watched, cancel := context.WithCancel(ctx)
		control := watch(watched)
		err := t.talk(ctx)
		cancel()
		late := <-control
		t.report.StallMS = ms(late)
		var bad soundError
		if !errors.As(err, &bad) || late < stall {
			return err
		}
		if t.report.Attempts == maxAttempts {
			return fmt.Errorf("%w (this machine stood still for up to %s: it may just be too busy)", err, late.Round(time.Millisecond))
		}
		t.say("once more", "%v, but this machine stood still for %s meanwhile", err, late.Round(time.Millisecond))
	}
}

// talk calls the echo, speaks, and compares what comes back.
func (t *trip) talk(ctx context.Context) error {
	asked := time.Now()
	var r callResource
	if err := t.rest.do(ctx, http.MethodPost, "/call", map[string]string{"to": t.echo}, &r); err != nil {
		return err
	}
	speak, err := dialSocket(ctx, r.SpeakURL, t.token)
	if err != nil {
		return err
	}
	defer speak.close()
	listen, err := dialSocket(ctx, r.ListenURL, t.token)
	if err != nil {
		return err
	}
	defer listen.close()
	heard := hear(listen)
	answered, err := speak.wait(ctx, "answered")
	if err != nil {
		return err
	}
	t.report.AnsweredMS, t.report.Codec = ms(time.Since(asked)), answered.Codec
	t.say("called", "%s, the echo: answered after %.0f ms, %s", t.echo, t.report.AnsweredMS, answered.Codec)
	m := &mouth{socket: speak}
	if err := t.speak(ctx, m); err != nil {
		return err
	}
	if err := t.hangup(ctx, r.ID); err != nil {
		return err
	}
	select {
	case e := <-heard:
		return t.judge(e, m)
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of the listen socket: %w", ctx.Err())
	}
}

// linger is how long the call goes on after the last word was spoken, for its echo.
const linger = 500 * time.Millisecond

// speak sends the speech and waits until the gateway has spoken it.
func (t *trip) speak(ctx context.Context, m *mouth) error {
	pcm, _ := sample.Speech()
	spoken := time.Duration(len(pcm)) * time.Second / lineRate
	if err := m.say(ctx, sample.SpeechWAV()); err != nil {
		return err
	}
	t.report.SpokenMS = spoken.Milliseconds()
	m.socket.send(ws.NewTextFrame([]byte(`{"type":"mark","name":"end"}`)))
	mark, err := m.socket.wait(ctx, "mark")
	if err != nil {
		return err
	}
	if mark.Name != "end" || mark.Cleared {
		return fmt.Errorf("the mark at the end came back as %+v", mark)
	}
	t.say("spoke", "%.1f s to the speak socket, a WAV in real time", spoken.Seconds())
	select {
	case <-time.After(linger):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the echo: %w", ctx.Err())
	}
}

func (t *trip) hangup(ctx context.Context, id string) error {
	if err := t.rest.do(ctx, http.MethodDelete, "/v1/calls/"+id, nil, nil); err != nil {
		return err
	}
	r, err := t.rest.final(ctx, id)
	if err != nil {
		return err
	}
	if r.Status != "completed" {
		return fmt.Errorf("the call ended as %s (%s), want completed", r.Status, r.Reason)
	}
	c, err := t.net.WaitCall(ctx, func(c phonenet.Call) bool { return c.ID == r.SIP.CallID && c.State == phonenet.StateEnded })
	if err != nil {
		return err
	}
	if c.Reason != phonenet.EndRemoteBye || c.Seen.Bye != 1 {
		return fmt.Errorf("the network saw the call end by %s with %d BYE, want one BYE of ours", c.Reason, c.Seen.Bye)
	}
	t.report.PacketsLost = c.RTP.Lost
	t.say("hung up", "%s (%s) after %.1f s; the network heard %d packets, %d lost", r.Status, r.Reason,
		float64(r.DurationMS)/1000, c.RTP.Received, c.RTP.Lost)
	return nil
}

// judge compares what was heard with what was said.
func (t *trip) judge(e ear, m *mouth) error {
	pcm, _ := sample.Speech()
	s := compare(pcm, e, m)
	t.report.Correlation = float64(int(s.Correlation*10000)) / 10000
	t.report.MissingMS, t.report.ExtraMS = ms(s.MissingTime()), ms(s.ExtraTime())
	t.report.DelayMedianMS, t.report.DelayWorstMS = ms(s.delay(0.5)), ms(s.delay(1))
	t.say("heard", "%.1f s back: correlation %.3f, %.0f ms missing, mouth to ear %.0f ms (worst %.0f ms)",
		float64(len(e.pcm))/lineRate, s.Correlation, t.report.MissingMS, t.report.DelayMedianMS, t.report.DelayWorstMS)
	if !s.Found {
		return errors.New("nothing of the speech came back")
	}
	if err := s.fault(); err != nil {
		return soundError{err}
	}
	return nil
}

// fault is what is wrong with a sound.
func (s sound) fault() error {
	switch {
	case s.Correlation < minCorrelation:
		return fmt.Errorf("the echo is unlike the speech: correlation %.3f, want %.1f", s.Correlation, minCorrelation)
	case len(s.Missing) > 0:
		return fmt.Errorf("%s of the speech is missing, first at %d ms", s.MissingTime(), s.Missing[0].Start*1000/lineRate)
	case s.ExtraTime() > maxExtra:
		return fmt.Errorf("%s of pauses were put in, at most %s are fine", s.ExtraTime(), maxExtra)
	case s.delay(0.5) > maxDelay:
		return fmt.Errorf("mouth to ear takes %s, at most %s are fine", s.delay(0.5), maxDelay)
	}
	return nil
}

func binaryFrame(p []byte) ws.Frame { return ws.NewBinaryFrame(append([]byte(nil), p...)) }
