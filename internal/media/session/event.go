package session

import (
	"net/netip"
	"strconv"
	"time"
)

// Kind says what an Event tells.
type Kind uint8

// The kinds of events. A socket gets KindStart first and KindEnd last.
const (
	// KindStart opens the sound of a call for one socket: Format, and Codec when it
	// is already known.
	KindStart Kind = iota
	// KindRinging and KindAnswered follow the call; who joins later gets them after KindStart.
	KindRinging
	KindAnswered
	// KindHeld and KindResumed: the callee does not hear us for a while. Speech waits.
	KindHeld
	KindResumed
	// KindMark, for the speaker only: the audio sent before the mark Name was spoken,
	// or thrown away by a clear (then Cleared is set).
	KindMark
	// KindCleared, for the speaker only: the queue was emptied.
	KindCleared
	// KindError, for the socket that caused it: Code and Message.
	KindError
	// KindEnd is the last event: Status, Reason, SIPCode, DurationMS.
	KindEnd
	// KindSpeechStarted and KindSpeechStopped, for sockets that asked for them: the
	// callee begins or ends to speak; HeardMS.
	KindSpeechStarted
	KindSpeechStopped
)

// String returns the lower-case name, which is also the type of the message.
func (k Kind) String() string {
	names := [...]string{"start", "ringing", "answered", "held", "resumed", "mark", "cleared", "error", "end", "speech.started", "speech.stopped"}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Codes of Error events.
const (
	// CodeQueueFull: speech came faster than it is spoken and was refused.
	CodeQueueFull = "queue_full"
	// CodeEarlyFull: more speech came before the answer than is kept.
	CodeEarlyFull = "early_limit"
	// CodeFormat: a WAV stream that cannot be spoken.
	CodeFormat = "unsupported_wav"
	// CodeMarks: more marks wait than are remembered.
	CodeMarks = "too_many_marks"
)

// Event is what a socket is told beside the audio. It is a value: whoever gets
// it may keep it. Fields that a kind does not name are zero.
type Event struct {
	Kind Kind
	// Of the call, on every event.
	Call, From, To, Direction string
	// Codec is the name of the codec on the wire, empty until it is known.
	Codec string
	// Format is the format of the socket that gets the event.
	Format Format

	Name    string // Mark
	Cleared bool   // Mark: not spoken, but cleared

	// PlayedMS is how much of the audio of this speaker was spoken so far: Mark,
	// Cleared; of all speakers of the call: End. DiscardedMS is what a clear threw
	// away: Cleared; and all that was taken and never spoken: End.
	PlayedMS, DiscardedMS int64
	// HeardMS is how much was heard of the callee until the event was noticed, a
	// little after it happened: SpeechStarted, SpeechStopped.
	HeardMS int64
	// Underruns counts how often the queue ran dry in the middle of speech: Mark,
	// Cleared, End.
	Underruns uint64

	Code, Message string // Error

	Status, Reason string // End; Reason also of Cleared: "speech" when AutoClear did it
	SIPCode        int    // End
	DurationMS     int64  // End: since the answer, 0 without one
	Quality               // End: of what was heard
}

// Quality is how well a far end was heard.
type Quality struct {
	// PacketsLost is the number of packets that never came.
	PacketsLost uint64
	// JitterMS is the jitter with which packets came, RoundTripMS the way there and
	// back by RTCP, 0 until it is known (RFC 3550 6.4.1).
	JitterMS, RoundTripMS float64
	// MOS estimates the opinion of listeners, 1 to 4.5 (E-model, ITU-T G.107); 0
	// when nothing was heard.
	MOS float64
}

// End says how a call ended.
type End struct {
	Status, Reason string
	SIPCode        int
}

// FactKind says what a Fact tells.
type FactKind uint8

// The facts a session reports to the one who drives it.
const (
	// FirstRTP: the first packet of the callee was heard; Addr is its source.
	FirstRTP FactKind = iota
	// RTPTimeout: no packet for Config.RTPTimeout, though answered and not held.
	RTPTimeout
	// RTPResumed: packets come again after an RTPTimeout.
	RTPResumed
	// SourceMoved: RTP now goes to and comes from Addr instead of the address of
	// the session description.
	SourceMoved
)

// String returns the name in snake case, for logs.
func (k FactKind) String() string {
	names := [...]string{"first_rtp", "rtp_timeout", "rtp_resumed", "source_moved"}
	if int(k) < len(names) {
		return names[k]
	}
	return "fact " + strconv.Itoa(int(k))
}

// Fact is something the call should know about its sound.
type Fact struct {
	Kind FactKind
	At   time.Time
	Addr netip.AddrPort
}

// Stats are the counters of one session. All *_ms values are milliseconds of
// audio, except jitter_ms, far_jitter_ms and round_trip_ms. CodecRate is the
// number of samples per second; far_* is what the far end said of our packets.
type Stats struct {
	Codec       string `json:"codec"`
	CodecRate   int    `json:"codec_rate"`
	Remote      string `json:"remote"`
	Passthrough bool   `json:"passthrough"`

	RTPPacketsSent     uint64  `json:"rtp_packets_sent"`
	RTPPacketsReceived uint64  `json:"rtp_packets_received"`
	RTPPacketsLost     uint64  `json:"rtp_packets_lost"`
	RTPPacketsLate     uint64  `json:"rtp_packets_late"`
	RTPPacketsDoubled  uint64  `json:"rtp_packets_doubled"`
	RTPPacketsRefused  uint64  `json:"rtp_packets_refused"`
	RTPRestarts        uint64  `json:"rtp_restarts"`
	RTCPPackets        uint64  `json:"rtcp_packets"`
	RTCPPacketsSent    uint64  `json:"rtcp_packets_sent"`
	ForeignPackets     uint64  `json:"foreign_packets"`
	RTPSkippedMS       int64   `json:"rtp_skipped_ms"`
	JitterMS           float64 `json:"jitter_ms"`
	RoundTripMS        float64 `json:"round_trip_ms"`
	MOS                float64 `json:"mos"`
	FarPacketsLost     int     `json:"far_packets_lost"`
	FarJitterMS        float64 `json:"far_jitter_ms"`

	HeardMS     int64  `json:"heard_ms"`
	ConcealedMS int64  `json:"concealed_ms"`
	FilledMS    int64  `json:"filled_ms"`
	BacklogMS   int64  `json:"backlog_ms"`
	ForgottenMS int64  `json:"forgotten_ms"`
	Listeners   int    `json:"listeners"`
	SpokenMS    int64  `json:"spoken_ms"`
	QueuedMS    int64  `json:"queued_ms"`
	DiscardedMS int64  `json:"discarded_ms"`
	RefusedMS   int64  `json:"refused_ms"`
	Underruns   uint64 `json:"underruns"`
	PrebufferMS int64  `json:"prebuffer_ms"`
	TrimmedMS   int64  `json:"trimmed_ms"`
}
