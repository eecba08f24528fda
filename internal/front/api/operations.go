package api

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"phonesocket/internal/call"
	"phonesocket/internal/front/problem"
)

// operation is one line of the table: what the document says of a route and
// what serves it.
type operation struct {
	huma.Operation
	// open needs no token; prompt lets a browser ask for it.
	open, prompt bool
	// refusals are the HTTP statuses of its problems, beside those of every route.
	refusals []int
	register func(huma.API, huma.Operation)
}

// serve is how a typed handler gets into the table.
func serve[I, O any](handler func(context.Context, *I) (*O, error)) func(huma.API, huma.Operation) {
	return func(a huma.API, op huma.Operation) { huma.Register(a, op, handler) }
}

// table is all that REST can do.
func (s *server) table() []operation { return append(s.callTable(), s.systemTable()...) }

// callTable is what can be done with calls.
func (s *server) callTable() []operation {
	calls := []string{"Calls"}
	dialRefusals := []int{400, 413, 422, 409, 429, 503}
	return []operation{
		{
			Operation: huma.Operation{
				OperationID: "dial", Method: http.MethodPost, Path: "/v1/calls", Tags: calls, DefaultStatus: http.StatusCreated,
				Summary:     "Place a call",
				Description: "Answers as soon as the call is on its way. Connect to speak_url and listen_url for the audio; what is spoken before the answer is kept until then. The body is JSON whatever its content type says.",
			},
			refusals: dialRefusals, register: serve(s.dial),
		},
		{
			Operation: huma.Operation{
				OperationID: "dial-short", Method: http.MethodPost, Path: "/call", Tags: calls, DefaultStatus: http.StatusCreated,
				Summary: "Place a call (short form)", Description: "The same as POST /v1/calls.",
			},
			refusals: dialRefusals, register: serve(s.dial),
		},
		{
			Operation: huma.Operation{
				OperationID: "list-calls", Method: http.MethodGet, Path: "/v1/calls", Tags: calls,
				Summary: "List calls", Description: "The newest first, in pages. Ended calls are forgotten after an hour.",
			},
			refusals: []int{422}, register: serve(s.list),
		},
		{
			Operation: huma.Operation{
				OperationID: "get-call", Method: http.MethodGet, Path: "/v1/calls/{id}", Tags: calls,
				Summary: "Look at a call", Description: "With the counters of its audio as they are now.",
			},
			refusals: []int{404, 422}, register: serve(s.get),
		},
		{
			Operation: huma.Operation{
				OperationID: "end-call", Method: http.MethodDelete, Path: "/v1/calls/{id}", Tags: calls,
				Summary: "Hang up", Description: hangupText,
			},
			refusals: []int{404, 422}, register: serve(s.hangup),
		},
		{
			Operation: huma.Operation{
				OperationID: "hangup-call", Method: http.MethodPost, Path: "/v1/calls/{id}/hangup", Tags: calls,
				Summary: "Hang up (the same as DELETE)", Description: hangupText,
			},
			refusals: []int{404, 422}, register: serve(s.hangup),
		},
		{
			Operation: huma.Operation{
				OperationID: "answer-call", Method: http.MethodPost, Path: "/v1/calls/{id}/answer", Tags: calls,
				Summary: "Answer a call that came in", Description: "Without waiting for an audio socket. 202 when the caller has not confirmed yet; 409 when it is no incoming call that rings.",
			},
			refusals: []int{404, 409, 422}, register: serve(s.answer),
		},
		{
			Operation: huma.Operation{
				OperationID: "reject-call", Method: http.MethodPost, Path: "/v1/calls/{id}/reject", Tags: calls,
				Summary: "Refuse a call that came in", Description: "With a SIP status of your choice. 202 when the end is not confirmed yet; 409 when it is no incoming call that rings.",
			},
			refusals: []int{400, 404, 409, 413, 422}, register: serve(s.reject),
		},
		{
			Operation: huma.Operation{
				OperationID: "hangup-only", Method: http.MethodPost, Path: "/hangup", Tags: calls,
				Summary: "Hang up the only call", Description: "404 when there is none, 409 when there are several.",
			},
			refusals: []int{404, 409}, register: serve(s.hangupOnly),
		},
	}
}

// systemTable is what can be asked about the gateway.
func (s *server) systemTable() []operation {
	system := []string{"System"}
	return []operation{
		{
			Operation: huma.Operation{
				OperationID: "registrations", Method: http.MethodGet, Path: "/v1/registrations", Tags: system,
				Summary: "Look at the accounts", Description: "Whether they are registered at their providers, and what to do if not.",
			},
			register: serve(s.registrations),
		},
		{
			Operation: huma.Operation{
				OperationID: "health", Method: http.MethodGet, Path: "/health", Tags: system,
				Summary: "Is the process alive?", Description: "Always 200, without a token.",
			},
			open: true, register: serve(s.health),
		},
		{
			Operation: huma.Operation{
				OperationID: "ready", Method: http.MethodGet, Path: "/ready", Tags: system,
				Summary: "Can calls be placed?", Description: "503 with the reason until the account is registered, and when the gateway is about to stop.",
			},
			refusals: []int{503}, register: serve(s.ready),
		},
		s.document("openapi", "/openapi.json", "This document", "application/json", s.serveOpenAPI),
		s.document("docs", "/docs", "This document for people", "text/html", s.serveDocs),
	}
}

