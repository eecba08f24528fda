package dialog

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// reliable acknowledges a provisional answer that asks for it with PRACK and
// reports whether the answer is to be used: "If the UAC receives another
// reliable provisional response to the same request, and its RSeq value is not
// one higher than the value of the sequence number, that response MUST NOT be
// acknowledged with a PRACK, and MUST NOT be processed further by the UAC"
// (RFC 3262 section 4).
func (l *leg) reliable(res *sip.Response) bool {
	if !has(res, "100rel", "Require") {
		return true
	}
	n, err := strconv.ParseUint(headerValue(res, "RSeq"), 10, 32)
	if err != nil || n == 0 {
		return false
	}
	rseq := uint32(n)
	if l.rseq != 0 && rseq != l.rseq+1 {
		return false
	}
	l.rseq = rseq
	cseq := res.CSeq()
	req := l.request(sip.PRACK)
	req.AppendHeader(sip.NewHeader("RAck", strings.Join([]string{
		strconv.FormatUint(n, 10), strconv.FormatUint(uint64(cseq.SeqNo), 10), string(cseq.MethodName),
	}, " ")))
	l.do(req, func(res *sip.Response, err error) {
		// The INVITE shows what becomes of the call.
		if err != nil {
			l.d.ua.cfg.Logger.Warn("no answer to prack", "call_id", l.d.id, "error", err)
		} else if !res.IsSuccess() {
			l.d.ua.cfg.Logger.Warn("prack refused", "call_id", l.d.id, "code", res.StatusCode)
		}
	})
	return true
}
