package reorder

import "time"

// Content is what a packet carries.
type Content uint8

const (
	// Audio is samples of the codec.
	Audio Content = iota
	// Comfort is comfort noise (RFC 3389): the sender pauses from now on.
	Comfort
	// Other has a place in the sequence but no samples, as digits (RFC 4733).
	Other
)

// Packet is one packet of the stream.
type Packet struct {
	SSRC      uint32
	Sequence  uint16
	Timestamp uint32
	Content   Content
	// Samples is the length of the payload in units of the RTP clock.
	Samples int
	// PayloadType is handed on and not looked at.
	PayloadType uint8
	// Payload is used during Push only.
	Payload []byte
}

// Gap says why samples are missing.
type Gap uint8

const (
	// Lost samples were sent and did not arrive.
	Lost Gap = iota
	// Pause samples were not sent, or a stall of the network is bridged.
	Pause
)

// Sink takes what comes out, in the order of the RTP time line.
type Sink interface {
	// Audio takes the next packet with samples, cut at its beginning when they
	// were replaced already; its bytes are valid during the call only.
	Audio(p Packet)
	// Gap says that so many samples are missing here.
	Gap(samples int, why Gap)
	// Restart says that another stream begins: what follows does not continue
	// what came before.
	Restart()
}

// Counts are the counters of a Buffer, in packets.
type Counts struct {
	Late     uint64 // came after they were given up
	Doubled  uint64
	Lost     uint64 // were given up
	Restarts uint64
	Wait     time.Duration // how long a gap would be waited for now
}
