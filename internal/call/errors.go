package call

import (
	"errors"
	"fmt"
	"time"
)

// Class says what kind of refusal an [Error] is, so that a front can choose its
// own way of saying it.
type Class uint8

// The classes of refusal.
const (
	Internal    Class = iota // our fault
	Invalid                  // the request makes no sense
	Denied                   // a rule forbids it
	Limited                  // too much at once, later it may pass
	NotFound                 // there is no such call
	Conflict                 // it does not fit to what is going on
	Unavailable              // it cannot be done now
)

// The codes of an [Error]; those of the dial policy ([policy.Code]) come on top.
const (
	CodeInvalid         = "invalid_request"
	CodeNotFound        = "call_not_found"
	CodeNoCall          = "no_call"
	CodeSeveralCalls    = "several_calls"
	CodeEnded           = "call_ended"
	CodeNotRinging      = "call_not_ringing"
	CodeDraining        = "draining"
	CodeNotRegistered   = "not_registered"
	CodeMedia           = "media_unavailable"
	CodeJournalFull     = "journal_full"
	CodeJournal         = "journal_failed"
	CodeOverloaded      = "overloaded"
	CodeKeyReused       = "idempotency_key_reused"
	CodeKeyInUse        = "idempotency_key_in_use"
	CodeNotRunning      = "not_running"
	CodeInternal        = "internal_error"
	CodeRequestCanceled = "request_canceled"
)

// Error is a refusal: a class and a code for machines, a message that is safe to
// show and names the cure, and a cause for the log.
type Error struct {
	Class   Class
	Code    string
	Message string
	// Field is the name of the field of the request that is wrong, or "".
	Field string
	// RetryAfter is when it may pass, or 0 when that is not known.
	RetryAfter time.Duration
	// Err is the cause, for the log, or nil.
	Err error
}

// Error tells everything, the cause included.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrNotFound is in every error about a call that is not known (any more).
var ErrNotFound = errors.New("call not found")

func invalid(field, format string, args ...any) *Error {
	return &Error{Class: Invalid, Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

func notFound() *Error {
	return &Error{
		Class: NotFound, Code: CodeNotFound, Err: ErrNotFound,
		Message: "There is no call with this id; ended calls are forgotten after a while.",
	}
}
