package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// DNS is what the resolver asks. A name without records of the kind is a
// *net.DNSError with IsNotFound, as package net reports it.
type DNS interface {
	// NAPTR returns the NAPTR records of a name (RFC 3403); none is no error.
	NAPTR(ctx context.Context, name string) ([]NAPTR, error)
	// SRV returns the SRV records of a full name such as _sip._udp.example.org.
	SRV(ctx context.Context, name string) ([]SRV, error)
	// Addresses returns the A and AAAA records of a name.
	Addresses(ctx context.Context, name string) ([]netip.Addr, error)
}

// NAPTR is one naming authority pointer, the part of it that SIP uses (RFC 3263 section 4.1).
type NAPTR struct {
	Order       uint16
	Preference  uint16
	Flags       string // "s": Replacement has SRV records
	Service     string // SIP+D2U, SIP+D2T or SIPS+D2T
	Replacement string
}

// SRV is one service record (RFC 2782).
type SRV struct {
	Target   string
	Port     uint16
	Priority uint16
	Weight   uint16
}

// System asks the resolver of the host. It knows no NAPTR records, because
// package net cannot ask for them: the order of transports is then our own.
type System struct {
	// Resolver is the resolver to ask; nil means net.DefaultResolver.
	Resolver *net.Resolver
}

func (s System) resolver() *net.Resolver {
	if s.Resolver == nil {
		return net.DefaultResolver
	}
	return s.Resolver
}

// NAPTR returns no records.
func (System) NAPTR(context.Context, string) ([]NAPTR, error) { return nil, nil }

// SRV asks for the records of a full name.
func (s System) SRV(ctx context.Context, name string) ([]SRV, error) {
	// Package net also reports records that it had to leave out as invalid;
	// the rest is good.
	_, records, err := s.resolver().LookupSRV(ctx, "", "", rooted(name))
	if len(records) == 0 && err != nil {
		return nil, fmt.Errorf("look up SRV %s: %w", name, err)
	}
	out := make([]SRV, 0, len(records))
	for _, r := range records {
		out = append(out, SRV{Target: r.Target, Port: r.Port, Priority: r.Priority, Weight: r.Weight})
	}
	return out, nil
}

// Addresses asks for IPv4 and IPv6 addresses.
func (s System) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	addrs, err := s.resolver().LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	return addrs, nil
}

// rooted ends a name with a dot, so that the search list of the host, such as
// the one of a cluster, does not multiply the queries.
func rooted(name string) string {
	if name == "" || name[len(name)-1] == '.' {
		return name
	}
	return name + "."
}
