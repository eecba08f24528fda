package phonenet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// publishEvery is how often the loop hears about a call's sound while it runs.
const publishEvery = 100 * time.Millisecond

// media is the sound of one call. Its goroutine owns the socket, the clock and
// everything below the mark; the loop and others hand it functions.
type media struct {
	conn    *net.UDPConn
	addr    netip.AddrPort // as the session description names it
	ptime   time.Duration
	publish func(RTP)     // called by the goroutine; posts to the loop
	finish  func(RTP)     // called by it at the end
	ended   chan struct{} // closed after finish

	mu    sync.Mutex // guards inbox
	inbox []func()

	// Owned by the goroutine.
	stopped   bool
	codec     codec
	dtmf      uint8
	sending   bool // the direction lets us send
	hearing   bool // and hear
	latched   bool // Remote was learned from a packet
	sound     Sound
	position  int // in sound
	in        receiver
	record    *recorder
	ssrc      uint32
	sequence  uint16
	timestamp uint32
	mirror    mirror
	next      time.Time // when the next packet is due
	published time.Time
	dirty     bool
	samples   []int16
	packet    []byte
}

// openMedia binds a port and starts the goroutine, which nothing is sent by until start is called.
func openMedia(n *Net, at netip.Addr, limit time.Duration) (*media, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.cfg.Bind.Addr(), 0)))
	if err != nil {
		return nil, fmt.Errorf("bind rtp: %w", err)
	}
	m := &media{
		conn:      conn,
		addr:      netip.AddrPortFrom(at, addrPort(conn.LocalAddr()).Port()),
		ptime:     n.cfg.Ptime,
		record:    newRecorder(limit),
		ssrc:      random(),
		sequence:  uint16(random()),
		timestamp: random(),
		ended:     make(chan struct{}),
		samples:   make([]int16, clockRate*n.cfg.Ptime/time.Second),
	}
	m.in.stats.Local = m.addr
	return m, nil
}

// do hands the goroutine a function and wakes it.
func (m *media) do(f func()) {
	m.mu.Lock()
	m.inbox = append(m.inbox, f)
	m.mu.Unlock()
	_ = m.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when the socket is closed and nobody listens any more
}

// set tells where to send, in which codec, and in which directions.
func (m *media) set(r remoteMedia, direction string) {
	m.do(func() {
		if m.in.stats.Remote != r.addr {
			m.latched = false
		}
		m.in.stats.Remote, m.in.stats.Codec = r.addr, r.codec.name
		m.codec, m.dtmf = r.codec, r.dtmf
		m.sending = direction == sendrecv || direction == sendonly
		m.hearing = direction == sendrecv || direction == recvonly
		m.dirty = true
	})
}

// play changes what is sent, from its beginning.
func (m *media) play(s Sound) {
	m.do(func() { m.sound, m.position = s, 0 })
}

// stop ends the goroutine; finish is called by it a moment later.
func (m *media) stop() { m.do(func() { m.stopped = true }) }

// close gives the port back.
func (m *media) close() { _ = m.conn.Close() } // nothing is lost with it

