package account

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// ErrCallerID says that a caller ID cannot be put into a header.
var ErrCallerID = errors.New("is not a caller id such as +4930123")

// CallerHeaders returns the headers that show a number, in the provider's style.
// An empty callerID means the one of the account; when that is empty as well,
// the account shows itself. From has no tag yet; extra goes into the INVITE.
func (a Account) CallerHeaders(callerID string) (from *sip.FromHeader, extra []sip.Header, err error) {
	own := a.AOR()
	own.User = escapeUser(or(a.FromUser, a.User))
	from = &sip.FromHeader{DisplayName: escapeDisplay(a.DisplayName), Address: own, Params: sip.NewParams()}
	callerID = or(callerID, a.CallerID)
	if callerID == "" {
		return from, extra, nil
	}
	if !validIdentity(callerID) {
		return nil, nil, fmt.Errorf("%q %w", clip(callerID), ErrCallerID)
	}
	shown := own
	shown.User = escapeUser(a.number(callerID))
	uri := "<" + shown.String() + ">"
	switch a.CallerIDStyle {
	case CallerPAI:
		extra = append(extra, sip.NewHeader("P-Asserted-Identity", named(from.DisplayName, uri)))
	case CallerPPI:
		extra = append(extra, sip.NewHeader("P-Preferred-Identity", named(from.DisplayName, uri)))
	case CallerDiversion:
		extra = append(extra, sip.NewHeader("Diversion", uri+";reason=unconditional"))
	case CallerRPID:
		extra = append(extra, sip.NewHeader("Remote-Party-ID", named(from.DisplayName, uri)+";party=calling;privacy=off;screen=yes"))
	default:
		from.Address = shown
	}
	return from, extra, nil
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
