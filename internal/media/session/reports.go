package session

import (
	"net/netip"
	"strconv"
	"time"

	"phonesocket/internal/media/rtp"
)

// rtcpPort is a Port that has a socket of its own for RTCP.
type rtcpPort interface {
	// SendRTCP sends one packet; the bytes are valid during the call only.
	SendRTCP(to netip.AddrPort, packet []byte)
}

// reports is the RTCP of the call.
type reports struct {
	*rtp.Reports
	name   string
	sent   uint64
	octets uint32 // of payload that we sent
	packet [128]byte
}

func newReports(cfg Config) reports {
	// A name "for each RTP session", which tells nothing about the machine (RFC
	// 7022 4.1): the SSRC is random and not used twice.
	return reports{Reports: rtp.NewReports(cfg.SSRC, wireClock), name: strconv.FormatUint(uint64(cfg.SSRC), 16)}
}

// rtcp takes a packet with reports. Only the host that is heard is believed.
func (s *Session) rtcp(now time.Time, from netip.AddrPort, data []byte) {
	if from.Addr().Unmap() != s.latch.Active().Addr() {
		s.refused++
		return
	}
	r, err := rtp.ReadReport(data, s.cfg.SSRC)
	if err != nil {
		s.kinds[rtp.Foreign]++
		return
	}
	s.kinds[rtp.RTCP]++
	s.reports.Heard(now, r)
}

// report sends our report when it is due, on hold too: "the directionality of
// the media stream has no impact on the RTCP usage". RFC 3264 5.1.
func (s *Session) report(now time.Time) {
	if s.reports.Due(now) {
		s.sendReport(now, false)
	}
}

func (s *Session) sendReport(now time.Time, bye bool) {
	r := s.reports.Next(now, rtp.SenderInfo{
		Timestamp: s.line.timestampAt(now), Packets: uint32(s.line.sent), Octets: s.reports.octets,
	}, s.receiver)
	r.Bye = bye
	to := s.reportsTo()
	if !to.IsValid() || to.Port() == 0 || to.Addr().IsUnspecified() || s.remote.Addr.Addr().IsUnspecified() {
		return
	}
	packet := r.Append(s.reports.packet[:0], s.reports.name)
	s.reports.sent++
	if p, ok := s.cfg.Port.(rtcpPort); ok {
		p.SendRTCP(to, packet)
		return
	}
	s.cfg.Port.SendRTP(to, packet)
}

// reportsTo is where the far end wants our reports: as it said, or beside the
// address from which it is really heard.
func (s *Session) reportsTo() netip.AddrPort {
	active := s.latch.Active()
	switch {
	case s.remote.Mux:
		return active
	case active == s.remote.Addr:
		return s.remote.RTCP
	default:
		return netip.AddrPortFrom(active.Addr(), active.Port()+1)
	}
}

// quality judges the sound that came in so far.
func (s *Session) quality() Quality {
	if !s.started {
		return Quality{}
	}
	trip := s.reports.RoundTrip()
	q := Quality{
		PacketsLost: s.receiver.Lost(),
		JitterMS:    milliseconds(s.receiver.Jitter()),
		RoundTripMS: milliseconds(trip),
	}
	if sent := s.ears.heard - s.ears.paused; sent > 0 {
		// From mouth to ear: the way through the network and one packet.
		delay := trip/2 + frameTime
		q.MOS = hundredths(rtp.MOS(rtp.Rating(delay, float64(s.ears.concealed)/float64(sent))))
	}
	return q
}

func milliseconds(d time.Duration) float64 { return hundredths(d.Seconds() * 1000) }

func hundredths(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }
