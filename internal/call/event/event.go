// Package event says what happened, as typed values, and hands them to bounded queues.
//
// A producer calls [Bus.Publish], which never blocks: a reader that is too slow
// loses its own oldest events, and both the reader ([Queue.Dropped]) and the
// gap in the numbers of the events ([Event.Number]) say so. Readers come and go
// with [Bus.Subscribe] and [Queue.Close]. All methods may be called from any goroutine.
// Events are values: nobody may change what an event refers to after publishing it.
package event

import "time"

// Type names what happened, dotted as in "call.answered".
type Type string

// The types of events that exist. Their data is a [Call] for the types that
// begin with "call." and a [Registration] for the others.
const (
	CallCreated      Type = "call.created"      // accepted, nothing was sent yet
	CallRinging      Type = "call.ringing"      // the other side rings
	CallAnswered     Type = "call.answered"     // the other side picked up
	CallHeld         Type = "call.held"         // the other side put us on hold
	CallResumed      Type = "call.resumed"      // and took us back
	CallEnded        Type = "call.ended"        // the last event of a call
	RegistrationUp   Type = "registration.up"   // the account can place calls
	RegistrationDown Type = "registration.down" // it cannot, the data says why
)

// Event is one thing that happened.
type Event struct {
	// Number counts the events of a bus from 1 without gaps, so a reader that
	// lost events can tell how many.
	Number uint64 `json:"number"`
	Type   Type   `json:"type"`
	// Time is when it happened, in UTC.
	Time time.Time `json:"timestamp"`
	// Data is a [Call] or a [Registration].
	Data Data `json:"data"`
}

// Data is what an event tells; the types of this package implement it and nobody else.
type Data interface{ data() }

// Call is what the events of a call tell.
type Call struct {
	ID        string `json:"id"`
	Direction string `json:"direction"`
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
	// Status is one of the eight of the REST resource: queued, ringing,
	// in-progress, completed, busy, no-answer, canceled, failed.
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// SIPCode is the last status code of the phone network, 0 when there is none.
	SIPCode  int    `json:"sip_code,omitempty"`
	HangupBy string `json:"hangup_by,omitempty"`
	// DurationMS is how long the call was answered, in milliseconds.
	DurationMS int64             `json:"duration_ms,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
}

func (Call) data() {}

// Registration is what the events of an account tell.
type Registration struct {
	Account string `json:"account"`
	State   string `json:"state"`
	Code    int    `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Advice is one sentence for the person who can cure it.
	Advice string `json:"advice,omitempty"`
}

func (Registration) data() {}
