// Package rtp reads, writes and judges packets of the real-time transport
// protocol without sockets (RFC 3550).
//
// Parse and Put work on the caller's buffers and allocate nothing. A Latch
// decides from where packets are heard and where ours go; a Receiver counts
// what the network did to a stream. Neither is safe for concurrent use; both
// take the time as an argument.
package rtp

import (
	"encoding/binary"
	"errors"
)

// HeaderSize is the size of the header that Put writes, in bytes.
const HeaderSize = 12

// ErrMalformed says that bytes are not an RTP packet of version 2.
var ErrMalformed = errors.New("malformed RTP packet")

// Kind is what arrived on an RTP port.
type Kind uint8

// The kinds of packets, told apart by their first two bytes (RFC 7983 7, RFC
// 5761 4). Short ones are keep-alives of fewer than 12 bytes.
const (
	RTP Kind = iota
	RTCP
	STUN
	DTLS
	Short
	Foreign
	// Kinds is the number of kinds.
	Kinds
)

// Classify says what kind of packet data is, from the look of it.
func Classify(data []byte) Kind {
	if len(data) < 8 {
		return Short
	}
	first, second := data[0], data[1]
	switch {
	case first < 4 && len(data) >= 20:
		return STUN
	case first >= 20 && first < 64:
		return DTLS
	case first>>6 != 2:
		return Foreign
	case second >= 192 && second <= 223:
		// "RTP payload types in the range 64-95 MUST NOT be used" beside RTCP on
		// one port; with the marker bit they look like this. RFC 5761 4.
		return RTCP
	case len(data) < HeaderSize:
		return Short
	default:
		return RTP
	}
}

// Header is the fixed part of an RTP header (RFC 3550 5.1).
type Header struct {
	Marker      bool
	PayloadType uint8
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
}

// Parse reads a packet. The payload is a part of data, without contributing
// sources, header extension and padding. It returns ErrMalformed when one of
// them is longer than the packet.
func Parse(data []byte) (Header, []byte, error) {
	if len(data) < HeaderSize || data[0]>>6 != 2 {
		return Header{}, nil, ErrMalformed
	}
	h := Header{
		Marker:      data[1]&0x80 != 0,
		PayloadType: data[1] & 0x7F,
		Sequence:    binary.BigEndian.Uint16(data[2:]),
		Timestamp:   binary.BigEndian.Uint32(data[4:]),
		SSRC:        binary.BigEndian.Uint32(data[8:]),
	}
	start, end := HeaderSize+4*int(data[0]&0x0F), len(data)
	if data[0]&0x10 != 0 {
		if start+4 > end {
			return Header{}, nil, ErrMalformed
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(data[start+2:]))
	}
	if start > end {
		return Header{}, nil, ErrMalformed
	}
	if data[0]&0x20 != 0 {
		// "The last octet of the padding contains a count of how many padding
		// octets should be ignored, including itself." RFC 3550 5.1.
		padding := int(data[end-1])
		if start == end || padding == 0 || start+padding > end {
			return Header{}, nil, ErrMalformed
		}
		end -= padding
	}
	return h, data[start:end], nil
}

// Put writes the header into the first HeaderSize bytes of dst.
func (h Header) Put(dst []byte) {
	_ = dst[HeaderSize-1]
	dst[0] = 0x80
	dst[1] = h.PayloadType & 0x7F
	if h.Marker {
		dst[1] |= 0x80
	}
	binary.BigEndian.PutUint16(dst[2:], h.Sequence)
	binary.BigEndian.PutUint32(dst[4:], h.Timestamp)
	binary.BigEndian.PutUint32(dst[8:], h.SSRC)
}
