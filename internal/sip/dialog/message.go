package dialog

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	statusIntervalTooSmall = 422 // RFC 4028
	statusBadInfoPackage   = 469 // RFC 6086
	statusBadEvent         = 489 // RFC 6665
)

// allow lists the methods that we understand; supported the extensions.
const (
	allow     = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK"
	supported = "timer, 100rel"
	sdpType   = "application/sdp"
)

// capabilities adds what we can do.
func (u *UA) capabilities(msg sip.Message) {
	msg.AppendHeader(sip.NewHeader("Allow", allow))
	msg.AppendHeader(sip.NewHeader("Supported", supported))
	u.identify(msg)
}

func (u *UA) identify(msg sip.Message) {
	if u.cfg.UserAgent == "" {
		return
	}
	name := "User-Agent"
	if _, ok := msg.(*sip.Response); ok {
		name = "Server"
	}
	msg.AppendHeader(sip.NewHeader(name, u.cfg.UserAgent))
}

// setSDP puts a session description into a message.
func setSDP(msg sip.Message, sdp []byte) {
	t := sip.ContentTypeHeader(sdpType)
	msg.AppendHeader(&t)
	msg.SetBody(sdp)
}

// sdpOf returns the session description of a message, nil if there is none. A
// body without a type is one if it looks like one: some gateways forget it.
func sdpOf(msg sip.Message) []byte {
	body := msg.Body()
	mime, _, _ := strings.Cut(headerValue(msg, "Content-Type", "c"), ";")
	mime = strings.ToLower(strings.TrimSpace(mime))
	if mime == sdpType || (mime == "" && strings.HasPrefix(string(body), "v=0")) {
		return body
	}
	return nil
}

// headerValue returns the value of the first header that has one of the names,
// "" if there is none.
func headerValue(msg sip.Message, names ...string) string {
	for _, n := range names {
		if all := msg.GetHeaders(n); len(all) > 0 {
			return strings.TrimSpace(all[0].Value())
		}
	}
	return ""
}

// list splits the comma-separated values of headers.
func list(all []sip.Header) []string {
	var out []string
	for _, h := range all {
		for v := range strings.SplitSeq(h.Value(), ",") {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}

// has reports whether a header with option tags names one.
func has(msg sip.Message, option string, names ...string) bool {
	for _, n := range names {
		for _, v := range list(msg.GetHeaders(n)) {
			if strings.EqualFold(v, option) {
				return true
			}
		}
	}
	return false
}

// seconds reads delta-seconds in front of parameters; what is no number or
// absurd is 0.
func seconds(value string) time.Duration {
	text, _, _ := strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil || n > 7*24*3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// setSession writes Session-Expires and Min-SE anew (RFC 4028 section 7.1).
func setSession(msg interface {
	sip.Message
	RemoveHeader(string) bool
}, interval, least time.Duration, refresher string,
) {
	msg.RemoveHeader("Session-Expires")
	msg.RemoveHeader("Min-SE")
	if interval <= 0 {
		return
	}
	value := strconv.Itoa(int(interval / time.Second))
	if refresher != "" {
		value += ";refresher=" + refresher
	}
	msg.AppendHeader(sip.NewHeader("Session-Expires", value))
	if least > 0 {
		msg.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(int(least/time.Second))))
	}
}

// repeat makes a request to send once more: the same but for Via, which the
// layer writes anew. The caller raises the CSeq.
func repeat(req *sip.Request) *sip.Request {
	next := req.Clone()
	next.RemoveHeader("Via")
	return next
}
