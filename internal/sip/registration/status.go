package registration

import (
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"

	"phonesocket/internal/sip/transport"
)

// ErrNoPath says that there is no way to the provider now; the text says why
// and what to do about it.
var ErrNoPath = errors.New("no path to the provider")

// The states of a registration.
const (
	StateRegistering  = "registering"  // not registered yet, or again after the connection was lost
	StateRegistered   = "registered"   // the registrar has confirmed our binding
	StateFailed       = "failed"       // the last try failed; the next one is at NextTry
	StateUnregistered = "unregistered" // stopped; the binding was removed
	StateStatic       = "static"       // the account does not register; the server's address is known
)

// The causes of a failure, for machines; Status.Advice is for people.
const (
	CauseCredentials = "credentials"     // user or password refused
	CauseUnknownUser = "unknown_user"    // 404, 604
	CauseForbidden   = "forbidden"       // 403 and the like
	CauseUnavailable = "unavailable"     // 5xx
	CauseUnreachable = "unreachable"     // no answer
	CauseDNS         = "dns"             // the name of the server cannot be resolved
	CauseTLS         = "tls"             // the certificate or the handshake
	CauseNoBinding   = "no_binding"      // 200 without our Contact
	CauseInterval    = "interval"        // 423 without a usable Min-Expires
	CauseChallenge   = "challenge"       // a challenge that cannot be answered
	CauseRedirected  = "redirected"      // 3xx
	CauseRejected    = "rejected"        // any other refusal
	CauseConnection  = "connection_lost" // TCP or TLS connection broke, or the address of ours changed
	CauseStopped     = "stopped"         // on request
	CauseSettings    = "settings"        // the account cannot be used as it is
)

// Path is how requests leave for the provider now.
type Path struct {
	// Target is the resolved address that the registration uses; everything of
	// one dialog goes there (some providers answer 408 when INVITE and ACK go
	// to different servers of one name).
	Target transport.Target
	// Route is preloaded into requests outside of a dialog.
	Route []sip.Uri
	// Contact is where the outside reaches us.
	Contact sip.Uri
}

// Status is the state of a registration as users see it.
type Status struct {
	// Account is the name of the account.
	Account string `json:"account"`
	// State is one of the State constants.
	State string `json:"state"`
	// Since is when the state or its cause changed last.
	Since time.Time `json:"since"`
	// Expires is when the registrar forgets us unless the registration is refreshed; zero if it does not know us.
	Expires time.Time `json:"expires,omitzero"`
	// Server is the address in use, such as "udp:192.0.2.1:5060"; empty before it is known.
	Server string `json:"server,omitempty"`
	// Contact is our address as the registrar has it.
	Contact string `json:"contact,omitempty"`
	// Code is the SIP status that led to the state, 0 if none did.
	Code int `json:"code,omitempty"`
	// Cause is one of the Cause constants, empty when all is well.
	Cause string `json:"cause,omitempty"`
	// Reason is what happened.
	Reason string `json:"reason,omitempty"`
	// Advice is what the user should do; empty when there is nothing to do.
	Advice string `json:"advice,omitempty"`
	// Attempts counts the tries since the last success.
	Attempts int `json:"attempts"`
	// NextTry is when the next REGISTER goes out; zero while one is under way.
	NextTry time.Time `json:"next_try,omitzero"`
}
