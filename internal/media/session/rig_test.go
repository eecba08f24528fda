package session

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"phonesocket/internal/audio/g722"
	"phonesocket/internal/media/rtp"
	"phonesocket/internal/media/sdp"
)

// rig is a session between a far end and sockets, on a virtual clock.
type rig struct {
	t *testing.T
	*Session
	now  time.Time
	far  netip.AddrPort
	sent []sentPacket // by us

	reported []sentPacket // RTCP
	seq      uint16       // of the far end
	ts       uint32
	pt       uint8
	ssrc     uint32
	facts    []Fact
}

type sentPacket struct {
	rtp.Header
	to      netip.AddrPort
	payload []byte
	at      time.Time
}

func (r *rig) SendRTP(to netip.AddrPort, packet []byte) {
	h, payload, err := rtp.Parse(packet)
	if err != nil {
		r.t.Fatalf("sent % x: %v", packet, err)
	}
	r.sent = append(r.sent, sentPacket{h, to, append([]byte(nil), payload...), r.now})
}

// SendRTCP keeps the report.
func (r *rig) SendRTCP(to netip.AddrPort, packet []byte) {
	r.reported = append(r.reported, sentPacket{to: to, payload: append([]byte(nil), packet...), at: r.now})
}

func newRig(t *testing.T, cfg Config) *rig {
	r := &rig{t: t, now: time.Unix(1000, 0), far: netip.MustParseAddrPort("198.51.100.1:4000"), pt: 8, ssrc: 77}
	cfg.CallID, cfg.From, cfg.To, cfg.Direction = "call_1", "alice", "+49301234", "outbound"
	cfg.SSRC, cfg.Timestamp, cfg.Sequence = 0xCAFE, 1<<32-1000, 65530
	cfg.Port = r
	cfg.Facts = func(f Fact) { r.facts = append(r.facts, f) }
	r.Session = New(cfg)
	return r
}

// remote is what the far end's description said, in this codec.
func (r *rig) remote(c sdp.Codec) sdp.Remote {
	reports := netip.AddrPortFrom(r.far.Addr(), r.far.Port()+1)
	return sdp.Remote{Addr: r.far, RTCP: reports, Codec: c, DTMF: 101, Direction: sdp.SendRecv, PtimeMS: 20}
}

// talking is a rig in the middle of an answered call with PCMA.
func talking(t *testing.T, cfg Config) *rig {
	r := newRig(t, cfg)
	r.Start(r.now, r.remote(sdp.PCMA()))
	r.Answered(r.now)
	return r
}

// ticks lets n ticks pass.
func (r *rig) ticks(n int) {
	for range n {
		r.Tick(r.now)
		r.now = r.now.Add(frameTime)
	}
}

// packet is the far end's next packet.
func (r *rig) packet(payload []byte) []byte {
	p := make([]byte, rtp.HeaderSize, rtp.HeaderSize+len(payload))
	rtp.Header{PayloadType: r.pt, Sequence: r.seq, Timestamp: r.ts, SSRC: r.ssrc}.Put(p)
	r.seq++
	r.ts += uint32(len(payload))
	return append(p, payload...)
}

// says lets the far end send these wire bytes in real time.
func (r *rig) says(wire []byte) {
	for len(wire) > 0 {
		n := min(len(wire), wireFrame)
		r.Packet(r.now, r.far, r.packet(wire[:n]))
		wire = wire[n:]
		r.ticks(1)
	}
}

// spoken is the audio of the packets we sent from the given one on.
func (r *rig) spoken(from int) []byte {
	var b []byte
	for _, p := range r.sent[from:] {
		b = append(b, p.payload...)
	}
	return b
}

// socket is a listener or a speaker that writes everything down.
type socket struct {
	frames  [][]byte
	audio   []byte
	events  []Event
	onAudio func()
}

func (s *socket) Audio(frame []byte) {
	s.frames = append(s.frames, append([]byte(nil), frame...))
	s.audio = append(s.audio, frame...)
	if s.onAudio != nil {
		s.onAudio()
	}
}

func (s *socket) Event(e Event) { s.events = append(s.events, e) }

func (s *socket) kinds() string {
	k := ""
	for _, e := range s.events {
		k += e.Kind.String() + " "
	}
	return k
}

// of are the events of one kind.
func (s *socket) of(k Kind) (out []Event) {
	for _, e := range s.events {
		if e.Kind == k {
			out = append(out, e)
		}
	}
	return out
}

// speech is n samples at rate that sound like a voice: harmonics with a
// syllable's envelope.
func speech(n, rate int) []int16 {
	s := make([]int16, n)
	for i := range s {
		t := float64(i) / float64(rate)
		v := 0.0
		for h := 1; h <= 6; h++ {
			v += math.Sin(2*math.Pi*140*float64(h)*t+float64(h)) / float64(h)
		}
		s[i] = int16(6000 * v * (0.6 + 0.4*math.Sin(2*math.Pi*3*t)))
	}
	return s
}

func pcm(s []int16) []byte {
	b := make([]byte, 2*len(s))
	for i, v := range s {
		binary.LittleEndian.PutUint16(b[2*i:], uint16(v))
	}
	return b
}

func samples(b []byte) []int16 {
	s := make([]int16, len(b)/2)
	for i := range s {
		s[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return s
}

// onWire encodes samples as a far end does.
func onWire(c codec, pcm []int16) []byte {
	if c.wideband() {
		wire := make([]byte, len(pcm)/2)
		(&g722.Encoder{}).Encode(wire, pcm)
		return wire
	}
	return c.encoding.encode(make([]byte, len(pcm)), pcm)
}

// samplesOf decodes what was on the wire.
func samplesOf(c codec, wire []byte) []int16 {
	if c.wideband() {
		pcm := make([]int16, 2*len(wire))
		(&g722.Decoder{}).Decode(pcm, wire)
		return pcm
	}
	return c.encoding.decode(make([]int16, len(wire)), wire)
}

// alaw is speech on the wire.
func alaw(n int) []byte {
	return ALaw.encode(make([]byte, n), speech(n, 8000))
}

// quietBytes says whether a run of A-law is silence.
func quietBytes(b []byte) bool {
	for _, v := range b {
		if v != 0xD5 {
			return false
		}
	}
	return true
}

// correlation of two runs of samples at the best delay up to maxDelay.
func correlation(a, b []int16, maxDelay int) float64 {
	best := 0.0
	for d := range maxDelay {
		var ab, aa, bb float64
		for i := 0; i < len(a) && i+d < len(b); i++ {
			x, y := float64(a[i]), float64(b[i+d])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		if aa > 0 && bb > 0 {
			best = max(best, ab/math.Sqrt(aa*bb))
		}
	}
	return best
}
