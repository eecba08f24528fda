package transport

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	provider = netip.MustParseAddr("192.0.2.1")
	stranger = netip.MustParseAddr("203.0.113.66")
)

// bench is a reader with a clock and a log of its own.
type bench struct {
	reader
	at  time.Time
	log bytes.Buffer
	got []Incoming
}

func newBench(change func(*Config)) *bench {
	b := &bench{at: time.Unix(1000, 0)}
	cfg := Config{
		Receive: func(in Incoming) { b.got = append(b.got, in) },
		Logger:  slog.New(slog.NewTextHandler(&b.log, nil)),
		TimeNow: func() time.Time { return b.at },
	}
	if change != nil {
		change(&cfg)
	}
	cfg.setDefaults()
	b.reader = newReader(&cfg)
	return b
}

func (b *bench) from(addr netip.Addr, text string) {
	b.datagram([]byte(text), Target{Network: UDP, Addr: netip.AddrPortFrom(addr, 5060)}, netip.AddrPort{})
}

func onlyProvider(c *Config) { c.Allow = func(a netip.Addr) bool { return a == provider } }

func TestStrangersAreNotHeard(t *testing.T) {
	b := newBench(onlyProvider)
	for i := range 3000 {
		b.from(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), invite)
	}
	b.from(provider, invite)
	if len(b.got) != 1 {
		t.Errorf("%d messages got through, want the one of the provider", len(b.got))
	}
	if got := b.guard.stats(); got.Foreign != 3000 || got.Received != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestWhomWeSentToMayAnswer(t *testing.T) {
	b := newBench(onlyProvider)
	b.guard.sent(b.at, stranger)
	b.from(stranger, ok)
	if len(b.got) != 1 {
		t.Error("the answer was dropped")
	}
	b.at = b.at.Add(peerTime)
	b.from(stranger, ok)
	if len(b.got) != 1 {
		t.Error("still heard long after we last sent something")
	}
}

func TestPeersAndBucketsAreBounded(t *testing.T) {
	b := newBench(onlyProvider)
	for i := range 3 * maxPeers {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		b.guard.sent(b.at, a)
		b.from(a, invite)
	}
	if n := len(b.guard.peers); n > maxPeers {
		t.Errorf("%d peers", n)
	}
	if n := len(b.guard.buckets); n > maxBuckets {
		t.Errorf("%d buckets", n)
	}
}

func TestASourceHasItsRate(t *testing.T) {
	b := newBench(func(c *Config) { c.Rate = 10 })
	for range 100 {
		b.from(provider, invite)
	}
	if len(b.got) != 20 {
		t.Errorf("%d of a burst passed, want 20", len(b.got))
	}
	b.from(stranger, invite)
	if len(b.got) != 21 {
		t.Error("one source used up the rate of another")
	}
	b.at = b.at.Add(time.Second)
	for range 100 {
		b.from(provider, invite)
	}
	if len(b.got) != 31 || b.guard.stats().Limited != 170 {
		t.Errorf("%d passed, %+v", len(b.got), b.guard.stats())
	}
}

func TestGarbageIsCountedAndLoggedOnceASecondWithoutItsBytes(t *testing.T) {
	b := newBench(nil)
	for i := range 1000 {
		b.at = b.at.Add(5 * time.Millisecond)
		b.from(provider, fmt.Sprintf("SECRET %d\r\n\r\n", i))
	}
	lines := strings.Count(b.log.String(), "\n")
	if lines < 4 || lines > 6 {
		t.Errorf("%d log lines in 5 s, want 5", lines)
	}
	if strings.Contains(b.log.String(), "SECRET") {
		t.Error("the log holds bytes of a message")
	}
	if got := b.guard.stats().Malformed; got != 1000 {
		t.Errorf("%d counted, want 1000", got)
	}
}

func TestKeepAlivesOfThePeerAreNoMessages(t *testing.T) {
	b := newBench(nil)
	for _, s := range []string{"\r\n\r\n", "\r\n", "\x00\x00\x00\x00"} {
		b.from(provider, s)
	}
	b.from(provider, "\r\n\r\n"+invite) // RFC 3261 section 7.5
	if got := b.guard.stats(); got.Received != 1 || got.Malformed != 0 {
		t.Errorf("got %+v", got)
	}
}
