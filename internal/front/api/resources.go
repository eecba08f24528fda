package api

import (
	"time"

	"phonesocket/internal/call"
	"phonesocket/internal/front/problem"
)

// idempotencyHeader makes a POST repeatable (draft-ietf-httpapi-idempotency-key-header).
const idempotencyHeader = "Idempotency-Key"

// dialBody asks for a call.
type dialBody struct {
	To            string            `json:"to,omitempty" maxLength:"256" example:"+4930123456" doc:"Whom to call: a number, or a sip: URI. Spaces, dashes, brackets, 00 and a national 0 are fine."`
	Number        string            `json:"number,omitempty" maxLength:"256" doc:"The same as to, which is enough."`
	CallerID      string            `json:"caller_id,omitempty" maxLength:"40" example:"+4930987654" doc:"The number to show, if the provider allows it. Without: the one of the account."`
	RingTimeoutMS int64             `json:"ring_timeout_ms,omitempty" minimum:"5000" maximum:"180000" example:"30000" doc:"How long to let it ring. Without: RING_TIMEOUT."`
	MaxDurationMS int64             `json:"max_duration_ms,omitempty" minimum:"1000" maximum:"86400000" example:"600000" doc:"How long the call may last once it is answered, at most MAX_CALL_DURATION, which also holds without."`
	Metadata      map[string]string `json:"metadata,omitempty" doc:"Up to 20 texts of your own (key up to 40 bytes, value up to 500), kept with the call."`
}

type dialInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"With a key of your choice a request can be repeated without ringing twice: the repetition gets the call of the first. Kept for 24 hours, the newest 10,000 of them."`
	Body           dialBody
}

// request is what the exchange is asked for.
func (in *dialInput) request() (call.Request, *problem.Document) {
	to := in.Body.To
	switch {
	case to == "":
		to = in.Body.Number
	case in.Body.Number != "" && in.Body.Number != to:
		p := problem.New(422, codeInvalid, `The body names two numbers; "to" is enough.`)
		p.Errors = []problem.Fault{{Location: "body.number", Message: p.Detail}}
		return call.Request{}, p
	}
	return call.Request{
		To: to, CallerID: in.Body.CallerID, Metadata: in.Body.Metadata, Key: in.IdempotencyKey,
		RingTimeout: time.Duration(in.Body.RingTimeoutMS) * time.Millisecond,
		MaxDuration: time.Duration(in.Body.MaxDurationMS) * time.Millisecond,
	}, nil
}

// resource is a call as REST shows it.
type resource struct {
	call.Call
	SpeakURL  string `json:"speak_url" doc:"WebSocket that takes the audio to speak: 16-bit PCM, 16,000 Hz, mono, in messages of any size." example:"ws://localhost:8086/?call=call_01jq3k7v9x2m4n6p8r0s1t3w5y"`
	ListenURL string `json:"listen_url" doc:"WebSocket that gives the audio heard: 16-bit PCM, 16,000 Hz, mono, in messages of 20 ms." example:"ws://localhost:8087/?call=call_01jq3k7v9x2m4n6p8r0s1t3w5y"`
}

type createdOutput struct {
	Location string `header:"Location" doc:"Path of the call."`
	Replayed string `header:"Idempotency-Replayed" doc:"true when this is the call of an earlier request with the same key."`
	Body     resource
}

type callInput struct {
	ID string `path:"id" maxLength:"64" doc:"Name of the call." example:"call_01jq3k7v9x2m4n6p8r0s1t3w5y"`
}

type callOutput struct {
	Body resource
}

type hangupOutput struct {
	Status int
	Body   resource
}

type listInput struct {
	Limit  int      `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many calls at most."`
	After  string   `query:"after" maxLength:"64" doc:"Only calls older than this one; next of the page before."`
	Status []string `query:"status" enum:"queued,ringing,in-progress,completed,busy,no-answer,canceled,failed" doc:"Only calls in these states, separated by commas."`
}

type listBody struct {
	Calls []resource `json:"calls" nullable:"false" doc:"The newest first."`
	Next  string     `json:"next,omitempty" doc:"The after of the next page; missing on the last one."`
}

type listOutput struct {
	Link string `header:"Link" doc:"The next page, rel=next (RFC 8288)."`
	Body listBody
}

// Registration is the state of an account at its provider.
type Registration struct {
	Account   string     `json:"account" doc:"Name of the account." example:"main"`
	State     string     `json:"state" doc:"registering, registered, failed, unregistered, or static for an account that does not register." example:"registered"`
	Since     time.Time  `json:"since" doc:"When this state began."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Until when the provider knows us; renewed before."`
	Server    string     `json:"server,omitempty" doc:"Where it is registered." example:"udp:203.0.113.7:5060"`
	Contact   string     `json:"contact,omitempty" doc:"Our address as the provider has it."`
	Code      int        `json:"code,omitempty" doc:"The SIP code that led here." example:"200"`
	Cause     string     `json:"cause,omitempty" doc:"What is wrong, for machines."`
	Reason    string     `json:"reason,omitempty" doc:"What is wrong, for people."`
	Advice    string     `json:"advice,omitempty" doc:"What to do about it."`
	Attempts  int        `json:"attempts" doc:"Tries since the last success."`
	NextTry   *time.Time `json:"next_try,omitempty" doc:"When the next try is due."`
}

type registrationsOutput struct {
	Body struct {
		Registrations []Registration `json:"registrations" nullable:"false"`
	}
}

type healthOutput struct {
	Body struct {
		Status string `json:"status" enum:"ok" doc:"The process is alive."`
	}
}

type readyOutput struct {
	Body struct {
		Status string `json:"status" enum:"ready" doc:"Calls can be placed."`
	}
}
