package registration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/account"
	"phonesocket/internal/sip/resolve"
	"phonesocket/internal/sip/transport"
)

// failure is why a cycle did not end in a registration.
type failure struct {
	cause      string
	code       int
	reason     string // what happened
	advice     string // what to do
	class      class
	retryAfter time.Duration // what the registrar asks for; 0: nothing
}

// class says how long to wait after a failure.
type class uint8

const (
	// quick: nobody answers. One train of packets costs a dead registrar
	// nothing, and it must find us again within 5 s of its return.
	quick class = iota
	// naming: DNS knows no such name; it may know it soon.
	naming
	// server: the registrar is in trouble and needs rest.
	server
	// refused: user, password or permission; more tries look like an attack.
	refused
	// slow: nothing will change until somebody changes it.
	slow
)

// maxRetryAfter is the longest pause that a registrar can ask for.
const maxRetryAfter = time.Hour

// streak counts failures of one class in a row.
type streak struct {
	class class
	n     int
}

// pause returns the first wait of a class, the longest one, and whether jitter
// makes it shorter (halving at most) or longer (by a quarter at most).
func (c class) pause() (first, most time.Duration, shorter bool) {
	switch c {
	case quick:
		return time.Second, 4 * time.Second, true
	case naming:
		return 4 * time.Second, 30 * time.Second, true
	case server:
		return 4 * time.Second, 30 * time.Second, true
	case refused:
		return time.Minute, 10 * time.Minute, false
	default:
		return 2 * time.Minute, 10 * time.Minute, false
	}
}

// backoff returns the wait before the next cycle, doubling with each failure of
// the same class. What the registrar asks for is never undercut.
func (r *Registration) backoff(f failure) time.Duration {
	if r.streak.class != f.class {
		r.streak = streak{class: f.class}
	}
	first, most, shorter := f.class.pause()
	d := first
	for range r.streak.n {
		if d *= 2; d >= most {
			d = most
			break
		}
	}
	r.streak.n++
	switch {
	case shorter && f.retryAfter > 0:
		return r.jitter(f.retryAfter, min(f.retryAfter/10, 10*time.Second))
	case shorter:
		return r.jitter(d/2, d/2)
	default:
		return r.jitter(max(d, f.retryAfter), d/4)
	}
}

// jitter returns a time between least and least+spread.
func (r *Registration) jitter(least, spread time.Duration) time.Duration {
	return least + time.Duration(r.cfg.Rand.Float64()*float64(spread))
}

// refusal explains a final answer that is neither success nor challenge.
func (r *Registration) refusal(res *sip.Response) failure {
	code := res.StatusCode
	f := failure{
		cause: CauseRejected, code: code, class: slow, retryAfter: retryAfter(res),
		reason: fmt.Sprintf("the registrar answers %d %s", code, phrase(res)),
		advice: "check SIP_USER, SIP_DOMAIN and SIP_SERVER against what the provider gave out, or ask the provider about this answer",
	}
	switch {
	case code >= 300 && code < 400:
		f.cause = CauseRedirected
		f.advice = "the registrar sends us elsewhere, which is not followed by itself: put the server it names into SIP_SERVER" + redirectTarget(res)
	case code == 404 || code == 604 || code == 410:
		f.cause = CauseUnknownUser
		f.advice = fmt.Sprintf("the registrar does not know %s: check SIP_USER and SIP_DOMAIN", r.acc.User)
	case code == 403 || code == 402:
		f.cause, f.class = CauseForbidden, refused
		f.advice = "the registrar refuses this account: check SIP_USER and SIP_PASSWORD, whether the account is active, and whether it may be used from this network"
	case code == 408 || code == 480 || code >= 500 && code < 600:
		f = r.unavailable(res)
	}
	return f
}

// unavailable explains an answer of a registrar in trouble.
func (r *Registration) unavailable(res *sip.Response) failure {
	return failure{
		cause: CauseUnavailable, code: res.StatusCode, class: server, retryAfter: retryAfter(res),
		reason: fmt.Sprintf("the registrar answers %d %s", res.StatusCode, phrase(res)),
		advice: "the provider has trouble; nothing to do here unless it lasts",
	}
}

func redirectTarget(res *sip.Response) string {
	c := res.Contact()
	if c == nil {
		return ""
	}
	u := sip.Uri{Host: c.Address.Host, Port: c.Address.Port}
	return " (" + u.String()[len("sip:"):] + ")"
}

