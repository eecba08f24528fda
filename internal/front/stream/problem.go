package stream

import (
	"errors"
	"fmt"
	"net/http"

	"phonesocket/internal/call"
	"phonesocket/internal/front/problem"
	"phonesocket/internal/media/engine"
)

// refuse makes a refusal before the upgrade, with the headers that its status asks for.
func refuse(status int, code, format string, args ...any) *problem.Document {
	p := problem.New(status, code, fmt.Sprintf(format, args...))
	switch status {
	case http.StatusUnauthorized:
		p.Header = http.Header{"Www-Authenticate": {`Bearer realm="phonesocket"`}}
	case http.StatusMethodNotAllowed:
		p.Header = http.Header{"Allow": {http.MethodGet}}
	case http.StatusUpgradeRequired:
		// "The server MUST send an Upgrade header field in a 426 response to indicate the required
		// protocol(s)". RFC 9110 section 15.5.22.
		p.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}}
	}
	return p
}

// unauthorized makes a refusal of the error of Authorize.
func unauthorized(err error) *problem.Document {
	if p, ok := errors.AsType[*problem.Document](err); ok {
		return p
	}
	return refuse(http.StatusUnauthorized, "unauthorized", "%s", sentence(err))
}

// callProblem says why a call cannot be joined.
func (s *Server) callProblem(err error) *problem.Document {
	switch {
	case errors.Is(err, engine.ErrEnded):
		return refuse(http.StatusConflict, "call_ended", "The call has ended.")
	case errors.Is(err, errLineTaken):
		return refuse(http.StatusConflict, "speaker_taken", "The line has a speaker already; only one may speak. Listen on the other port, or name a call with ?call=ID.")
	case errors.Is(err, engine.ErrSpeakerTaken):
		return refuse(http.StatusConflict, "speaker_taken", "The call has a speaker already; only one may speak. It is free again when that socket closes.")
	}
	known, ok := errors.AsType[*call.Error](err)
	if !ok || known.Class == call.Internal {
		s.cfg.Logger.Error("audio socket refused", "error", err)
		return problem.Ours()
	}
	return problem.Of(known)
}
