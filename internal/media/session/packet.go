package session

import (
	"net/netip"
	"time"

	"phonesocket/internal/media/reorder"
	"phonesocket/internal/media/rtp"
)

// maxPayload bounds the payload of one packet: 200 ms.
const maxPayload = 10 * wireFrame

// Packet takes one packet that arrived on the RTP port; what it is, and
// whether it is for us, is found out here. Foreign packets are counted.
func (s *Session) Packet(now time.Time, from netip.AddrPort, data []byte) {
	if !s.started || s.ended {
		return
	}
	switch kind := rtp.Classify(data); kind {
	case rtp.RTP:
	case rtp.RTCP:
		s.rtcp(now, from, data)
		return
	default:
		s.kinds[kind]++
		return
	}
	h, payload, err := rtp.Parse(data)
	if err != nil || len(payload) > maxPayload {
		s.kinds[rtp.Foreign]++
		return
	}
	s.kinds[rtp.RTP]++
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	content, known := s.content(h)
	if !s.accept(now, from, h, known) {
		s.refused++
		return
	}
	s.receiver.Packet(now, h)
	s.alive(now, from)
	if content == reorder.Comfort {
		s.ears.comfort.describe(payload)
	}
	s.order.Push(now, reorder.Packet{
		SSRC: h.SSRC, Sequence: h.Sequence, Timestamp: h.Timestamp,
		Content: content, Samples: len(payload), PayloadType: h.PayloadType, Payload: payload,
	})
}

// content says what a payload type carries. All codecs are understood at any
// time: they were offered, and some far ends answer with one and send another.
// What is unknown has a place in the sequence and nothing else.
func (s *Session) content(h rtp.Header) (content reorder.Content, known bool) {
	_, static := staticCodec(h.PayloadType)
	switch {
	case h.PayloadType == s.remote.Codec.PayloadType, static:
		return reorder.Audio, true
	case h.PayloadType == typeComfort:
		return reorder.Comfort, true
	case s.remote.DTMF != 0 && h.PayloadType == s.remote.DTMF:
		return reorder.Other, true
	default:
		return reorder.Other, false
	}
}

// accept applies the source rule. A packet of unknown type is no reason to
// believe a source.
func (s *Session) accept(now time.Time, from netip.AddrPort, h rtp.Header, known bool) bool {
	before := s.latch.Active()
	if !known {
		return s.latch.Locked() && from == before
	}
	if !s.latch.Accept(now, from, h) {
		return false
	}
	if to := s.latch.Active(); to != before {
		s.fact(SourceMoved, now, to)
	}
	return true
}

// alive notes that the far end was heard.
func (s *Session) alive(now time.Time, from netip.AddrPort) {
	s.quiet = now
	if !s.heardRTP {
		s.heardRTP = true
		s.fact(FirstRTP, now, from)
	}
	if s.timedOut {
		s.timedOut = false
		s.fact(RTPResumed, now, from)
	}
}

// checkTimeout reports, once, that nothing has been heard for too long.
func (s *Session) checkTimeout(now time.Time) {
	if s.timedOut || s.cfg.RTPTimeout == 0 || s.answered.IsZero() || s.held {
		return
	}
	if now.Sub(s.quiet) >= s.cfg.RTPTimeout {
		s.timedOut = true
		s.fact(RTPTimeout, now, s.latch.Active())
	}
}
