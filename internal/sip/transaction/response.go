package transaction

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/emiago/sipgo/sip"
)

// NewResponse builds an answer to a request with the headers of RFC 3261
// section 8.2.6. An empty reason means the usual phrase. The To tag, where there
// is none yet, is a function of the request, so that a stateless server repeats
// it ("MUST [...] generate the same To tag", section 8.2.7).
func NewResponse(req *sip.Request, code int, reason string) *sip.Response {
	if reason == "" {
		reason = Phrase(code)
	}
	res := sip.NewResponse(code, reason)
	sip.CopyHeaders("Via", req, res)
	res.AppendHeader(sip.HeaderClone(req.From()))
	to := sip.HeaderClone(req.To()).(*sip.ToHeader)
	if tagOf(to.Params) == "" && code != sip.StatusTrying {
		sum := sha256.Sum256([]byte(mergeKey(req) + " " + req.Via().Value()))
		to.Params.Add("tag", hex.EncodeToString(sum[:8]))
	}
	res.AppendHeader(to)
	res.AppendHeader(sip.HeaderClone(req.CallID()))
	res.AppendHeader(sip.HeaderClone(req.CSeq()))
	if code == sip.StatusTrying {
		sip.CopyHeaders("Timestamp", req, res)
	}
	if (code > 100 && code < 300) && req.Method == sip.INVITE {
		sip.CopyHeaders("Record-Route", req, res)
	}
	res.SetBody(nil)
	return res
}

// phrases are those of RFC 3261 section 21 that we send.
//
//nolint:gochecknoglobals // a table that never changes
var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK",
	400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	408: "Request Timeout", 415: "Unsupported Media Type", 420: "Bad Extension",
	421: "Extension Required", 422: "Session Interval Too Small",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
	482: "Loop Detected", 483: "Too Many Hops", 486: "Busy Here",
	487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event",
	491: "Request Pending", 500: "Server Internal Error", 501: "Not Implemented",
	503: "Service Unavailable", 603: "Decline",
}

// Phrase returns the reason phrase of a status code.
func Phrase(code int) string {
	if p := phrases[code]; p != "" {
		return p
	}
	return "Unknown"
}