// recording is a copy of what was heard so far.
func (m *media) recording(ctx context.Context) ([]int16, error) {
	answer := make(chan []int16, 1)
	m.do(func() { answer <- slices.Clone(m.record.pcm) })
	select {
	case pcm := <-answer:
		return pcm, nil
	case <-m.ended: // nobody writes any more
		return slices.Clone(m.record.pcm), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run is the goroutine: it waits for packets until the next one of ours is due.
func (m *media) run() {
	defer close(m.ended)
	defer m.close()
	buf := make([]byte, 2048)
	m.next = time.Now().Add(m.ptime)
	for {
		_ = m.conn.SetReadDeadline(m.next) // a closed socket is seen by the read
		if m.work(); m.stopped {
			m.finish(m.stats())
			return
		}
		size, from, err := m.conn.ReadFromUDPAddrPort(buf)
		now := time.Now()
		switch {
		case err == nil:
			m.receive(now, unmap(from), buf[:size])
		case errors.Is(err, net.ErrClosed):
			m.stopped = true
		case !errors.Is(err, os.ErrDeadlineExceeded):
			m.in.stats.Foreign++ // an ICMP error: somebody's port was closed
		}
		m.due(now)
	}
}

// work runs what others have handed in.
func (m *media) work() {
	m.mu.Lock()
	list := m.inbox
	m.inbox = nil
	m.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// due sends what is due by absolute deadlines: a late wake-up does not shift
// the packets after it. After a pause of a second the clock starts anew.
func (m *media) due(now time.Time) {
	if now.Sub(m.next) > time.Second {
		m.next = now
	}
	for !now.Before(m.next) {
		m.next = m.next.Add(m.ptime)
		m.tick()
	}
	if m.dirty && now.Sub(m.published) >= publishEvery {
		m.published, m.dirty = now, false
		m.publish(m.stats())
	}
}

func (m *media) stats() RTP {
	s := m.in.stats
	s.Gaps = slices.Clone(s.Gaps)
	s.Recorded = m.record.length()
	return s
}

func (m *media) tick() {
	if m.sound.kind != kindPlay && m.sound.kind != kindRepeat {
		return
	}
	m.position = m.sound.frame(m.samples, m.position)
	m.timestamp += uint32(len(m.samples))
	if !m.sending {
		return
	}
	payload := make([]byte, len(m.samples))
	for i, s := range m.samples {
		payload[i] = m.codec.encode(s)
	}
	m.sequence++
	m.send(rtp.Header{
		Version: 2, Marker: m.in.stats.Sent == 0, PayloadType: m.codec.payload,
		SequenceNumber: m.sequence, Timestamp: m.timestamp, SSRC: m.ssrc,
	}, payload)
}

func (m *media) send(h rtp.Header, payload []byte) {
	to := m.in.stats.Remote
	if !to.IsValid() || to.Port() == 0 || to.Addr().IsUnspecified() {
		return
	}
	p := rtp.Packet{Header: h, Payload: payload}
	size := p.MarshalSize()
	if cap(m.packet) < size {
		m.packet = make([]byte, size)
	}
	size, err := p.MarshalTo(m.packet[:cap(m.packet)])
	if err != nil {
		return
	}
	if _, err := m.conn.WriteToUDPAddrPort(m.packet[:size], to); err == nil {
		m.in.stats.Sent++
		m.dirty = true
	}
}

// receive takes one packet from the network.
func (m *media) receive(now time.Time, from netip.AddrPort, data []byte) {
	m.dirty = true
	var p rtp.Packet
	if m.in.stats.Codec == "" || p.Unmarshal(data) != nil || p.Version != 2 || !m.latch(from) {
		m.in.stats.Foreign++
		return
	}
	event := m.dtmf != 0 && p.PayloadType == m.dtmf
	if !event && p.PayloadType != m.codec.payload {
		m.in.stats.Foreign++
		return
	}
	first := m.in.stats.First.IsZero()
	a := arrival{ssrc: p.SSRC, timestamp: p.Timestamp, sequence: p.SequenceNumber}
	if !event {
		a.samples = len(p.Payload)
	}
	if m.in.count(now, a) && m.hearing {
		if event {
			m.in.digit(p.Timestamp, p.Payload)
		} else {
			m.record.write(p.SSRC, p.Timestamp, p.Payload, m.codec.decode)
		}
	}
	if m.sound.kind == kindEcho && m.sending && m.hearing {
		m.echo(&p)
	}
	if first {
		m.published = time.Time{} // the loop hears of the first packet at once
	}
}

// latch sends to where the caller's packets come from, once, as the border of a
// provider does for callers behind a NAT. New SDP with another address opens it again.
func (m *media) latch(from netip.AddrPort) bool {
	if !m.latched {
		m.in.stats.Remote, m.latched = from, true
	}
	return m.in.stats.Remote == from
}

// mirror translates the numbers of what came into ours.
type mirror struct {
	ssrc      uint32
	sequence  uint16
	timestamp uint32
	started   bool
}

func (m *media) echo(p *rtp.Packet) {
	e := &m.mirror
	if behind := int16(p.SequenceNumber - e.sequence); !e.started || p.SSRC != e.ssrc || behind > maxJump || behind < -maxJump {
		*e = mirror{ssrc: p.SSRC, sequence: p.SequenceNumber, timestamp: p.Timestamp, started: true}
		m.sequence++
		m.timestamp += uint32(len(p.Payload))
	} else if behind > 0 {
		m.sequence += uint16(behind)
		m.timestamp += p.Timestamp - e.timestamp
		e.sequence, e.timestamp = p.SequenceNumber, p.Timestamp
	}
	m.send(rtp.Header{
		Version: 2, Marker: p.Marker, PayloadType: p.PayloadType, SSRC: m.ssrc,
		SequenceNumber: m.sequence + (p.SequenceNumber - e.sequence),
		Timestamp:      m.timestamp + (p.Timestamp - e.timestamp),
	}, p.Payload)
}
