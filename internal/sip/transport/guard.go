package transport

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts what the guard saw.
type Stats struct {
	Received  uint64 `json:"received"`  // messages handed on
	Foreign   uint64 `json:"foreign"`   // datagrams of strangers
	Limited   uint64 `json:"limited"`   // datagrams over the rate of their source
	Malformed uint64 `json:"malformed"` // what is no valid SIP message
	Panics    uint64 `json:"panics"`    // panics of the parser that were contained
}

const (
	maxBuckets  = 1024
	maxPeers    = 4096
	peerTime    = 2 * time.Hour // longer than a call may last without a packet
	reportEvery = time.Second
)

// guard decides who may reach the parser, and counts instead of logging.
type guard struct {
	allow func(netip.Addr) bool
	rate  float64
	log   *slog.Logger

	received, foreign, limited, malformed, panics atomic.Uint64

	mu       sync.Mutex
	buckets  map[netip.Addr]*bucket
	peers    map[netip.Addr]time.Time // whom we have sent to, and when
	reported time.Time
	pending  uint64 // dropped since the last report
}

type bucket struct {
	tokens float64
	last   time.Time
}

func (g *guard) stats() Stats {
	return Stats{
		Received:  g.received.Load(),
		Foreign:   g.foreign.Load(),
		Limited:   g.limited.Load(),
		Malformed: g.malformed.Load(),
		Panics:    g.panics.Load(),
	}
}

// admit reports whether a datagram of an address may be parsed.
func (g *guard) admit(now time.Time, src netip.Addr) bool {
	if g.allow != nil && !g.allow(src) && !g.isPeer(now, src) {
		g.foreign.Add(1)
		g.report(now, "address is not one of the account", src)
		return false
	}
	if !g.take(now, src) {
		g.limited.Add(1)
		g.report(now, "address sends too many messages", src)
		return false
	}
	return true
}

// sent remembers whom we speak to, because they have to be able to answer: a
// dialog may lead to an address that the account does not name.
func (g *guard) sent(now time.Time, to netip.Addr) {
	if g.allow == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.peers) >= maxPeers {
		clear(g.peers)
	}
	g.peers[to.Unmap()] = now
}

func (g *guard) isPeer(now time.Time, src netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, ok := g.peers[src]
	return ok && now.Sub(last) < peerTime
}

// take takes one token out of the bucket of an address.
func (g *guard) take(now time.Time, src netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.buckets[src]
	if b == nil {
		if len(g.buckets) >= maxBuckets {
			clear(g.buckets) // everybody starts afresh: bounded is what counts
		}
		b = &bucket{tokens: 2 * g.rate, last: now}
		g.buckets[src] = b
	}
	b.tokens = min(2*g.rate, b.tokens+now.Sub(b.last).Seconds()*g.rate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// report logs a dropped message at most once a second, never with its bytes.
func (g *guard) report(now time.Time, why string, src netip.Addr) {
	g.mu.Lock()
	g.pending++
	if now.Sub(g.reported) < reportEvery {
		g.mu.Unlock()
		return
	}
	n := g.pending
	g.pending, g.reported = 0, now
	g.mu.Unlock()
	g.log.Warn("sip message dropped", "why", why, "last_source", src, "count", n)
}
