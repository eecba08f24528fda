// Package resolve turns the name of a SIP server into an ordered list of addresses (RFC 3263).
//
// [Resolver.Resolve] asks DNS and therefore waits: call it from a goroutine
// that may. The list is ordered by priority and weight; addresses that failed
// lately stand at its end. A Resolver is safe for concurrent use.
//
// Limitations: NAPTR is asked only when the transport is left open, and only
// through a [DNS] that knows it.
package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	// ErrNotFound says that the name does not exist or has no addresses.
	ErrNotFound = errors.New("name not found")
	// ErrNoService says that the domain declares not to offer SIP this way (RFC 2782: target ".").
	ErrNoService = errors.New("the domain offers no such service")
	// ErrTransport says that a query names an unknown transport.
	ErrTransport = errors.New("transport is none of udp, tcp, tls")
)

// Limits against absurd answers: no provider needs more.
const (
	maxRecords = 20
	maxTargets = 32
	maxFailed  = 256
)

// Query asks for one server.
type Query struct {
	// Host is a DNS name, or an IP address without brackets.
	Host string
	// Port is the port to use without asking for SRV; 0 lets DNS decide.
	Port uint16
	// Transport is "udp", "tcp" or "tls"; empty lets DNS decide (NAPTR), else UDP before TCP.
	Transport string
	// ServerName is the name that a TLS certificate must carry; empty means
	// Host: it names the service, not the machine that SRV leads to (RFC 5922 section 4).
	ServerName string
}

// Target is one address of the server. It converts to transport.Target.
type Target struct {
	Network    string // "udp", "tcp" or "tls"
	Addr       netip.AddrPort
	ServerName string // for TLS: the name to verify and to send as SNI
}

// Config is what a Resolver needs.
type Config struct {
	// DNS is asked; nil means System.
	DNS DNS
	// IntN returns a random number in [0,n) for the weights; nil means math/rand/v2. It must be safe for concurrent use.
	IntN func(n int) int
	// Accept says which addresses can be used, for hosts with only one family; nil means all.
	Accept func(netip.Addr) bool
}

// Resolver asks DNS and remembers which addresses failed.
type Resolver struct {
	cfg Config

	mu     sync.Mutex // guards failed
	failed map[Target]time.Time
}

// New returns a resolver.
func New(cfg Config) *Resolver {
	if cfg.DNS == nil {
		cfg.DNS = System{}
	}
	if cfg.IntN == nil {
		cfg.IntN = rand.IntN
	}
	if cfg.Accept == nil {
		cfg.Accept = func(netip.Addr) bool { return true }
	}
	return &Resolver{cfg: cfg, failed: map[Target]time.Time{}}
}

// Resolve returns the addresses of a server, the one to try first in front, at
// least one. Failed ones of which the quarantine is not over at now come last.
func (r *Resolver) Resolve(ctx context.Context, now time.Time, q Query) ([]Target, error) {
	if q.ServerName == "" {
		q.ServerName = q.Host
	}
	switch q.Transport {
	case "", "udp", "tcp", "tls":
	default:
		return nil, fmt.Errorf("resolve %s: %w: %q", q.Host, ErrTransport, q.Transport)
	}
	targets, err := r.lookup(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", q.Host, err)
	}
	return r.Order(now, targets), nil
}

// lookup follows RFC 3263 sections 4.1 and 4.2.
func (r *Resolver) lookup(ctx context.Context, q Query) ([]Target, error) {
	// "If the TARGET is a numeric IP address ... If the TARGET was not a numeric
	// IP address, but a port is present in the URI, the client performs an A or
	// AAAA record lookup".
	ip, err := netip.ParseAddr(strings.Trim(q.Host, "[]"))
	switch {
	case err == nil && !r.cfg.Accept(ip):
		return nil, fmt.Errorf("%w: %s is of an address family that is not in use", ErrNotFound, ip)
	case err == nil:
		return []Target{q.target(q.network(), ip, q.port())}, nil
	case q.Port != 0:
		return r.addresses(ctx, q, q.network(), q.Host, q.Port)
	}
	services, err := r.services(ctx, q)
	if err != nil {
		return nil, err
	}
	var targets []Target
	var errs []error
	for _, s := range services {
		found, err := r.service(ctx, q, s)
		if err != nil && (errors.Is(err, errNoHosts) || !isNotFound(err)) {
			errs = append(errs, err)
		}
		targets = append(targets, found...)
	}
	if len(targets) > 0 {
		return limit(targets), nil
	}
	if err := errors.Join(errs...); errors.Is(err, ErrNoService) || errors.Is(err, errNoHosts) || ctx.Err() != nil {
		return nil, cmp.Or(err, ctx.Err())
	}
	// "If no SRV records were found, the client performs an A or AAAA record
	// lookup of the domain name." Some DNS proxies in routers answer a question
	// for SRV with an error; the address may still be had.
	found, err := r.addresses(ctx, q, q.network(), q.Host, q.port())
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	return found, nil
}

