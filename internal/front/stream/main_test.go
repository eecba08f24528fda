package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"phonesocket/internal/call"
	"phonesocket/internal/front/api"
	"phonesocket/internal/front/problem"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/media/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// house is a gateway reduced to sockets and sound.
type house struct {
	t             *testing.T
	engine        *engine.Engine
	server        *Server
	speak, listen *httptest.Server
	stop          func() // of the server, then of the engine

	mu    sync.Mutex
	calls map[string]*engine.Media
}

// Media finds a call, as the exchange does.
func (h *house) Media(id string) (*engine.Media, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.calls[id]; m != nil {
		return m, nil
	}
	return nil, &call.Error{Class: call.NotFound, Code: call.CodeNotFound, Message: "There is no call with this id."}
}

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	e, err := engine.New(engine.Config{
		Workers: 2, Bind: netip.MustParseAddr("127.0.0.1"), CloseTimeout: 200 * time.Millisecond, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, engine: e, calls: map[string]*engine.Media{}}
	cfg := Config{Engine: e, Calls: h, Authorize: api.NewGuard(api.GuardConfig{}).Check, Logger: log}
	if change != nil {
		change(&cfg)
	}
	if h.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	h.speak, h.listen = httptest.NewServer(h.server.Speak()), httptest.NewServer(h.server.Listen())
	fronts, stopFronts := context.WithCancel(context.Background())
	sound, stopSound := context.WithCancel(context.Background())
	var serverDone, engineDone sync.WaitGroup
	serverDone.Go(func() { _ = h.server.Run(fronts) })
	engineDone.Go(func() { _ = e.Run(sound) })
	h.stop = sync.OnceFunc(func() {
		stopFronts()
		serverDone.Wait()
		stopSound()
		engineDone.Wait()
		h.speak.Close()
		h.listen.Close()
	})
	t.Cleanup(h.stop)
	return h
}

// phone is the other end of a call.
type phone struct {
	t     *testing.T
	media *engine.Media
	id    string
	conn  *net.UDPConn
	seq   uint16
}

// call begins a call the way the exchange does: the line is told before anything happens.
func (h *house) call(id string) *phone {
	h.t.Helper()
	m, err := h.engine.Open(engine.MediaConfig{Session: session.Config{CallID: id, From: "+4930", To: "+4940", Direction: "outbound"}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	h.calls[id] = m
	h.mu.Unlock()
	h.server.CallStarted(id, m)
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return &phone{t: h.t, media: m, id: id, conn: conn}
}

// ring begins early media.
func (p *phone) ring() {
	p.media.Ringing()
	p.media.Start(sdp.Remote{Addr: p.conn.LocalAddr().(*net.UDPAddr).AddrPort(), Codec: sdp.PCMU(), PtimeMS: 20, Direction: "sendrecv"})
}

func (p *phone) answer() {
	p.ring()
	p.media.Answered()
}

// hangUp ends a call the way the exchange does.
func (h *house) hangUp(p *phone) {
	p.media.End(session.End{Status: "completed", Reason: "remote_bye", SIPCode: 200})
	h.server.CallEnded(p.id)
	p.media.Close()
}

// say sends 20 ms of b as RTP.
func (p *phone) say(b byte) {
	p.t.Helper()
	ts := uint32(p.seq) * 160
	head := []byte{0x80, 0, byte(p.seq >> 8), byte(p.seq), byte(ts >> 24), byte(ts >> 16), byte(ts >> 8), byte(ts), 1, 2, 3, 4}
	p.seq++
	if _, err := p.conn.WriteToUDPAddrPort(append(head, bytes.Repeat([]byte{b}, 160)...), p.media.Addr()); err != nil {
		p.t.Fatal(err)
	}
}

// wantHeard waits until the phone hears 20 ms of b.
func (p *phone) wantHeard(b byte) {
	p.t.Helper()
	buf := make([]byte, 2000)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			p.t.Fatalf("the phone never hears %#x: %v", b, err)
		}
		if n == 172 && bytes.Equal(buf[12:172], bytes.Repeat([]byte{b}, 160)) {
			return
		}
	}
}

