package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
)

// problem is a refusal before the upgrade, as RFC 9457 writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	// Instance is the path asked for, without the query.
	Instance string `json:"instance"`

	header http.Header // that belongs to the refusal
}

func refuse(status int, code, format string, args ...any) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// unauthorized makes a problem of the error of Authorize. An error that knows its status, code and
// headers is taken at its word.
func unauthorized(err error) *problem {
	status, code := http.StatusUnauthorized, "unauthorized"
	if known, ok := errors.AsType[interface {
		error
		GetStatus() int
	}](err); ok {
		status = known.GetStatus()
	}
	if status != http.StatusUnauthorized {
		code = "forbidden"
	}
	if known, ok := errors.AsType[interface {
		error
		GetCode() string
	}](err); ok {
		code = known.GetCode()
	}
	p := refuse(status, code, "%s", sentence(err))
	if known, ok := errors.AsType[interface {
		error
		GetHeaders() http.Header
	}](err); ok {
		p.header = known.GetHeaders()
	}
	return p
}

func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	p.Instance = r.URL.Path
	h := w.Header()
	maps.Copy(h, p.header)
	switch p.Status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", `Bearer realm="phonesocket"`)
		}
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired:
		// "The server MUST send an Upgrade header field in a 426 response to indicate the required
		// protocol(s)". RFC 9110 section 15.5.22.
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
		h.Set("Sec-WebSocket-Version", "13")
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // strings and a number always marshal
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
