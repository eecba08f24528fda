package account

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// ErrCallerID says that a caller ID cannot be put into a header.
var ErrCallerID = errors.New("is not a caller id such as +4930123")

// Caller is how a call introduces itself.
type Caller struct {
	// From has no tag yet.
	From *sip.FromHeader
	// Headers are to be added to the INVITE.
	Headers []sip.Header
}

// CallerHeaders returns the headers that show a number, in the provider's style.
// An empty callerID means the one of the account; when that is empty as well,
// the account shows itself.
func (a Account) CallerHeaders(callerID string) (Caller, error) {
	own := a.AOR()
	own.User = escapeUser(or(a.FromUser, a.User))
	c := Caller{From: &sip.FromHeader{DisplayName: escapeDisplay(a.DisplayName), Address: own, Params: sip.NewParams()}}
	callerID = or(callerID, a.CallerID)
	if callerID == "" {
		return c, nil
	}
	if !validIdentity(callerID) {
		return Caller{}, fmt.Errorf("%q %w", clip(callerID), ErrCallerID)
	}
	shown := own
	shown.User = escapeUser(a.number(callerID))
	uri := "<" + shown.String() + ">"
	switch a.CallerIDStyle {
	case CallerPAI:
		c.Headers = append(c.Headers, sip.NewHeader("P-Asserted-Identity", named(c.From.DisplayName, uri)))
	case CallerPPI:
		c.Headers = append(c.Headers, sip.NewHeader("P-Preferred-Identity", named(c.From.DisplayName, uri)))
	case CallerDiversion:
		c.Headers = append(c.Headers, sip.NewHeader("Diversion", uri+";reason=unconditional"))
	case CallerRPID:
		c.Headers = append(c.Headers, sip.NewHeader("Remote-Party-ID", named(c.From.DisplayName, uri)+";party=calling;privacy=off;screen=yes"))
	default:
		c.From.Address = shown
	}
	return c, nil
}

func named(display, uri string) string {
	if display == "" {
		return uri
	}
	return `"` + display + `" ` + uri
}

// escapeDisplay prepares a text for a quoted-string (RFC 3261 section 25.1).
func escapeDisplay(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "").Replace(s)
}

// validIdentity accepts numbers and plain user names.
func validIdentity(s string) bool {
	if isNumber(s) {
		return true
	}
	return len(s) <= 64 && !strings.ContainsFunc(s, notInHostname)
}
