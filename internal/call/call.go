package call

import (
	"time"

	"phonesocket/internal/media/engine"
)

// Status is where a call stands.
type Status string

// The eight states of a call. The last five are final.
const (
	StatusQueued     Status = "queued"      // accepted, the other side does not ring yet
	StatusRinging    Status = "ringing"     // the other side rings, or early media flows
	StatusInProgress Status = "in-progress" // answered
	StatusCompleted  Status = "completed"   // was answered and has ended
	StatusBusy       Status = "busy"        // the other side was busy, or we said so
	StatusNoAnswer   Status = "no-answer"   // nobody picked up in time, or before the caller gave up
	StatusCanceled   Status = "canceled"    // hung up from here before the answer, or refused from here
	StatusFailed     Status = "failed"      // anything else, the reason says what
)

// Final says whether the call is over.
func (s Status) Final() bool {
	switch s {
	case StatusQueued, StatusRinging, StatusInProgress:
		return false
	default:
		return true
	}
}

// Outbound is the direction of a call that was placed from here; see [Inbound].
const Outbound = "outbound"

// Call is a snapshot of one call and the resource of the REST interface. It is
// a value: what it refers to is never changed after it was handed out.
type Call struct {
	ID        string `json:"id" doc:"Name of the call; later calls sort after earlier ones." example:"call_01jq3k7v9x2m4n6p8r0s1t3w5y"`
	Status    Status `json:"status" enum:"queued,ringing,in-progress,completed,busy,no-answer,canceled,failed" doc:"Where the call stands; the last five are final."`
	Reason    string `json:"reason,omitempty" doc:"Why the call ended, for machines: remote_bye, api_hangup, busy, ring_timeout, max_duration, rtp_timeout, …" example:"remote_bye"`
	Direction string `json:"direction" enum:"inbound,outbound" doc:"Who placed the call: outbound is this side, inbound the other one."`
	From      string `json:"from" doc:"The number shown to the other side; of an inbound call the caller: a number as the network wrote it, a sip: address, or anonymous."`
	FromName  string `json:"from_name,omitempty" doc:"The name beside the number of an inbound call, as the caller or the network wrote it."`
	To        string `json:"to" doc:"What was dialled, brought to one form; of an inbound call the number of the account, as the network wrote it." example:"+4930123456"`
	SIP       SIP    `json:"sip" doc:"The call as the phone network knows it."`

	CreatedAt  time.Time  `json:"created_at" doc:"When the call was accepted."`
	RingingAt  *time.Time `json:"ringing_at,omitempty" doc:"When the other side began to ring."`
	AnsweredAt *time.Time `json:"answered_at,omitempty" doc:"When the other side picked up."`
	EndedAt    *time.Time `json:"ended_at,omitempty" doc:"When the call was over."`
	DurationMS int64      `json:"duration_ms" doc:"How long the call has been answered, in milliseconds."`
	HangupBy   string     `json:"hangup_by,omitempty" enum:"local,remote,system" doc:"Who ended the call: local is the API, system a timer or a fault."`

	Held     bool              `json:"held,omitempty" doc:"The other side has put the call on hold."`
	Codec    string            `json:"codec,omitempty" doc:"What the phone network speaks in this call." example:"PCMA"`
	Audio    *engine.Stats     `json:"audio,omitempty" doc:"Counters of the sound, as they are now or were at the end."`
	Metadata map[string]string `json:"metadata,omitempty" doc:"What was given when the call was placed, or by the webhook that accepted it."`

	// Replayed says that Dial found this call by its idempotency key instead
	// of placing it.
	Replayed bool `json:"-"`

	// answered is AnsweredAt on the clock that nobody sets, for durations.
	answered time.Time
}

// SIP is what the phone network said about a call.
type SIP struct {
	CallID string `json:"call_id,omitempty" doc:"The Call-ID, for the provider's support."`
	Code   int    `json:"code,omitempty" doc:"The last status code." example:"200"`
	Reason string `json:"reason,omitempty" doc:"The words beside the code." example:"OK"`
	Q850   int    `json:"q850,omitempty" doc:"The cause in the words of the telephone network (ITU-T Q.850)." example:"16"`
}
