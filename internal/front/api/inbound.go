package api

import (
	"context"
	"net/http"

	"phonesocket/internal/call"
)

// rejectBody says how a call is refused.
type rejectBody struct {
	Code int `json:"code,omitempty" minimum:"400" maximum:"699" example:"486" doc:"The SIP status that the caller gets: 486 busy, 480 nobody is there, 603 declined. Without: 486."`
}

type rejectInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Name of the call." example:"call_01jq3k7v9x2m4n6p8r0s1t3w5y"`
	Body *rejectBody
}

// answer picks up a call that came in.
func (s *server) answer(ctx context.Context, in *callInput) (*hangupOutput, error) {
	c, err := s.cfg.Calls.Answer(ctx, in.ID)
	if err != nil {
		return nil, s.refuse(ctx, err)
	}
	out := &hangupOutput{Status: http.StatusOK, Body: s.resource(ctx, c)}
	if c.Status != call.StatusInProgress {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

// reject refuses a call that came in.
func (s *server) reject(ctx context.Context, in *rejectInput) (*hangupOutput, error) {
	code := 0
	if in.Body != nil {
		code = in.Body.Code
	}
	return s.ended(ctx)(s.cfg.Calls.Reject(ctx, in.ID, code))
}