// client is a WebSocket of a user.
type client struct {
	t    *testing.T
	conn net.Conn
	in   io.Reader
}

func (h *house) connect(s *httptest.Server, query string) *client {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url := "ws" + strings.TrimPrefix(s.URL, "http") + "/" + query
	conn, br, _, err := ws.Dial(ctx, url)
	if err != nil {
		h.t.Fatalf("connect to %s: %v", url, err)
	}
	h.t.Cleanup(func() { conn.Close() })
	c := &client{t: h.t, conn: conn, in: conn}
	if br != nil {
		c.in = br
	}
	return c
}

func (c *client) send(op ws.OpCode, payload []byte) {
	c.t.Helper()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewFrame(op, true, bytes.Clone(payload)))); err != nil {
		c.t.Fatal(err)
	}
}

// speak sends n times 20 ms of b, in µ-law.
func (c *client) speak(b byte, n int) {
	c.t.Helper()
	c.send(ws.OpBinary, bytes.Repeat([]byte{b}, 160*n))
}

// settled waits until everything that was sent is at work.
func (c *client) settled() {
	c.t.Helper()
	c.send(ws.OpPing, nil)
	c.want(ws.OpPong)
}

func (c *client) want(op ws.OpCode) []byte {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		h, err := ws.ReadHeader(c.in)
		payload := make([]byte, h.Length)
		if err == nil {
			_, err = io.ReadFull(c.in, payload)
		}
		if err != nil {
			c.t.Fatalf("waiting for opcode %d: %v", op, err)
		}
		if h.OpCode == op {
			return payload
		}
		if h.OpCode == ws.OpClose {
			code, reason := ws.ParseCloseFrameData(payload)
			c.t.Fatalf("waiting for opcode %d: closed with %d %q", op, code, reason)
		}
	}
}

// wantText waits for a text of this type.
func (c *client) wantText(kind string) map[string]any {
	c.t.Helper()
	for {
		var got map[string]any
		b := c.want(ws.OpText)
		if err := json.Unmarshal(b, &got); err != nil {
			c.t.Fatalf("text %q: %v", b, err)
		}
		if got["type"] == kind {
			return got
		}
	}
}

func (c *client) wantHeard(b byte) {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if got := c.want(ws.OpBinary); bytes.Equal(got, bytes.Repeat([]byte{b}, 160)) {
			return
		}
	}
	c.t.Fatalf("never heard %#x", b)
}

func (c *client) wantClose(want ws.StatusCode) {
	c.t.Helper()
	b := c.want(ws.OpClose)
	if code, reason := ws.ParseCloseFrameData(b); code != want {
		c.t.Errorf("closed with %d %q, want %d", code, reason, want)
	}
	c.send(ws.OpClose, b)
}

// refused makes a handshake that must fail, and returns the answer.
func (h *house) refused(s *httptest.Server, query string, headers ...string) (problem.Document, http.Header) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.URL+"/"+query, http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			req.Host = headers[i+1]
		case headers[i+1] == "":
			req.Header.Del(headers[i])
		default:
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return h.do(req)
}

func (h *house) do(req *http.Request) (problem.Document, http.Header) {
	h.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		h.t.Fatal("the upgrade was accepted")
	}
	body, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		h.t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		h.t.Errorf("content type %q", got)
	}
	var p problem.Document
	if err := json.Unmarshal(body, &p); err != nil {
		h.t.Fatalf("%q: %v", body, err)
	}
	if p.Status != res.StatusCode || p.Title == "" || p.Detail == "" || p.Type == "" {
		h.t.Errorf("problem %+v with status %d", p, res.StatusCode)
	}
	return p, res.Header
}
