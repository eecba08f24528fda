package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"phonesocket/internal/call"
)

// Problem is a refusal as RFC 9457 writes it.
type Problem struct { //nolint:errname // the RFC has the name
	Type     string  `json:"type" doc:"Always about:blank; the code tells more." example:"about:blank"`
	Title    string  `json:"title" doc:"The words of the HTTP status." example:"Forbidden"`
	Status   int     `json:"status" doc:"The HTTP status." example:"403"`
	Detail   string  `json:"detail" doc:"What is wrong and what to do about it, for people."`
	Code     string  `json:"code" doc:"What is wrong, for machines; codes stay." example:"emergency_number"`
	Instance string  `json:"instance,omitempty" doc:"The path that was asked for."`
	Errors   []Fault `json:"errors,omitempty" doc:"What is wrong with the request, one by one."`

	header http.Header
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location,omitempty" doc:"Where it is." example:"body.to"`
	Message  string `json:"message" doc:"What it is."`
}

// Codes of this package; those of [call.Error] come on top.
const (
	codeInvalid     = call.CodeInvalid
	codeInvalidBody = "invalid_body"
	codeInternal    = call.CodeInternal

	ourFault = "Something went wrong here; the log of the gateway says what."
)

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Error tells the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers that belong to the refusal.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType is the media type of the document.
func (*Problem) ContentType(string) string { return "application/problem+json" }

// write answers a request with the problem.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	p.Instance = r.URL.Path
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"status":500,"code":"internal_error"}`) // cannot happen: strings and numbers only
	}
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}

// classStatus is the one table from the classes of refusals to HTTP.
func classStatus(c call.Class) int {
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

// retryAfter is what a client waits when nobody knows better.
const retryAfter = 5 * time.Second

// refuse turns an error of the calls into a problem.
func (s *server) refuse(ctx context.Context, err error) *Problem {
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Class == call.Internal {
		s.cfg.Logger.ErrorContext(ctx, "request failed", slog.Any("error", err))
		return newProblem(http.StatusInternalServerError, codeInternal, ourFault)
	}
	p := newProblem(classStatus(e.Class), e.Code, e.Message)
	if e.Field != "" {
		place := "body." + e.Field
		if e.Field == idempotencyHeader {
			place = "header." + e.Field
		}
		p.Errors = []Fault{{Location: place, Message: e.Message}}
	}
	wait := e.RetryAfter
	if wait <= 0 && (e.Class == call.Limited || e.Class == call.Unavailable) {
		wait = retryAfter
	}
	if wait > 0 {
		p.header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(wait.Seconds())))}}
	}
	return p
}

// rewrite makes a problem of ours from whatever the framework wants to answer with.
func rewrite(ctx huma.Context, _ string, v any) (any, error) {
	path := ctx.URL().Path
	switch e := v.(type) {
	case *Problem:
		e.Instance = path
		return e, nil
	case *huma.ErrorModel:
		p := fromModel(e)
		p.Instance = path
		return p, nil
	default:
		return v, nil
	}
}

func fromModel(e *huma.ErrorModel) *Problem {
	p := newProblem(e.Status, codeInvalid, "")
	switch e.Status {
	case http.StatusBadRequest:
		p.Code = codeInvalidBody
		p.Detail = `The body is not JSON; it should look like {"to":"+4930123456"}.`
		if len(e.Errors) == 0 {
			p.Detail = `There is no body; it should look like {"to":"+4930123456"}.`
		}
		return p
	case http.StatusRequestEntityTooLarge:
		return tooLarge()
	case http.StatusRequestTimeout:
		p.Code, p.Detail = "request_timeout", "The body did not arrive in time."
		return p
	case http.StatusUnprocessableEntity:
	default:
		p.Code, p.Detail = codeInternal, ourFault
		return p
	}
	var all []string
	for _, d := range e.Errors {
		if d == nil {
			continue
		}
		f := Fault{Location: d.Location, Message: d.Message + suggestion(d)}
		p.Errors = append(p.Errors, f)
		all = append(all, strings.TrimPrefix(f.Location+": ", ": ")+f.Message)
	}
	p.Detail = "The request makes no sense: " + strings.Join(all, "; ")
	if !strings.HasSuffix(p.Detail, "?") {
		p.Detail += "."
	}
	return p
}

func tooLarge() *Problem {
	return newProblem(http.StatusRequestEntityTooLarge, "body_too_large", "The body is larger than "+strconv.Itoa(maxBody/1024)+" KB.")
}

// suggestion names the field that was meant when an unknown one is nearly it.
func suggestion(d *huma.ErrorDetail) string {
	name, found := strings.CutPrefix(d.Location, "body.")
	if !found || d.Message != "unexpected property" {
		return ""
	}
	best, distance := "", 3
	for f := range reflect.TypeFor[dialBody]().Fields() {
		field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if n := edits(strings.ToLower(name), field); n < distance && n < len(field) {
			best, distance = field, n
		}
	}
	if best == "" {
		return ""
	}
	return `, did you mean "` + best + `"?`
}

// edits is the number of letters to insert, remove or replace to get from one
// word to another (Levenshtein).
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