// service is a name with SRV records and the network that they are for.
type service struct{ network, name string }

// services returns what to ask SRV for, in order of preference.
func (r *Resolver) services(ctx context.Context, q Query) ([]service, error) {
	switch q.Transport {
	case "udp":
		return []service{{"udp", "_sip._udp." + q.Host}}, nil
	case "tcp":
		return []service{{"tcp", "_sip._tcp." + q.Host}}, nil
	case "tls":
		return []service{{"tls", "_sips._tcp." + q.Host}}, nil
	}
	records, err := r.cfg.DNS.NAPTR(ctx, q.Host)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	slices.SortStableFunc(records, func(a, b NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	networks := map[string]string{"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}
	var out []service
	for _, n := range records {
		if network, ok := networks[strings.ToUpper(n.Service)]; ok && strings.EqualFold(n.Flags, "s") && len(out) < maxRecords {
			out = append(out, service{network, n.Replacement})
		}
	}
	if len(out) == 0 {
		out = []service{{"udp", "_sip._udp." + q.Host}, {"tcp", "_sip._tcp." + q.Host}}
	}
	return out, nil
}

// errNoHosts says that there were SRV records but none of their hosts has an address.
var errNoHosts = errors.New("no host of the SRV records has an address")

// service asks for SRV records and for the addresses of their hosts.
func (r *Resolver) service(ctx context.Context, q Query, s service) ([]Target, error) {
	records, err := r.cfg.DNS.SRV(ctx, s.name)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	if len(records) == 1 && strings.Trim(records[0].Target, ".") == "" {
		return nil, fmt.Errorf("%w: %s", ErrNoService, s.name)
	}
	var targets []Target
	var errs []error
	for _, rec := range r.byWeight(records) {
		host := strings.TrimSuffix(rec.Target, ".")
		if host == "" || rec.Port == 0 {
			continue
		}
		found, err := r.addresses(ctx, q, s.network, host, rec.Port)
		if err != nil {
			errs = append(errs, err)
		}
		targets = append(targets, found...)
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s: %w: %w", s.name, errNoHosts, errors.Join(errs...))
	}
	return targets, nil
}

// addresses looks a host up; IPv4 comes first, because that is what providers
// of telephony run.
func (r *Resolver) addresses(ctx context.Context, q Query, network, host string, port uint16) ([]Target, error) {
	var addrs []netip.Addr
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		addrs = []netip.Addr{ip} // not allowed in SRV, but seen
	} else if addrs, err = r.cfg.DNS.Addresses(ctx, host); err != nil {
		if isNotFound(err) {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, host)
		}
		return nil, err
	}
	var targets []Target
	for _, ip := range addrs {
		ip = ip.Unmap()
		if t := q.target(network, ip, port); r.cfg.Accept(ip) && !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%w: %s has no usable address", ErrNotFound, host)
	}
	slices.SortStableFunc(targets, func(a, b Target) int {
		return cmp.Compare(a.Addr.Addr().BitLen(), b.Addr.Addr().BitLen())
	})
	return targets, nil
}

// byWeight orders records by priority and, within one, by a draw in which the
// weight is the number of tickets (RFC 2782, "Weight").
func (r *Resolver) byWeight(records []SRV) []SRV {
	rest := slices.Clone(records[:min(len(records), maxRecords)])
	slices.SortStableFunc(rest, func(a, b SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Weight, b.Weight))
	})
	out := make([]SRV, 0, len(rest))
	for len(rest) > 0 {
		same := 1
		sum := int(rest[0].Weight)
		for same < len(rest) && rest[same].Priority == rest[0].Priority {
			sum += int(rest[same].Weight)
			same++
		}
		draw := r.cfg.IntN(sum + 1)
		pick := 0
		for pick < same-1 && draw > int(rest[pick].Weight) {
			draw -= int(rest[pick].Weight)
			pick++
		}
		out = append(out, rest[pick])
		rest = slices.Delete(rest, pick, pick+1)
	}
	return out
}

func (q Query) network() string { return cmp.Or(q.Transport, "udp") }

func (q Query) port() uint16 {
	switch {
	case q.Port != 0:
		return q.Port
	case q.Transport == "tls":
		return 5061
	default:
		return 5060
	}
}

func (q Query) target(network string, ip netip.Addr, port uint16) Target {
	t := Target{Network: network, Addr: netip.AddrPortFrom(ip, port)}
	if network == "tls" {
		t.ServerName = q.ServerName
	}
	return t
}

func limit(targets []Target) []Target {
	var out []Target
	for _, t := range targets {
		if !slices.Contains(out, t) && len(out) < maxTargets {
			out = append(out, t)
		}
	}
	return out
}

func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, ErrNotFound) || errors.As(err, &dns) && dns.IsNotFound
}
