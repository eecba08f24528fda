package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// gateway is a running binary with free ports, and a client for its doors.
type gateway struct {
	*process
	api string
}

// startGateway runs the binary with an account and waits until it serves REST.
func startGateway(t *testing.T, env ...string) *gateway {
	t.Helper()
	api, speak, listen := freePort(t), freePort(t), freePort(t)
	env = append([]string{
		fmt.Sprintf("API_PORT=%d", api), fmt.Sprintf("SPEAK_PORT=%d", speak), fmt.Sprintf("LISTEN_PORT=%d", listen),
		"LOG_LEVEL=debug", "SIP_BIND=127.0.0.1:0",
	}, env...)
	g := &gateway{process: start(t, t.TempDir(), env, program), api: fmt.Sprintf("http://127.0.0.1:%d", api)}
	eventually(t, 10*time.Second, "REST answers", func() (bool, string) {
		status, body, err := g.try("GET", "/health", nil)
		return err == nil && status == http.StatusOK, fmt.Sprint(status, body, err)
	})
	return g
}

// waitReady waits until the account is registered.
func (g *gateway) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, 15*time.Second, "the gateway is ready", func() (bool, string) {
		status, body, err := g.try("GET", "/ready", nil)
		return err == nil && status == http.StatusOK, fmt.Sprint(status, body, err)
	})
}

// eventually asks again every 20 ms until the condition holds, for things that only polling can see.
func eventually(t *testing.T, limit time.Duration, what string, condition func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, state := condition()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s; last state: %s", limit, what, state)
		}
	}
}

// object is a JSON document as a test reads it.
type object map[string]any

func (o object) text(key string) string {
	s, _ := o[key].(string)
	return s
}

func (o object) number(keys ...string) float64 {
	for _, key := range keys[:len(keys)-1] {
		inner, _ := o[key].(map[string]any)
		o = inner
	}
	n, _ := o[keys[len(keys)-1]].(float64)
	return n
}

func (g *gateway) try(method, path string, body any) (int, object, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.api+path, payload)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	out := object{}
	err = json.NewDecoder(res.Body).Decode(&out)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return res.StatusCode, out, err
}

// dial places a call and returns its resource.
func (g *gateway) dial(t *testing.T, request object) object {
	t.Helper()
	status, call, err := g.try("POST", "/call", request)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("POST /call %v = %d %v, %v; want 201", request, status, call, err)
	}
	return call
}

// call reads a call's resource.
func (g *gateway) call(t *testing.T, id string) object {
	t.Helper()
	status, call, err := g.try("GET", "/v1/calls/"+id, nil)
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET /v1/calls/%s = %d %v, %v; want 200", id, status, call, err)
	}
	return call
}

// waitStatus waits until the call has one of the wanted statuses and returns it.
func (g *gateway) waitStatus(t *testing.T, id string, limit time.Duration, wanted ...string) object {
	t.Helper()
	var call object
	eventually(t, limit, "status of the call is "+strings.Join(wanted, " or "), func() (bool, string) {
		call = g.call(t, id)
		for _, status := range wanted {
			if call.text("status") == status {
				return true, ""
			}
		}
		return false, fmt.Sprint(call)
	})
	return call
}

func (g *gateway) hangup(t *testing.T, id string) {
	t.Helper()
	if status, body, err := g.try("DELETE", "/v1/calls/"+id, nil); err != nil || status >= 300 {
		t.Fatalf("DELETE /v1/calls/%s = %d %v, %v; want success", id, status, body, err)
	}
}

// socket is a WebSocket of a test: it collects audio and texts as they come.
type socket struct {
	conn net.Conn

	mu      sync.Mutex
	audio   []byte
	texts   []object
	closed  error
	changed chan struct{}
}

// connect opens a WebSocket; it is closed with the test.
func connect(t *testing.T, url string) *socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	conn, buffered, _, err := ws.Dial(ctx, url)
	if err != nil {
		t.Fatalf("connect %s: %v", url, err)
	}
	s := &socket{conn: conn, changed: make(chan struct{})}
	var in io.Reader = conn
	if buffered != nil {
		in = io.MultiReader(buffered, conn)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.read(in)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

func (s *socket) read(in io.Reader) {
	stream := struct {
		io.Reader
		io.Writer
	}{in, s.conn}
	for {
		data, op, err := wsutil.ReadServerData(stream)
		s.mu.Lock()
		switch {
		case err != nil:
			s.closed = err
		case op == ws.OpText:
			text := object{}
			if json.Unmarshal(data, &text) == nil {
				s.texts = append(s.texts, text)
			}
		default:
			s.audio = append(s.audio, data...)
		}
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait waits until the condition, seen under the lock, holds.
func (s *socket) wait(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		s.mu.Lock()
		ok, changed, texts, heard := condition(), s.changed, s.texts, len(s.audio)
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s; texts %v, %d bytes of audio", limit, what, texts, heard)
		}
	}
}

// waitText waits for a text of the type and returns the first.
func (s *socket) waitText(t *testing.T, kind string, limit time.Duration) object {
	t.Helper()
	var found object
	s.wait(t, limit, "a text of type "+kind, func() bool {
		for _, text := range s.texts {
			if text.text("type") == kind {
				found = text
				return true
			}
		}
		return false
	})
	return found
}

// heard returns the audio so far as samples.
func (s *socket) heard() []int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	pcm := make([]int16, len(s.audio)/2)
	for i := range pcm {
		pcm[i] = int16(s.audio[2*i]) | int16(s.audio[2*i+1])<<8
	}
	return pcm
}

// speak sends samples as 16 bit little-endian, in messages of 100 ms at 16 kHz.
func (s *socket) speak(t *testing.T, pcm []int16) {
	t.Helper()
	raw := make([]byte, 2*len(pcm))
	for i, v := range pcm {
		raw[2*i], raw[2*i+1] = byte(v), byte(v>>8)
	}
	for len(raw) > 0 {
		n := min(3200, len(raw))
		if err := wsutil.WriteClientBinary(s.conn, raw[:n]); err != nil {
			t.Fatalf("speak: %v", err)
		}
		raw = raw[n:]
	}
}

func (s *socket) send(t *testing.T, text object) {
	t.Helper()
	raw, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := wsutil.WriteClientText(s.conn, raw); err != nil {
		t.Fatalf("send %s: %v", raw, err)
	}
}
