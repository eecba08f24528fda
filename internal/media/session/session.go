// Package session is the sound of one call: RTP packets in, audio messages
// out, one tick every 20 ms.
//
// A Session is a value without sockets, clocks, locks or goroutines: time is
// an argument and everything that leaves goes through the interfaces of Config
// and Join. All methods must be called by one owner, with times that do not
// run backwards. Port, Listener and Speaker are called during these methods
// and must not block; they may call Leave and DropSpeaker, nothing else.
//
// Nothing is allocated per tick or per packet once the call is running.
package session

import (
	"errors"
	"net/netip"
	"time"
)

// Errors of SetSpeaker and Join.
var (
	ErrSpeakerTaken = errors.New("the call has a speaker already")
	ErrEnded        = errors.New("the call has ended")
)

// Limits that hold when Config does not say otherwise.
const (
	DefaultEarlyLimit   = 30 * time.Second
	DefaultBacklogLimit = 30 * time.Second
	DefaultQueueLimit   = 10 * time.Minute
	DefaultRTPTimeout   = 60 * time.Second
)

// Port takes the packets for the phone network.
type Port interface {
	// SendRTP sends one packet; the bytes are valid during the call only.
	SendRTP(to netip.AddrPort, packet []byte)
}

// Listener is a socket that hears the callee.
type Listener interface {
	// Audio takes one message of 20 ms in the listener's format, or the WAV
	// header before the first one; the bytes are valid during the call only.
	Audio(frame []byte)
	// Event takes an event of the call.
	Event(Event)
}

// Speaker is the socket whose audio the callee hears.
type Speaker interface {
	// Event takes an event of the call, or of this speaker's own audio.
	Event(Event)
}

// Config says how a session begins. Only Port is required.
type Config struct {
	// CallID, From, To and Direction are copied into every event.
	CallID, From, To, Direction string
	// SSRC, Timestamp and Sequence are the random first values of our RTP
	// (RFC 3550 5.1).
	SSRC, Timestamp uint32
	Sequence        uint16
	// Port takes our packets.
	Port Port
	// Facts takes what the call should know, or nil. It must not block and must
	// not call the session.
	Facts func(Fact)
	// EarlyLimit is how much speech is kept before the answer, BacklogLimit how
	// much heard audio is kept until the first listener comes, QueueLimit how
	// much speech may wait after the answer. Zero means the default, negative
	// means nothing is kept.
	EarlyLimit, BacklogLimit, QueueLimit time.Duration
	// RTPTimeout is the silence of the network that is reported; zero means the
	// default, negative means never.
	RTPTimeout time.Duration
}