func (r *Registration) wrongPassword(res *sip.Response) failure {
	return failure{
		cause: CauseCredentials, code: res.StatusCode, class: refused, retryAfter: retryAfter(res),
		reason: fmt.Sprintf("wrong password: the registrar refuses the credentials of %s", r.acc.AuthUser),
		advice: "check SIP_PASSWORD, and SIP_AUTH_USER if the provider gives a user name for authentication; it is often not the login of the web site",
	}
}

func noBinding(res *sip.Response, contact sip.Uri) failure {
	return failure{
		cause: CauseNoBinding, code: res.StatusCode, class: slow,
		reason: "the registrar answers 200 but does not list our contact " + contact.String(),
		advice: "calls would not arrive: look for a SIP ALG in the router and switch it off, or try SIP_TRANSPORT=tcp",
	}
}

func connectionLost(to transport.Target, err error, times int) failure {
	f := failure{
		cause: CauseConnection, reason: fmt.Sprintf("the connection to %s over %s broke: %v", to.Addr, to.Network, err),
		advice: "nothing to do: it is opened again",
	}
	if times >= 3 {
		f.advice = "the server or a firewall on the way keeps closing the connection: try SIP_TRANSPORT=udp, or ask the provider"
	}
	return f
}

// dnsFailure explains why the server's name leads nowhere.
func dnsFailure(hop account.Hop, err error) failure {
	f := failure{cause: CauseDNS, reason: err.Error(), class: quick, advice: "DNS does not answer: check the network and the name server of this host"}
	switch {
	case errors.Is(err, resolve.ErrNoService):
		f.class = naming
		f.advice = fmt.Sprintf("%s does not offer SIP over %s: set SIP_TRANSPORT to another one", hop.Host, hop.Transport)
	case errors.Is(err, resolve.ErrNotFound):
		f.class = naming
		f.reason = fmt.Sprintf("the name %s is not found in DNS", hop.Host)
		f.advice = "check SIP_SERVER (and SIP_PROXY) for typing errors"
	}
	return f
}

// unreachable explains why a server did not answer.
func unreachable(to transport.Target, err error) failure {
	f := failure{
		cause:  CauseUnreachable,
		class:  quick,
		reason: fmt.Sprintf("nothing answers at %s over %s", to.Addr, to.Network),
		advice: "check SIP_SERVER, and whether a firewall lets " + to.Network + " out to " + to.Addr.String() + other(to.Network),
	}
	var timeout net.Error
	switch {
	case explainTLS(&f, to, err):
	case errors.Is(err, syscall.ECONNREFUSED):
		f.reason = fmt.Sprintf("%s refuses connections over %s", to.Addr, to.Network)
		f.advice = "check the port in SIP_SERVER and whether the server runs" + other(to.Network)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		f.reason = fmt.Sprintf("there is no route to %s", to.Addr)
		f.advice = "check the network of this host, and SIP_BIND if it is set"
	case errors.As(err, &timeout) && timeout.Timeout():
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		f.reason = fmt.Sprintf("%s closes the connection over %s", to.Addr, to.Network)
	}
	return f
}

func other(network string) string {
	if network == transport.UDP {
		return "; try SIP_TRANSPORT=tcp"
	}
	return "; try SIP_TRANSPORT=udp"
}

// explainTLS fills in what went wrong in a handshake; false if it was nothing of the kind.
func explainTLS(f *failure, to transport.Target, err error) bool {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		verify  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &unknown):
		f.advice = "the certificate is signed by an authority that is not trusted: set SIP_TLS_CA to its PEM file"
	case errors.As(err, &name):
		f.advice = "the certificate does not name " + to.ServerName + ": set SIP_TLS_SERVER_NAME to the name in it, if the provider says so"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.advice = "the certificate has expired or is not valid yet: check the clock of this host, else tell the provider"
	case errors.As(err, &record), errors.Is(err, transport.ErrHandshake) && errors.Is(err, context.DeadlineExceeded):
		f.advice = "the server does not speak TLS on this port: 5061 is usual for tls, 5060 for tcp"
	case errors.As(err, &invalid), errors.As(err, &verify), errors.As(err, &alert), errors.Is(err, transport.ErrHandshake):
		f.advice = "the certificates do not fit: check SIP_TLS_CA and SIP_TLS_SERVER_NAME, or ask the provider"
	default:
		return false
	}
	f.cause, f.class = CauseTLS, server
	if errors.As(err, &verify) {
		err = verify.Err
	}
	f.reason = fmt.Sprintf("TLS to %s: %v", to.Addr, err)
	return true
}
