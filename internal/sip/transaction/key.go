package transaction

import (
	"crypto/rand"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// NewBranch returns a branch that is unique across space and time, with the
// cookie of RFC 3261 section 8.1.1.7.
func NewBranch() string { return sip.RFC3261BranchMagicCookie + rand.Text() }

// NewTag returns a tag for From or To (RFC 3261 section 19.3).
func NewTag() string { return strings.ToLower(rand.Text())[:16] }

// clientKey identifies a client transaction: branch, sent-by and method of the
// CSeq (RFC 3261 section 17.1.3).
func clientKey(via *sip.ViaHeader, method sip.RequestMethod) string {
	branch, _ := via.Params.Get("branch")
	return branch + " " + strings.ToLower(via.Host) + " " + strconv.Itoa(via.Port) + " " + string(method)
}

// serverKey identifies a server transaction; the ACK of a failure and a CANCEL
// are looked up with the method INVITE (RFC 3261 sections 17.2.3 and 9.2).
func serverKey(req *sip.Request, method sip.RequestMethod) string {
	return clientKey(req.Via(), method)
}

// mergeKey is equal for copies of one request that came on different ways
// (RFC 3261 section 8.2.2.2).
func mergeKey(req *sip.Request) string {
	return tagOf(req.From().Params) + " " + req.CallID().Value() + " " + req.CSeq().Value()
}

// tagOf returns the tag of From or To, "" if there is none. Names of
// parameters do not depend on case (RFC 3261 section 7.3.1).
func tagOf(params sip.HeaderParams) string {
	for _, p := range params {
		if strings.EqualFold(strings.TrimSpace(p.K), "tag") {
			return strings.TrimSpace(p.V)
		}
	}
	return ""
}
