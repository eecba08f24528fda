package dialog

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Reasons why a call ends. The owner may pass others to Hangup; they are given
// back unchanged.
const (
	ReasonRemoteBye      = "remote_bye"      // the callee hung up
	ReasonRemoteCancel   = "remote_cancel"   // the caller gave up before the answer
	ReasonAPIHangup      = "api_hangup"      // somebody asked us to hang up
	ReasonBusy           = "busy"            // the callee is busy
	ReasonNoAnswer       = "no_answer"       // the network gave up waiting for the callee
	ReasonRingTimeout    = "ring_timeout"    // we gave up waiting for the callee
	ReasonRejected       = "rejected"        // the callee declined
	ReasonForbidden      = "forbidden"       // the provider does not allow this call
	ReasonUnauthorized   = "unauthorized"    // the provider does not accept the password
	ReasonNotFound       = "not_found"       // the number does not exist
	ReasonInvalidNumber  = "invalid_number"  // the number cannot be dialled as it is
	ReasonUnreachable    = "unreachable"     // the provider or the callee cannot be reached
	ReasonUnregistered   = "unregistered"    // there is no way to the provider now
	ReasonTimeout        = "timeout"         // no answer to a request
	ReasonSessionExpired = "session_expired" // the session was not refreshed
	ReasonSDP            = "sdp"             // no common codec, or no usable answer
	ReasonRedirected     = "redirected"      // the callee is elsewhere; not followed
	ReasonPayment        = "payment_required"
	ReasonProvider       = "provider_error" // the provider is broken or refuses what we send
	ReasonNoAck          = "no_ack"         // the peer does not acknowledge an answer of ours
	ReasonShutdown       = "shutdown"       // we are stopping
	ReasonJournal        = "journal_failed" // it could not be written down, so it was not placed
	ReasonInternal       = "internal_error" // a mistake of ours
)

// Who ended a call.
const (
	ByLocal  = "local"
	ByRemote = "remote"
	BySystem = "system"
)

// Cause says why a call ended.
type Cause struct {
	// Reason is one of the Reason constants or what Hangup was given.
	Reason string
	// Code is the SIP status code that ended the call, 0 if none did.
	Code int
	// Text is the phrase of the peer, or a sentence of ours.
	Text string
	// By is "local", "remote" or "system".
	By string
	// Q850 is the cause of the telephone network (ITU-T Q.850, RFC 3326), 0
	// if unknown.
	Q850 int
}

// reasons maps final answers to reasons; what is missing goes by its class.
//
//nolint:gochecknoglobals // a table that never changes
var reasons = map[int]string{
	401: ReasonUnauthorized, 407: ReasonUnauthorized,
	402: ReasonPayment,
	403: ReasonForbidden,
	404: ReasonNotFound, 410: ReasonNotFound, 604: ReasonNotFound,
	484: ReasonInvalidNumber, 485: ReasonInvalidNumber, 414: ReasonInvalidNumber, 416: ReasonInvalidNumber,
	406: ReasonSDP, 415: ReasonSDP, 488: ReasonSDP, 606: ReasonSDP,
	408: ReasonTimeout,
	480: ReasonNoAnswer, 487: ReasonNoAnswer,
	486: ReasonBusy, 600: ReasonBusy,
	503: ReasonUnreachable, 504: ReasonUnreachable, 430: ReasonUnreachable,
	603: ReasonRejected, 607: ReasonRejected, 608: ReasonRejected, 433: ReasonRejected,
}

// vague are the codes that gateways use for many causes of the telephone
// network; the Q.850 cause says more.
//
//nolint:gochecknoglobals // a table that never changes
var vague = map[int]bool{403: true, 408: true, 480: true, 487: true, 500: true, 502: true, 503: true, 504: true, 603: true}

// q850 maps causes of ITU-T Q.850.
//
//nolint:gochecknoglobals // a table that never changes
var q850 = map[int]string{
	1: ReasonNotFound, 2: ReasonUnreachable, 3: ReasonUnreachable, 22: ReasonNotFound,
	17: ReasonBusy,
	18: ReasonNoAnswer, 19: ReasonNoAnswer,
	20: ReasonUnreachable, 27: ReasonUnreachable,
	21: ReasonRejected,
	28: ReasonInvalidNumber,
	34: ReasonUnreachable, 38: ReasonUnreachable, 41: ReasonUnreachable, 42: ReasonUnreachable,
	65: ReasonSDP, 79: ReasonSDP, 88: ReasonSDP,
}

// causeOf tells why a final answer ended the call.
func causeOf(res *sip.Response) Cause {
	c := Cause{Code: res.StatusCode, Text: res.Reason, By: ByRemote, Reason: ReasonProvider}
	switch {
	case reasons[res.StatusCode] != "":
		c.Reason = reasons[res.StatusCode]
	case res.IsRedirection():
		c.Reason = ReasonRedirected
	case res.IsGlobalError():
		c.Reason = ReasonRejected
	}
	c.Q850, _ = reasonHeader(res)
	if better := q850[c.Q850]; better != "" && vague[res.StatusCode] {
		c.Reason = better
	}
	return c
}

// reasonHeader reads "Reason: Q.850;cause=16;text=\"Terminated\"" (RFC 3326).
func reasonHeader(msg sip.Message) (cause int, text string) {
	for _, h := range msg.GetHeaders("Reason") {
		for value := range strings.SplitSeq(h.Value(), ",") {
			parts := strings.Split(value, ";")
			if !strings.EqualFold(strings.TrimSpace(parts[0]), "Q.850") {
				continue
			}
			for _, p := range parts[1:] {
				k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
				switch strings.ToLower(k) {
				case "cause":
					cause, _ = strconv.Atoi(v)
				case "text":
					text = strings.Trim(v, `"`)
				}
			}
			if cause < 1 || cause > 127 {
				return 0, ""
			}
			return cause, text
		}
	}
	return 0, ""
}