const hangupText = "Also while it rings. A call that has ended already stays as it is. 202 when the other side has not confirmed the end yet."

// document is a line for something that is not JSON of ours.
func (s *server) document(id, path, summary, contentType string, h http.HandlerFunc) operation {
	return operation{
		Operation: huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"System"},
			Description: "A browser may bring the token as the password of its own prompt, with any user.",
			Responses:   map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{contentType: {}}}},
		},
		prompt: true,
		register: func(a huma.API, op huma.Operation) {
			a.OpenAPI().AddOperation(&op)
			s.mux.HandleFunc(op.Method+" "+op.Path, h)
		},
	}
}

// describe puts the refusals of a route into the document.
func describe(a huma.API, o *operation) {
	op := &o.Operation
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	statuses := []int{http.StatusForbidden}
	if o.open {
		op.Security = []map[string][]string{} // none at all
	} else {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	if o.OperationID != "openapi" && o.OperationID != "docs" {
		statuses = append(statuses, http.StatusInternalServerError)
	}
	if strings.Contains(op.Description, "202") {
		op.Responses["202"] = &huma.Response{Description: "Accepted", Content: map[string]*huma.MediaType{
			"application/json": {Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[resource](), true, "Call")},
		}}
	}
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[problem.Document](), true, "Problem")
	for _, status := range append(statuses, o.refusals...) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{problem.ContentType: {Schema: schema}},
		}
	}
}

func (s *server) dial(ctx context.Context, in *dialInput) (*createdOutput, error) {
	r, p := in.request()
	if p != nil {
		return nil, p
	}
	c, err := s.cfg.Calls.Dial(ctx, r)
	if err != nil {
		return nil, s.refuse(ctx, err)
	}
	out := &createdOutput{Location: "/v1/calls/" + c.ID, Body: s.resource(ctx, c)}
	if c.Replayed {
		out.Replayed = "true"
	}
	return out, nil
}

func (s *server) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := call.Filter{After: in.After, Limit: in.Limit}
	for _, status := range in.Status {
		f.Status = append(f.Status, call.Status(status))
	}
	page := s.cfg.Calls.List(ctx, f)
	out := &listOutput{Body: listBody{Calls: make([]resource, 0, len(page.Calls)), Next: page.Next}}
	for _, c := range page.Calls {
		out.Body.Calls = append(out.Body.Calls, s.resource(ctx, c))
	}
	if page.Next != "" {
		q := url.Values{"after": {page.Next}, "limit": {strconv.Itoa(in.Limit)}}
		if len(in.Status) > 0 {
			q.Set("status", strings.Join(in.Status, ","))
		}
		out.Link = "</v1/calls?" + q.Encode() + `>; rel="next"`
	}
	return out, nil
}

func (s *server) get(ctx context.Context, in *callInput) (*callOutput, error) {
	c, err := s.cfg.Calls.Get(ctx, in.ID)
	if err != nil {
		return nil, s.refuse(ctx, err)
	}
	return &callOutput{Body: s.resource(ctx, c)}, nil
}

func (s *server) hangup(ctx context.Context, in *callInput) (*hangupOutput, error) {
	return s.ended(ctx)(s.cfg.Calls.Hangup(ctx, in.ID))
}

func (s *server) hangupOnly(ctx context.Context, _ *struct{}) (*hangupOutput, error) {
	return s.ended(ctx)(s.cfg.Calls.HangupOnly(ctx))
}

// ended answers with a call that was hung up.
func (s *server) ended(ctx context.Context) func(call.Call, error) (*hangupOutput, error) {
	return func(c call.Call, err error) (*hangupOutput, error) {
		if err != nil {
			return nil, s.refuse(ctx, err)
		}
		out := &hangupOutput{Status: http.StatusOK, Body: s.resource(ctx, c)}
		if !c.Status.Final() {
			out.Status = http.StatusAccepted
		}
		return out, nil
	}
}

func (s *server) registrations(context.Context, *struct{}) (*registrationsOutput, error) {
	out := &registrationsOutput{}
	out.Body.Registrations = append([]Registration{}, s.cfg.Registrations()...)
	for i := range out.Body.Registrations {
		r := &out.Body.Registrations[i]
		r.Since, r.ExpiresAt, r.NextTry = stamp(r.Since), optionalStamp(r.ExpiresAt), optionalStamp(r.NextTry)
	}
	return out, nil
}

// stamp is a time as the interface shows it: UTC, in milliseconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func optionalStamp(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := stamp(*t)
	return &at
}

func (s *server) health(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{}
	out.Body.Status = "ok"
	return out, nil
}

func (s *server) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	if err := s.cfg.Ready(); err != nil {
		return nil, s.refuse(ctx, err)
	}
	out := &readyOutput{}
	out.Body.Status = "ready"
	return out, nil
}
