package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// errPrivate refuses a target.
var errPrivate = errors.New("is not a public address (INBOUND_WEBHOOK_PRIVATE=yes allows it)")

// inner are networks that are not for the public, beside those that netip knows.
//
//nolint:gochecknoglobals // a table that never changes
var inner = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),      // this network (RFC 791)
	netip.MustParsePrefix("100.64.0.0/10"),  // shared by carriers (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),   // for protocols (RFC 6890)
	netip.MustParsePrefix("198.18.0.0/15"),  // for measurements (RFC 2544)
	netip.MustParsePrefix("240.0.0.0/4"),    // reserved (RFC 1112)
	netip.MustParsePrefix("64:ff9b::/96"),   // IPv4 behind NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"), // the same (RFC 8215)
	netip.MustParsePrefix("2002::/16"),      // IPv4 behind 6to4 (RFC 3056)
	netip.MustParsePrefix("fec0::/10"),      // site-local (RFC 3879)
}

// dialer connects to addresses that may be asked. It looks at the address that
// the name led to, so that a name cannot change its mind in between.
func dialer(private bool) *net.Dialer {
	d := &net.Dialer{Timeout: Timeout, KeepAlive: 30 * time.Second}
	if private {
		return d
	}
	d.Control = func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !public(at.Addr()) {
			return fmt.Errorf("%s: %w", address, errPrivate)
		}
		return nil
	}
	return d
}

// public reports whether an address can be anybody's.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() &&
		!slices.ContainsFunc(inner, func(p netip.Prefix) bool { return p.Contains(a) })
}
