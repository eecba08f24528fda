package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"phonesocket/internal/front/problem"
)

// handler is the way of a request: log, headers, barrier, guard, route.
func (s *server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		began := time.Now()
		setHeaders(w.Header())
		s.serve(rec, r)
		s.cfg.Logger.DebugContext(r.Context(), "request",
			slog.String("method", r.Method), slog.String("path", shorten(r.URL.Path)), slog.Int("status", rec.status),
			slog.Int64("bytes", rec.bytes), slog.Duration("took", time.Since(began)), slog.String("remote", r.RemoteAddr))
	})
}

// serve carries out a request behind the barrier.
func (s *server) serve(w *recorder, r *http.Request) {
	defer s.barrier(w, r)
	s.route(w, r)
}

// setHeaders forbids browsers everything that an API does not need.
func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
}

// barrier, deferred, answers a panic of a handler with a problem and lets the
// server go on; no call has its state in a handler.
func (s *server) barrier(w *recorder, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(fault)
	}
	if r.Context().Err() != nil {
		return // the client is gone, writing to it has failed
	}
	s.cfg.Logger.ErrorContext(r.Context(), "handler panicked", slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out already
	}
	problem.Ours().Write(w, r)
}

// route refuses or serves.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	check := s.cfg.Guard.checkPlace
	if !s.openPath[r.URL.Path] {
		check = func(r *http.Request) *problem.Document { return s.cfg.Guard.check(r, s.prompt[r.URL.Path]) }
	}
	if p := check(r); p != nil {
		p.Write(w, r)
		return
	}
	// The router would send a client on from //call to /call, and curl does not follow.
	if h, pattern := s.mux.Handler(r); pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
		missing(h, r).Write(w, r)
		return
	}
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close") // what is on its way is not worth reading
		tooLarge().Write(w, r)
		return
	}
	s.mux.ServeHTTP(w, plain(r))
}

// plain is the request as the framework shall see it: a body is JSON, whatever
// content type "curl -d" gives it, and so is the answer.
func plain(r *http.Request) *http.Request {
	r = r.WithContext(context.WithValue(r.Context(), hostKey{}, r.Host))
	r.Header = r.Header.Clone()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Del("Accept")
	return r
}

// missing turns what the router answers to a request that it cannot serve into
// a problem: 405 with the methods that there are, or 404.
func missing(h http.Handler, r *http.Request) *problem.Document {
	answer := &recorder{ResponseWriter: discard{http.Header{}}}
	h.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		allow := answer.Header().Get("Allow")
		p := problem.New(answer.status, "method_not_allowed", "This path knows "+allow+" only.")
		p.Header = http.Header{"Allow": {allow}}
		return p
	}
	return problem.New(http.StatusNotFound, "not_found", "There is nothing at this path; GET /docs shows what there is.")
}

// shorten keeps a path of a stranger from flooding the log.
func shorten(asked string) string {
	if len(asked) > 100 {
		asked = asked[:100] + "…"
	}
	return strings.ToValidUTF8(asked, "?")
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter

	status int
	bytes  int64
}

// Unwrap lets http.ResponseController find the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
