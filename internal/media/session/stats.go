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
		HeardMS:           int64(e.heard / bytesPerMS),
		ConcealedMS:       int64(e.concealed / bytesPerMS),
		FilledMS:          int64(e.paused / bytesPerMS),
		BacklogMS:         int64(e.backlog.Len() / bytesPerMS),
		ForgottenMS:       int64(e.forgotten / bytesPerMS),
		Listeners:         len(e.list),
		DiscardedMS:       s.early.discarded / earlyBytesPerMS,
		RefusedMS:         s.early.refused / earlyBytesPerMS,
		QueuedMS:          int64(s.early.data.Len()) / earlyBytesPerMS,
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
	order := s.order.Counts()
	st.RTPPacketsReceived = s.receiver.Received()
	st.RTPPacketsLost = s.receiver.Lost()
	st.JitterMS = float64(s.receiver.Jitter().Microseconds()) / 1000
	st.RTPPacketsLate, st.RTPPacketsDoubled, st.RTPRestarts = order.Late, order.Doubled, order.Restarts
	q := s.queue.Counts()
	st.SpokenMS, st.Underruns, st.PrebufferMS = q.PlayedMS, q.Underruns, q.PrebufferMS
	st.QueuedMS += q.QueuedMS
	st.DiscardedMS += q.DiscardedMS
	st.RefusedMS += q.RefusedMS
	return st
}

// passthrough says that there are sockets and that all of them use the codec
// of the wire.
func (s *Session) passthrough() bool {
	if !s.started {
		return false
	}
	same := func(e Encoding, rate int) bool { return e == s.codec.encoding && rate == wireRate }
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
