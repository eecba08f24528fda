package transaction

import "github.com/emiago/sipgo/sip"

// Response is a SIP response, for those who only pass it on.
type Response = sip.Response
