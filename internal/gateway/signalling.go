package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"phonesocket/internal/call/policy"
	"phonesocket/internal/config"
	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/dialog"
	"phonesocket/internal/sip/digest"
	"phonesocket/internal/sip/registration"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/transaction"
	"phonesocket/internal/sip/transport"
)

// signalling is the SIP wing: one socket, one loop, one account.
type signalling struct {
	account      account.Account
	transport    *transport.Transport
	layer        *transaction.Layer
	registration *registration.Registration
	ua           *dialog.UA
}

// newSignalling builds the SIP wing and binds its socket. Messages flow once the parts run.
// Calls that come in go to incoming, none are taken when it is nil.
func newSignalling(
	cfg *config.Config, userAgent string, calls *diary, incoming func(dialog.Arrival) (func(dialog.Event), int), log *slog.Logger,
) (*signalling, error) {
	acc, err := accountOf(cfg).Check()
	if err != nil {
		return nil, err
	}
	roots, err := tlsOf(cfg.SIP)
	if err != nil {
		return nil, err
	}
	s := &signalling{account: acc}
	// The transport delivers to the loop and the loop sends through the
	// transport; neither does before both are there and Run is called.
	s.transport, err = transport.New(transport.Config{
		Bind: cfg.SIP.Bind, TLS: roots, Logger: log,
		Allow: func(a netip.Addr) bool {
			return s.registration.Trusts(a) || listed(cfg.SIP.AllowFrom, a) || calls.expects(a)
		},
		Receive: func(in transport.Incoming) { s.layer.Receive(in) },
		Broken: func(to transport.Target, err error) {
			s.layer.Broken(to, err)
			s.registration.Broken(to, err)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w (SIP_BIND names the address; 0.0.0.0:0 takes any free port)", err)
	}
	s.layer = transaction.New(transaction.Config{
		Transport: s.transport, Logger: log,
		Requests: func(r *transaction.Server) { s.ua.Serve(r) },
		Stray:    s.stray,
	})
	// Both share what is known of the provider's realm, so that a callee's challenge gets no answer.
	credentials := digest.New(digest.Credentials{Username: acc.AuthUser, Password: acc.Password, Realms: acc.Realms})
	s.registration = registration.New(registration.Config{
		Account: acc, Layer: s.layer, Transport: s.transport, UserAgent: userAgent,
		Resolver: resolve.New(resolve.Config{Accept: family(cfg.SIP.Bind.Addr())}), Digest: credentials, Logger: log,
		OnChange: func(registration.Status) { s.ua.PathChanged() },
	})
	s.ua = dialog.New(dialog.Config{
		Layer: s.layer, Account: acc, Digest: credentials, Path: s.registration.Path,
		Trusted: s.registration.Trusts, UserAgent: userAgent, Recorder: calls.recorder(), Incoming: incoming, Logger: log,
	})
	calls.read(s.ua, log)
	return s, nil
}

func (s *signalling) stray(res *transaction.Response, from transport.Target) { s.ua.Stray(res, from) }

// listed reports whether an address is in one of the networks. What they say may
// be heard; credentials are for the provider alone.
func listed(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// family returns which addresses a socket that is bound so can reach; nil means all.
func family(bound netip.Addr) func(netip.Addr) bool {
	if bound.Is4() {
		return func(a netip.Addr) bool { return a.Unmap().Is4() }
	}
	return nil
}

// peer is the address of the provider in use, or the zero address.
func (s *signalling) peer() netip.Addr {
	p, err := s.registration.Path()
	if err != nil {
		return netip.Addr{}
	}
	return p.Target.Addr.Addr()
}

// reachable returns the address under which the provider reaches a local one: where the socket is bound
// to all addresses, the one that packets to the provider leave from. Behind NAT that is a private address,
// which tells providers to answer to where our RTP comes from; a public one without a mapping would not.
func (s *signalling) reachable(bound netip.AddrPort) (netip.AddrPort, error) {
	if s.account.PublicIP.IsValid() {
		return netip.AddrPortFrom(s.account.PublicIP, bound.Port()), nil
	}
	if !bound.Addr().IsUnspecified() {
		return bound, nil
	}
	p, err := s.registration.Path()
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(s.transport.Local(p.Target).Addr(), bound.Port()), nil
}

// accountOf turns the settings into an account.
func accountOf(cfg *config.Config) account.Account {
	country, _ := policy.LookupCountry(cfg.Dial.Country)
	// A domain that is only the server's host is none of its own: the
	// account's requests then name the server's port too.
	domain := cfg.SIP.Domain
	if domain == cfg.SIP.Server.Host {
		domain = ""
	}
	return account.Account{
		User: cfg.SIP.User, AuthUser: cfg.SIP.AuthUser, Password: cfg.SIP.Password.Reveal(), Realms: cfg.SIP.Realms,
		Domain: domain, Server: address(cfg.SIP.Server), Proxy: address(cfg.SIP.Proxy),
		Transport: cfg.SIP.Transport, TLSServerName: cfg.SIP.TLSServerName,
		DisplayName: cfg.SIP.DisplayName, CallerID: cfg.SIP.CallerID,
		CallerIDStyle: account.CallerIDStyle(cfg.SIP.CallerIDStyle), NumberStyle: account.NumberStyle(cfg.SIP.NumberStyle),
		CountryCode: country.CallingCode, TrunkPrefix: cmp.Or(country.Trunk, account.NoTrunkPrefix),
		InternationalPrefix: country.International, Expires: cfg.SIP.Expires, PublicIP: cfg.Media.PublicIP, Register: cfg.SIP.Register,
	}
}

// address writes a server as host or host:port.
func address(s config.Server) string {
	if s.Port == 0 {
		return s.Host
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))
}

// tlsOf returns the settings for SIP over TLS.
func tlsOf(cfg config.SIP) (*tls.Config, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.TLSCA == "" {
		return settings, nil
	}
	settings.RootCAs = x509.NewCertPool()
	if !settings.RootCAs.AppendCertsFromPEM([]byte(cfg.TLSCA)) {
		return nil, errors.New("SIP_TLS_CA holds no certificate that can be read: expected PEM")
	}
	return settings, nil
}
