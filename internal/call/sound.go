package call

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"phonesocket/internal/media/engine"
	"phonesocket/internal/media/sdp"
	"phonesocket/internal/sip/dialog"
)

// statsWait is how long the counters of a call are waited for.
const statsWait = time.Second

// openSound binds the port of the call and writes the offer.
func (c *live) openSound() *Error {
	var chance [18]byte
	_, _ = rand.Read(chance[:]) // never fails
	cfg := c.x.cfg.Sound
	cfg.CallID, cfg.From, cfg.To, cfg.Direction = c.id, c.from(), c.number.Dial, c.state.Direction
	if c.in != nil {
		cfg.From, cfg.To = c.in.From, c.in.To
	}
	// "The initial value of the sequence number SHOULD be random", and so should
	// those of the timestamp and the SSRC be. RFC 3550 5.1.
	cfg.SSRC = binary.BigEndian.Uint32(chance[0:])
	cfg.Timestamp = binary.BigEndian.Uint32(chance[4:])
	cfg.Sequence = binary.BigEndian.Uint16(chance[8:])

	s, err := c.x.open(engine.MediaConfig{Session: cfg, OnEvent: func(f engine.Fact) {
		c.inbox.put(func() { c.note(f) })
	}})
	if errors.Is(err, engine.ErrOverloaded) {
		return &Error{
			Class: Unavailable, Code: CodeOverloaded, RetryAfter: 5 * time.Second, Err: err,
			Message: "The gateway has as many calls as it can carry without harm to them; end some, lower MAX_CALLS or give it more cores.",
		}
	}
	if err != nil {
		return &Error{
			Class: Unavailable, Code: CodeMedia, RetryAfter: 5 * time.Second, Err: err,
			Message: "No RTP port could be opened for the call; RTP_PORTS may be too small a range.",
		}
	}
	addr := s.Addr()
	if c.x.cfg.MediaAddr != nil {
		if addr, err = c.x.cfg.MediaAddr(addr); err != nil {
			s.Close()
			return &Error{Class: Unavailable, Code: CodeMedia, Message: "There is no address under which the sound could be reached.", Err: err}
		}
	}
	c.sound = s
	media, _ := s.(*engine.Media)
	c.media.Store(&openSound{sound: s, media: media})
	c.local = sdp.Local{
		Addr: addr, Codecs: c.x.cfg.Codecs, DTMF: !c.x.cfg.NoDTMF,
		// 63 bits, since some peers read the o= line as signed (RFC 8866 5.2).
		SessionID: binary.BigEndian.Uint64(chance[10:]) >> 1, Version: 1,
	}
	c.local.Previous = sdp.Offer(c.local)
	return nil
}

// closeSound keeps the last counters and frees the port.
func (c *live) closeSound(ctx context.Context) {
	c.media.Store(nil)
	bounded, cancel := context.WithTimeout(ctx, statsWait)
	defer cancel()
	if stats, err := c.sound.Stats(bounded); err == nil {
		c.state.Audio = &stats
	} else {
		c.log.Warn("no counters of the sound", slog.Any("error", err))
	}
	c.sound.Close()
	c.sound, c.leg = nil, nil
}

// note takes a fact of the media.
func (c *live) note(f engine.Fact) {
	if c.hanging != nil || c.ended {
		return
	}
	switch f.Kind {
	case engine.RTPTimeout:
		if !c.state.Held {
			c.hangup(dialog.Cause{Reason: ReasonRTPTimeout, By: dialog.BySystem})
		}
	case engine.SocketsPresent:
		c.attended, c.present = true, true
		c.disarm(socketsDeadline)
		c.maybeAnswer()
	case engine.SocketsGone:
		c.present = false
		c.waitForSockets()
	case engine.FirstRTP, engine.RTPResumed, engine.SourceMoved, engine.SpeakerGone:
		c.log.Debug("media", slog.String("fact", f.Kind.String()), slog.String("addr", f.Addr.String()))
	default:
		c.log.Debug("media", slog.String("fact", f.Kind.String()))
	}
}

// waitForSockets sets how long the call goes on without a socket.
func (c *live) waitForSockets() {
	switch {
	case c.attended && c.x.cfg.HangupWithSockets:
		c.arm(socketsDeadline, c.x.cfg.Grace)
	case c.state.AnsweredAt != nil:
		c.arm(socketsDeadline, c.x.cfg.Unattended)
	}
}

// agree starts the sound as the other side's description says.
func (c *live) agree(r sdp.Remote) {
	if c.heard && r == c.remote {
		return // the answer after early media, or a refresh
	}
	c.remote, c.heard = r, true
	c.state.Codec, c.state.Held = r.Codec.Name, r.Held
	c.log.Info("media agreed", slog.String("codec", r.Codec.Name), slog.String("to", r.Addr.String()), slog.String("direction", r.Direction))
	c.sound.Start(r)
}

// usable judges the address to which the other side wants our sound: not this
// machine, unless the provider itself is here, and never a port of our own.
func (c *live) usable(r sdp.Remote) error {
	if r.Addr.Addr().IsUnspecified() {
		return nil // on hold: nothing is sent
	}
	if peer := c.x.peer(); peer.IsValid() {
		if err := sdp.CheckPeer(r.Addr.Addr(), peer); err != nil {
			return fmt.Errorf("check media address: %w", err)
		}
	}
	if c.x.ours(r.Addr, c.local.Addr.Addr()) {
		return fmt.Errorf("%s is a port of our own: %w", r.Addr, sdp.ErrAddress)
	}
	return nil
}

// peer is the address of the provider, or the zero address.
func (x *Exchange) peer() netip.Addr {
	if x.cfg.Peer == nil {
		return netip.Addr{}
	}
	return x.cfg.Peer()
}

// ours reports whether an address is a port of this process, so that sound
// would run in a circle. Our addresses are that of the call's own
// description and those of this machine.
func (x *Exchange) ours(a netip.AddrPort, advertised netip.Addr) bool {
	ip := a.Addr().Unmap()
	if ip != advertised.Unmap() && !ip.IsLoopback() {
		return false
	}
	if slices.Contains(x.cfg.Ports, a.Port()) {
		return true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.book.calls {
		if m := c.media.Load(); m != nil && m.Addr().Port() == a.Port() {
			return true
		}
	}
	return false
}

// readAnswer reads the description that answers our offer.
func (c *live) readAnswer(body []byte) (sdp.Remote, error) {
	r, err := sdp.ReadAnswer(c.local, body)
	if err != nil {
		return sdp.Remote{}, err
	}
	return r, c.usable(r)
}

// takeAnswer decides on the description of a 200. One that comes without, after
// early media was agreed, confirms that: RFC 3261 13.2.1 wants the description
// in the 200 as well, but leaving it out there is a habit of some providers.
func (c *live) takeAnswer(body []byte) (sdp.Remote, error) {
	if c.in != nil && c.in.Offer != nil {
		return c.remote, nil // it was the caller who offered
	}
	r, err := c.readAnswer(body)
	if errors.Is(err, sdp.ErrNoSDP) && c.heard {
		return c.remote, nil
	}
	return r, err
}
