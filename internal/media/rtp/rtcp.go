package rtp

import (
	"encoding/binary"
	"fmt"
)

// Types of RTCP packets (RFC 3550 12.1) and of a source description (12.2).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
	typeBYE  = 203
	itemName = 1

	blockSize  = 24
	senderSize = 20
)

// SenderInfo is what a sender says of its own stream (RFC 3550 6.4.1).
type SenderInfo struct {
	NTP             uint64 // wall clock, seconds since 1900 in 32.32 bits
	Timestamp       uint32 // the same moment on the RTP clock
	Packets, Octets uint32 // sent so far
}

// Block is what a receiver says of a stream (RFC 3550 6.4.1).
type Block struct {
	SSRC     uint32
	Fraction uint8  // lost since the last report, in 1/256
	Lost     int32  // lost so far, 24 bits, negative when packets were doubled
	Highest  uint32 // highest sequence number, with its wraps
	Jitter   uint32 // in ticks of the RTP clock
	LastSR   uint32 // middle 32 bits of the NTP time of the last sender report
	Delay    uint32 // since that report, in 1/65536 s
}

// Report is what one RTCP packet, of several parts perhaps, says that concerns
// one call.
type Report struct {
	SSRC   uint32 // of the one who reports
	Sender SenderInfo
	Sends  bool // Sender is filled in
	Block  Block
	About  bool // Block is filled in
	Bye    bool
}

// Append appends r as a compound packet with the name of its source, and says
// goodbye when Bye is set. The name has at most 255 bytes.
//
// "RTCP packets MUST be sent in a compound packet of at least two individual
// packets": a report, and "an SDES packet containing a CNAME item MUST be
// included". RFC 3550 6.1.
func (r Report) Append(dst []byte, name string) []byte {
	be := binary.BigEndian
	start := len(dst)
	kind, count := byte(typeRR), byte(0)
	if r.Sends {
		kind = typeSR
	}
	if r.About {
		count = 1
	}
	dst = be.AppendUint32(append(dst, 0x80|count, kind, 0, 0), r.SSRC)
	if r.Sends {
		dst = be.AppendUint64(dst, r.Sender.NTP)
		dst = be.AppendUint32(dst, r.Sender.Timestamp)
		dst = be.AppendUint32(dst, r.Sender.Packets)
		dst = be.AppendUint32(dst, r.Sender.Octets)
	}
	if r.About {
		b := r.Block
		lost := uint32(max(-1<<23, min(b.Lost, 1<<23-1))) & 0xFFFFFF
		for _, v := range [...]uint32{b.SSRC, uint32(b.Fraction)<<24 | lost, b.Highest, b.Jitter, b.LastSR, b.Delay} {
			dst = be.AppendUint32(dst, v)
		}
	}
	closePart(dst, start)

	start = len(dst)
	name = name[:min(len(name), 255)]
	dst = be.AppendUint32(append(dst, 0x81, typeSDES, 0, 0), r.SSRC)
	dst = append(append(dst, itemName, byte(len(name))), name...)
	// The list of items ends with a zero, and the part at 32 bits.
	for dst = append(dst, 0); (len(dst)-start)%4 != 0; {
		dst = append(dst, 0)
	}
	closePart(dst, start)
	if !r.Bye {
		return dst
	}
	start = len(dst)
	dst = be.AppendUint32(append(dst, 0x81, typeBYE, 0, 0), r.SSRC)
	closePart(dst, start)
	return dst
}

// closePart writes the length of the part that begins at start: "in 32-bit
// words minus one". RFC 3550 6.4.1.
func closePart(packet []byte, start int) {
	binary.BigEndian.PutUint16(packet[start+2:], uint16((len(packet)-start)/4-1))
}

// ReadReport reads an RTCP packet and picks out what is about the stream with
// the SSRC ours. Parts of other types are passed over. It returns ErrMalformed
// when a part is not of version 2 or longer than the packet.
func ReadReport(data []byte, ours uint32) (Report, error) {
	var r Report
	for at := 0; at < len(data); {
		part := data[at:]
		if len(part) < 4 || part[0]>>6 != 2 {
			return Report{}, fmt.Errorf("RTCP part at byte %d: %w", at, ErrMalformed)
		}
		size := 4 * (int(binary.BigEndian.Uint16(part[2:])) + 1)
		if size > len(part) {
			return Report{}, fmt.Errorf("RTCP part at byte %d has %d of %d bytes: %w", at, len(part), size, ErrMalformed)
		}
		if !readPart(&r, part[:size], ours) {
			return Report{}, fmt.Errorf("RTCP part of type %d at byte %d: %w", part[1], at, ErrMalformed)
		}
		at += size
	}
	return r, nil
}

// readPart takes one part; false means that it is shorter than it says.
func readPart(r *Report, p []byte, ours uint32) bool {
	be := binary.BigEndian
	count, body := int(p[0]&0x1F), p[4:]
	switch p[1] {
	case typeSR, typeRR:
		if len(body) < 4 {
			return false
		}
		r.SSRC = be.Uint32(body)
		body = body[4:]
		if p[1] == typeSR {
			if len(body) < senderSize {
				return false
			}
			r.Sends = true
			r.Sender = SenderInfo{be.Uint64(body), be.Uint32(body[8:]), be.Uint32(body[12:]), be.Uint32(body[16:])}
			body = body[senderSize:]
		}
		if len(body) < count*blockSize {
			return false
		}
		for b := body[:count*blockSize]; len(b) > 0; b = b[blockSize:] {
			if be.Uint32(b) != ours {
				continue
			}
			r.About = true
			r.Block = Block{
				SSRC: ours, Fraction: b[4], Lost: int32(be.Uint32(b[4:])<<8) >> 8, Highest: be.Uint32(b[8:]),
				Jitter: be.Uint32(b[12:]), LastSR: be.Uint32(b[16:]), Delay: be.Uint32(b[20:]),
			}
		}
	case typeBYE:
		r.Bye = true
	}
	return true
}
