package stream

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"phonesocket/internal/front/problem"
	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/session"
)

// upgradeTimeout bounds the writing of the answer to a handshake.
const upgradeTimeout = 10 * time.Second

// door is the handler of one port.
type door struct {
	server *Server
	role   engine.Role
}

// ServeHTTP refuses with a problem document, or upgrades and hands over.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, p := d.check(r)
	if p == nil {
		p = d.connect(w, r, q)
	}
	if p != nil {
		p.Write(w, r)
	}
}

// check looks at everything that needs no call.
func (d door) check(r *http.Request) (query, *problem.Document) {
	if err := d.server.cfg.Authorize(r); err != nil {
		return query{}, unauthorized(err)
	}
	if r.URL.Path != "/" {
		return query{}, refuse(http.StatusNotFound, "not_found", "There is nothing at this path: connect to /.")
	}
	if r.Method != http.MethodGet {
		return query{}, refuse(http.StatusMethodNotAllowed, "method_not_allowed", "Only GET with a WebSocket upgrade is served here.")
	}
	if p := d.checkUpgrade(r); p != nil {
		return query{}, p
	}
	q, err := parseQuery(r.URL.RawQuery, d.role)
	if err != nil {
		return q, refuse(http.StatusBadRequest, "bad_query", "%s", sentence(err))
	}
	return q, nil
}

// checkUpgrade checks the handshake of the client (RFC 6455 section 4.2.1), to say what is wrong in
// place of the terse answer that the upgrade would give.
func (d door) checkUpgrade(r *http.Request) *problem.Document {
	if !hasToken(r.Header, "Upgrade", "websocket") || !hasToken(r.Header, "Connection", "upgrade") {
		what := "give the audio of the callee as binary messages"
		if d.role == engine.Speak {
			what = "take audio to be spoken as binary messages"
		}
		return refuse(http.StatusUpgradeRequired, "upgrade_required",
			"This port speaks WebSocket, to %s. Connect a WebSocket client to ws://%.100s/?call=ID&format=pcm16&rate=16000, or without call to follow the line.", what, r.Host)
	}
	if v := r.Header.Get("Sec-WebSocket-Version"); v != "13" {
		return refuse(http.StatusUpgradeRequired, "websocket_version", "WebSocket version %.10q is not spoken here: use 13.", v)
	}
	// "The value of this header field MUST be a nonce consisting of a randomly selected 16-byte value
	// that has been base64-encoded". RFC 6455 section 4.1.
	if key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return refuse(http.StatusBadRequest, "bad_handshake", "Sec-WebSocket-Key must be 16 random bytes in base64.")
	}
	return nil
}

// connect reserves what the socket needs, upgrades, and hands the connection to the engine.
func (d door) connect(w http.ResponseWriter, r *http.Request, q query) *problem.Document {
	s := d.server
	var m *engine.Media
	var seat *engine.Seat
	var err error
	switch {
	case q.call != "":
		if m, err = s.cfg.Calls.Media(q.call); err == nil {
			seat, err = d.seat(m)
		}
	case d.role == engine.Speak:
		seat, err = s.line.reserve()
	}
	if err != nil {
		return s.callProblem(err)
	}
	undo := func() {
		seat.Release()
		if q.call == "" && d.role == engine.Speak {
			s.line.release()
		}
	}
	if !s.enter() {
		undo()
		return refuse(http.StatusServiceUnavailable, "shutting_down", "The gateway is shutting down.")
	}
	nc, rw, _, err := ws.HTTPUpgrader{Timeout: upgradeTimeout}.Upgrade(r, w)
	if err != nil {
		undo()
		s.open.Done()
		if nc != nil {
			nc.Close()
		}
		s.cfg.Logger.Debug("websocket handshake broke off", "error", err)
		return nil
	}
	buffered, _ := rw.Peek(rw.Reader.Buffered())
	c := s.cfg.Engine.Adopt(nc, buffered, engine.ConnConfig{
		Role: d.role, Format: q.format, Dialect: s.dialect, Linger: q.call == "", Seat: seat,
		EarlyLimit: s.cfg.EarlyLimit,
		OnDone:     func(c *engine.Conn) { s.leave(c, q.call == "", d.role) },
	})
	s.admit(c, q.call == "", m)
	s.cfg.Logger.Info("audio socket opened", "role", d.role.String(), "call_id", q.call, "format", q.format.Name(), "rate", q.format.Rate)
	return nil
}

// seat reserves the place of the speaker for a speaker, and checks that the call still runs.
func (d door) seat(m *engine.Media) (*engine.Seat, error) {
	if d.role == engine.Speak {
		return m.TakeSeat()
	}
	if m.Ended() {
		return nil, engine.ErrEnded
	}
	return nil, nil
}

// enter counts a socket in, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open.Add(1)
	return true
}

// admit puts an adopted socket where it belongs.
func (s *Server) admit(c *engine.Conn, onLine bool, m *engine.Media) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		c.Close(1001, "the gateway is shutting down")
	case onLine:
		s.line.add(c)
	default:
		if err := c.Attach(m); err != nil {
			c.Close(1000, "the call has ended")
		}
	}
	select {
	case <-c.Done(): // leave may have been before
		s.forget(c)
	default:
	}
}

// leave is called when a socket is closed.
func (s *Server) leave(c *engine.Conn, onLine bool, role engine.Role) {
	s.forget(c)
	s.cfg.Logger.Info("audio socket closed", "role", role.String(), "dropped_ms", c.Dropped()*session.FrameMS)
	if onLine && role == engine.Speak {
		s.line.release()
	}
	s.open.Done()
}

func (s *Server) forget(c *engine.Conn) {
	s.line.remove(c)
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// hasToken reports whether a comma-separated header holds a token, in any case.
func hasToken(h http.Header, name, token string) bool {
	for _, value := range h.Values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// sentence makes an error text one that can be shown.
func sentence(err error) string {
	text := err.Error()
	if text == "" {
		return "Refused."
	}
	return fmt.Sprintf("%s%s.", strings.ToUpper(text[:1]), strings.TrimSuffix(text[1:], "."))
}
