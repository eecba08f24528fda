package call

import (
	"errors"

	"phonesocket/internal/media/sdp"
	"phonesocket/internal/sip/dialog"
)

// Reasons for the end of a call that come from here; the others come from SIP
// with [dialog.Cause].
const (
	ReasonMaxDuration = "max_duration" // the longest call is over
	ReasonRTPTimeout  = "rtp_timeout"  // nothing was heard for too long
	ReasonSocketsGone = "sockets_gone" // all audio sockets have left
	ReasonUnattended  = "unattended"   // no audio socket was there for too long
	ReasonUndecided   = "undecided"    // nobody decided about an incoming call
	// The description of the other side cannot be used for one of these reasons.
	ReasonNoSDP         = "no_sdp"            // it describes no sound
	ReasonMediaRejected = "media_rejected"    // it refuses the sound
	ReasonNoCodec       = "no_common_codec"   // it speaks nothing that we speak
	ReasonMediaAddress  = "bad_media_address" // its sound is at an address to which nothing may be sent
	ReasonBadSDP        = "bad_sdp"           // it cannot be read
)

// Codes of RFC 3261 21 that this package speaks or understands.
const (
	codeRinging         = 180
	codeSessionProgress = 183
	codeOK              = 200
	codeRequestTimeout  = 408
	codeNotAcceptable   = 488
)

// finalStatus maps the end of a call to its status.
func finalStatus(answered bool, cause dialog.Cause) Status {
	if answered {
		return StatusCompleted
	}
	if refusedHere(cause) {
		if busy(cause.Code) {
			return StatusBusy
		}
		return StatusCanceled
	}
	switch cause.Reason {
	case dialog.ReasonRingTimeout, dialog.ReasonNoAnswer, dialog.ReasonRemoteCancel:
		return StatusNoAnswer
	case dialog.ReasonAPIHangup, dialog.ReasonShutdown, ReasonSocketsGone:
		return StatusCanceled
	case dialog.ReasonBusy:
		return StatusBusy
	case dialog.ReasonTimeout:
		if cause.Code == codeRequestTimeout && cause.By == dialog.ByRemote {
			return StatusNoAnswer // a proxy gave up waiting (RFC 3261 16.8)
		}
	}
	return StatusFailed
}

// answerReason names what is wrong with an answer.
func answerReason(err error) string {
	switch {
	case errors.Is(err, sdp.ErrNoSDP):
		return ReasonNoSDP
	case errors.Is(err, sdp.ErrRejected):
		return ReasonMediaRejected
	case errors.Is(err, sdp.ErrNoCodec):
		return ReasonNoCodec
	case errors.Is(err, sdp.ErrAddress):
		return ReasonMediaAddress
	default:
		return ReasonBadSDP
	}
}
