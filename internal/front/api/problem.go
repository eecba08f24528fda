package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"phonesocket/internal/call"
	"phonesocket/internal/front/problem"
)

// Codes of this package; those of [call.Error] come on top.
const (
	codeInvalid     = call.CodeInvalid
	codeInvalidBody = "invalid_body"
)

// refuse turns an error of the calls into a problem.
func (s *server) refuse(ctx context.Context, err error) *problem.Document {
	e, ok := errors.AsType[*call.Error](err)
	if !ok || e.Class == call.Internal {
		s.cfg.Logger.ErrorContext(ctx, "request failed", slog.Any("error", err))
		return problem.Ours()
	}
	p := problem.Of(e)
	if e.Field != "" {
		place := "body." + e.Field
		if e.Field == idempotencyHeader {
			place = "header." + e.Field
		}
		p.Errors = []problem.Fault{{Location: place, Message: e.Message}}
	}
	return p
}

// rewrite makes a problem of ours from whatever the framework wants to answer with.
func rewrite(ctx huma.Context, _ string, v any) (any, error) {
	path := ctx.URL().Path
	switch e := v.(type) {
	case *problem.Document:
		e.Instance = path
		return e, nil
	case *huma.ErrorModel:
		p := fromModel(e)
		if e.Status == http.StatusBadRequest && strings.HasSuffix(path, "/reject") {
			p.Detail = `The body is not JSON; it should look like {"code":486}, or be left out.`
		}
		p.Instance = path
		return p, nil
	default:
		return v, nil
	}
}

func fromModel(e *huma.ErrorModel) *problem.Document {
	p := problem.New(e.Status, codeInvalid, "")
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
		return problem.Ours()
	}
	var all []string
	for _, d := range e.Errors {
		if d == nil {
			continue
		}
		f := problem.Fault{Location: d.Location, Message: d.Message + suggestion(d)}
		p.Errors = append(p.Errors, f)
		all = append(all, strings.TrimPrefix(f.Location+": ", ": ")+f.Message)
	}
	p.Detail = "The request makes no sense: " + strings.Join(all, "; ")
	if !strings.HasSuffix(p.Detail, "?") {
		p.Detail += "."
	}
	return p
}

func tooLarge() *problem.Document {
	return problem.New(http.StatusRequestEntityTooLarge, "body_too_large", "The body is larger than "+strconv.Itoa(maxBody/1024)+" KB.")
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
