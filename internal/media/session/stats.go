package session

import (
	"time"

	"phonesocket/internal/media/rtp"
)

// Stats returns the counters as they are now.
func (s *Session) Stats(_ time.Time) Stats {
	e := &s.ears
	st := Stats{
		Codec:             s.codec.name,
		Passthrough:       s.passthrough(),
		HeardMS:           int64(e.heard / clockPerMS),
		ConcealedMS:       int64(e.concealed / clockPerMS),
		FilledMS:          int64(e.paused / clockPerMS),
		ForgottenMS:       e.forgottenMS,
		Listeners:         len(e.list),
		DiscardedMS:       s.early.discarded / unitsPerMS,
		RefusedMS:         s.early.refused / unitsPerMS,
		QueuedMS:          s.early.waits / unitsPerMS,
		RTPPacketsRefused: s.refused,
		RTPPacketsSent:    s.line.sent,
		RTPSkippedMS:      s.line.skipped * FrameMS,
		RTCPPackets:       s.kinds[rtp.RTCP],
	}
	for _, k := range []rtp.Kind{rtp.STUN, rtp.DTLS, rtp.Short, rtp.Foreign} {
		st.ForeignPackets += s.kinds[k]
	}
	if !s.started {
		return st
	}
	st.Remote = s.latch.Active().String()
	st.CodecRate = s.codec.rate
	st.BacklogMS = int64(e.backlog.Len() / s.codec.bytesPerMS())
	order := s.order.Counts()
	st.RTPPacketsReceived = s.receiver.Received()
	st.RTPPacketsLost = s.receiver.Lost()
	q := s.quality()
	st.JitterMS, st.RoundTripMS, st.MOS = q.JitterMS, q.RoundTripMS, q.MOS
	st.RTCPPacketsSent = s.reports.sent
	if lost, jitter, known := s.reports.Far(); known {
		st.FarPacketsLost, st.FarJitterMS = lost, milliseconds(jitter)
	}
	st.RTPPacketsLate, st.RTPPacketsDoubled, st.RTPRestarts = order.Late, order.Doubled, order.Restarts
	c := s.queue.Counts()
	st.SpokenMS, st.Underruns, st.PrebufferMS, st.TrimmedMS = c.PlayedMS, c.Underruns, c.PrebufferMS, c.TrimmedMS
	st.QueuedMS += c.QueuedMS
	st.DiscardedMS += c.DiscardedMS
	st.RefusedMS += c.RefusedMS
	return st
}

// passthrough says that there are sockets and that all of them use the codec
// of the wire.
func (s *Session) passthrough() bool {
	if !s.started {
		return false
	}
	if s.codec.wideband() {
		return false // G.722 on a socket is not a format
	}
	same := func(e Encoding, rate int) bool { return e == s.codec.encoding && rate == s.codec.rate }
	for i := range s.ears.list {
		if f := s.ears.list[i].format; !same(f.Encoding, f.Rate) {
			return false
		}
	}
	if s.voice != nil {
		return same(s.voice.encoding, s.voice.rate)
	}
	return len(s.ears.list) > 0
}
