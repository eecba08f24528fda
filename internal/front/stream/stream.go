// Package stream accepts the audio WebSockets, checks who asks, and hands each connection to the media engine.
//
// There are two doors: Speak takes the audio that the callee hears, Listen gives the audio of the
// callee. What a client asks for stands in the query:
//
//	call=call_…     the call to join; without it the socket follows the line (see below)
//	format=pcm16    or ulaw, alaw, wav; mono, pcm16 is little-endian
//	rate=16000      or 8000, 24000, 48000
//	events=speech   Listen only: the texts speech.started and speech.stopped
//	auto_clear=speech
//	                Speak only: what waits is cleared when the callee begins to speak
//	early=keep      Speak only: speech before the answer is kept and spoken then; drop throws it away
//
// Everything is checked before the upgrade and refused with a problem document (RFC 9457): 400 for a
// wrong query, 401 without the right token (in the Authorization header; a query would end up in
// logs), 403 for a foreign Origin, 404 for an unknown call, 409 when the call is over or has a
// speaker, 426 when the client does not speak WebSocket.
//
// The line carries one call at a time: the first that starts while it carries none. Its sockets wait for
// that call, carry it, and stay open for the next; a call that starts meanwhile is left alone. The line
// has one speaker and any number of listeners.
//
// The handlers start no goroutines; a connection belongs to the engine after the handshake.
package stream

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"phonesocket/internal/front/wire"
	"phonesocket/internal/media/engine"
)

// Calls finds the sound of a call.
type Calls interface {
	// Media returns the sound of a running call. A *call.Error becomes the answer to the client.
	Media(callID string) (*engine.Media, error)
}

// Config says what a Server serves. Engine, Calls, Authorize and Logger are required.
type Config struct {
	Engine *engine.Engine
	Calls  Calls
	// Authorize decides from the headers whether a request may connect: the token, the Origin of a page
	// ("used to protect against unauthorized cross-origin use of a WebSocket server by scripts", RFC 6455
	// section 1.3), the Host. A *problem.Document becomes the answer to the client, any other error is
	// shown with status 401.
	Authorize func(*http.Request) error
	// EarlyLimit is how much speech is kept while the line has no call; 0 means
	// session.DefaultEarlyLimit, negative means nothing.
	EarlyLimit time.Duration
	Logger     *slog.Logger
}

// Server is both doors and the line.
type Server struct {
	cfg     Config
	dialect engine.Dialect
	line    line

	mu     sync.Mutex
	conns  map[*engine.Conn]struct{}
	closed bool
	open   sync.WaitGroup // sockets that are not done
}

// New returns a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Calls == nil || cfg.Authorize == nil || cfg.Logger == nil {
		return nil, errors.New("audio sockets: Engine, Calls, Authorize and Logger are required")
	}
	return &Server{cfg: cfg, dialect: wire.JSON{}, conns: map[*engine.Conn]struct{}{}}, nil
}

// Speak is the door for audio that the callee hears.
func (s *Server) Speak() http.Handler { return door{s, engine.Speak} }

// Listen is the door for audio of the callee.
func (s *Server) Listen() http.Handler { return door{s, engine.Listen} }

// CallStarted tells that a call begins. When the line carries none, its sockets are attached to this
// one before CallStarted returns, so that what is done to m afterwards finds them there.
func (s *Server) CallStarted(callID string, m *engine.Media) { s.line.started(callID, m) }

// CallEnded tells that a call is over: if the line carried it, it is free for the next that starts.
func (s *Server) CallEnded(callID string) { s.line.ended(callID) }

// Run serves until ctx ends. Then new sockets are refused, those that are open are closed with code
// 1001, and Run returns when the engine has let go of all of them.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close(1001, "the gateway is shutting down")
	}
	s.mu.Unlock()
	s.open.Wait()
	return nil
}
