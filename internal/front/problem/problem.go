// Package problem writes refusals as problem documents (RFC 9457), the same at every door.
//
// A [Document] is an error, so handlers can return one. [Of] is the one table
// from the refusals of the calls to HTTP.
package problem

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"phonesocket/internal/call"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// RetryAfter is what a client is told to wait when nobody knows better.
const RetryAfter = 5 * time.Second

// Document is a refusal as RFC 9457 writes it.
type Document struct { //nolint:errname // the RFC has the name
	Type     string  `json:"type" doc:"Always about:blank; the code tells more." example:"about:blank"`
	Title    string  `json:"title" doc:"The words of the HTTP status." example:"Forbidden"`
	Status   int     `json:"status" doc:"The HTTP status." example:"403"`
	Detail   string  `json:"detail" doc:"What is wrong and what to do about it, for people."`
	Code     string  `json:"code" doc:"What is wrong, for machines; codes stay." example:"emergency_number"`
	Instance string  `json:"instance,omitempty" doc:"The path that was asked for."`
	Errors   []Fault `json:"errors,omitempty" doc:"What is wrong with the request, one by one."`

	// Header belongs to the refusal: Allow, Retry-After, a challenge. It may be nil.
	Header http.Header `json:"-"`
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location,omitempty" doc:"Where it is." example:"body.to"`
	Message  string `json:"message" doc:"What it is."`
}

// New returns a refusal with an HTTP status, a code for machines and a detail
// for people, whole sentences.
func New(status int, code, detail string) *Document {
	return &Document{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Of returns the refusal of the calls as a document. A mistake of ours tells no
// more than that; its cause belongs into the log.
func Of(e *call.Error) *Document {
	if e.Class == call.Internal {
		return Ours()
	}
	d := New(status(e.Class), e.Code, e.Message)
	wait := e.RetryAfter
	if wait <= 0 && (e.Class == call.Limited || e.Class == call.Unavailable) {
		wait = RetryAfter
	}
	if wait > 0 {
		d.Header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
	}
	return d
}

// Ours returns what is said of a mistake of this program.
func Ours() *Document {
	return New(http.StatusInternalServerError, call.CodeInternal, "Something went wrong here; the log of the gateway says what.")
}

// status is the one table from the classes of refusals to HTTP.
func status(c call.Class) int {
	switch c {
	case call.Invalid:
		return http.StatusUnprocessableEntity
	case call.Denied:
		return http.StatusForbidden
	case call.Limited:
		return http.StatusTooManyRequests
	case call.NotFound:
		return http.StatusNotFound
	case call.Conflict:
		return http.StatusConflict
	case call.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Error tells the code and the detail.
func (d *Document) Error() string { return fmt.Sprintf("%s: %s", d.Code, d.Detail) }

// GetStatus returns the HTTP status, for the framework of REST.
func (d *Document) GetStatus() int { return d.Status }

// GetHeaders returns Header, for the framework of REST.
func (d *Document) GetHeaders() http.Header { return d.Header }

// ContentType returns the media type, for the framework of REST.
func (*Document) ContentType(string) string { return ContentType }

// Write answers a request with the refusal.
func (d *Document) Write(w http.ResponseWriter, r *http.Request) {
	d.Instance = r.URL.Path
	body, err := json.Marshal(d)
	if err != nil {
		body = []byte(`{"status":500,"code":"internal_error"}`) // cannot happen: strings and numbers only
	}
	h := w.Header()
	maps.Copy(h, d.Header)
	h.Set("Content-Type", ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
