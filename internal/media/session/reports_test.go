package session

import (
	"net/netip"
	"testing"
	"time"

	"phonesocket/internal/media/rtp"
	"phonesocket/internal/media/sdp"
)

func TestTheFarEndIsToldHowItArrives(t *testing.T) {
	r := talking(t, Config{})
	far := rtp.NewReports(r.ssrc, 8000)
	receiver := rtp.NewReceiver(8000)
	read := 0
	for i := range 1000 {
		p := r.packet(alaw(160))
		if i%100 != 50 {
			r.Packet(r.now, r.far, p)
		}
		r.ticks(1)
		receiver.Packet(r.now, r.sent[len(r.sent)-1].Header)
		for ; read < len(r.reported); read++ {
			report, err := rtp.ReadReport(r.reported[read].payload, r.ssrc)
			if err != nil || !report.Sends || !report.About {
				t.Fatalf("%+v, %v", report, err)
			}
			far.Heard(r.reported[read].at.Add(25*time.Millisecond), report)
		}
		if i%200 == 199 { // sent 25 ms ago
			r.Packet(r.now, r.far, far.Next(r.now.Add(-25*time.Millisecond), rtp.SenderInfo{Packets: uint32(i)}, receiver).Append(nil, "far"))
		}
	}
	if n := len(r.reported); n < 3 || n > 8 {
		t.Errorf("%d reports in 20 s", n)
	}
	last, err := rtp.ReadReport(r.reported[len(r.reported)-1].payload, r.ssrc)
	if err != nil || last.SSRC != 0xCAFE || last.Block.Lost < 5 || last.Sender.Packets == 0 || last.Sender.Octets != 160*last.Sender.Packets {
		t.Errorf("last report %+v, %v", last, err)
	}
	st := r.Stats(r.now)
	if st.RTPPacketsLost != 10 || st.ConcealedMS != 200 || st.RoundTripMS < 45 || st.RoundTripMS > 55 || st.MOS < 4.2 || st.MOS > 4.4 {
		t.Errorf("%+v", st)
	}
	if st.RTCPPackets != 5 || st.RTCPPacketsSent != uint64(len(r.reported)) || st.FarPacketsLost != 0 {
		t.Errorf("%+v", st)
	}
	l := listener(r, alaw8k)
	r.End(r.now, End{Status: "completed"})
	e := l.of(KindEnd)[0]
	if e.MOS != st.MOS || e.PacketsLost != 10 || e.RoundTripMS != st.RoundTripMS {
		t.Errorf("end %+v", e)
	}
	bye, err := rtp.ReadReport(r.reported[len(r.reported)-1].payload, r.ssrc)
	if err != nil || !bye.Bye {
		t.Errorf("the end is not told: %+v, %v", bye, err)
	}
}

func TestReportsGoWhereTheFarEndWantsThem(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		name   string
		change func(*sdp.Remote)
		heard  string
		want   string
	}{
		{"beside RTP", func(*sdp.Remote) {}, "198.51.100.1:4000", "198.51.100.1:4001"},
		{"on the port of RTP", func(r *sdp.Remote) { r.Mux = true }, "198.51.100.1:4000", "198.51.100.1:4000"},
		{"where it says", func(r *sdp.Remote) { r.RTCP = at("198.51.100.1:9") }, "198.51.100.1:4000", "198.51.100.1:9"},
		{"behind a NAT", func(r *sdp.Remote) { r.Addr = at("192.168.1.1:4000") }, "203.0.113.1:5000", "203.0.113.1:5001"},
		{"on hold", func(r *sdp.Remote) { r.Direction, r.Held = sdp.Inactive, true }, "198.51.100.1:4000", "198.51.100.1:4001"},
		{"nowhere", func(r *sdp.Remote) { r.Addr, r.Held = at("0.0.0.0:4000"), true }, "198.51.100.1:4000", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			remote := r.remote(sdp.PCMA())
			remote.RTCP = netip.AddrPortFrom(remote.Addr.Addr(), 4001)
			c.change(&remote)
			r.Start(r.now, remote)
			r.Answered(r.now)
			r.far = at(c.heard)
			r.says(alaw(16000))
			r.ticks(200)
			got := ""
			if len(r.reported) > 0 {
				got = r.reported[len(r.reported)-1].to.String()
			}
			if got != c.want {
				t.Errorf("reports go to %q, want %q", got, c.want)
			}
		})
	}
}

func TestReportsOfStrangersAreNotBelieved(t *testing.T) {
	r := talking(t, Config{})
	r.says(alaw(1600))
	forged := rtp.Report{SSRC: 5, About: true, Block: rtp.Block{SSRC: 0xCAFE, Lost: 1000}}.Append(nil, "x")
	r.Packet(r.now, netip.MustParseAddrPort("203.0.113.66:4001"), forged)
	if st := r.Stats(r.now); st.FarPacketsLost != 0 || st.RTCPPackets != 0 || st.RTPPacketsRefused != 1 {
		t.Errorf("%+v", st)
	}
	r.Packet(r.now, netip.MustParseAddrPort("198.51.100.1:4001"), forged)
	r.Packet(r.now, r.far, forged[:len(forged)-2])
	if st := r.Stats(r.now); st.FarPacketsLost != 1000 || st.RTCPPackets != 1 || st.ForeignPackets != 1 {
		t.Errorf("%+v", st)
	}
}
