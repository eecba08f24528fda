package phonenet

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

const (
	allow     = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, UPDATE, INFO"
	userAgent = "phonenet"
	typeSDP   = "application/sdp"
)

// respond builds the answer to a request (RFC 3261 8.2.6). The tag is put into
// To unless there is one; an empty tag leaves To as it is.
func (n *Net) respond(req *sip.Request, from flow, code int, tag string) *sip.Response {
	res := sip.NewResponse(code, reason(code))
	for i, h := range req.GetHeaders("via") {
		via, ok := h.(*sip.ViaHeader)
		if !ok {
			continue
		}
		via = via.Clone()
		if i == 0 {
			n.stampVia(via, from)
		}
		res.AppendHeader(via)
	}
	sip.CopyHeaders("From", req, res)
	to := sip.ToHeader{DisplayName: req.To().DisplayName, Address: *req.To().Address.Clone(), Params: req.To().Params.Clone()}
	if tag != "" && !to.Params.Has("tag") {
		to.Params.Add("tag", tag)
	}
	res.AppendHeader(&to)
	sip.CopyHeaders("Call-ID", req, res)
	sip.CopyHeaders("CSeq", req, res)
	if code > 100 && code < 300 {
		sip.CopyHeaders("Record-Route", req, res)
	}
	if code == sip.StatusMethodNotAllowed || code == sip.StatusOK && req.Method != sip.BYE {
		res.AppendHeader(sip.NewHeader("Allow", allow))
	}
	res.AppendHeader(sip.NewHeader("Server", userAgent))
	res.SetBody(nil)
	return res
}

// stampVia writes into the top Via where the request really came from: received
// when it differs from sent-by (RFC 3261 18.2.1), both when rport asks for them (RFC 3581 4).
func (n *Net) stampVia(via *sip.ViaHeader, from flow) {
	seen := from.remote
	if n.behaviour.PretendReceived.IsValid() {
		seen = n.behaviour.PretendReceived
	}
	_, rport := via.Params.Get("rport")
	if rport {
		via.Params.Add("rport", strconv.Itoa(int(seen.Port())))
	}
	if rport || via.Host != seen.Addr().String() {
		via.Params.Add("received", seen.Addr().String())
	}
}

// setSDP gives a message a session description as its body.
func setSDP(msg sip.Message, body []byte) {
	if body == nil {
		return
	}
	contentType := sip.ContentTypeHeader(typeSDP)
	msg.AppendHeader(&contentType)
	msg.SetBody(body)
}

// sdpBody returns the session description of a message, or nil.
func sdpBody(msg sip.Message) []byte {
	if len(msg.Body()) == 0 {
		return nil
	}
	if h := msg.GetHeaders("content-type"); len(h) > 0 && !strings.HasPrefix(strings.ToLower(h[0].Value()), typeSDP) {
		return nil
	}
	return msg.Body()
}

// contact is the Contact of a callee as the peer of the flow can reach it.
func (n *Net) contact(user string, to flow) *sip.ContactHeader {
	return &sip.ContactHeader{Address: hostURI(user, n.sockets.local(to), to.network)}
}

func hostURI(user string, at netip.AddrPort, network string) sip.Uri {
	uri := sip.Uri{Scheme: "sip", User: user, Host: at.Addr().String(), Port: int(at.Port())}
	if network != "udp" {
		uri.UriParams = sip.NewParams()
		uri.UriParams.Add("transport", network)
	}
	return uri
}

func tagOf(params sip.HeaderParams) string {
	tag, _ := params.Get("tag")
	return tag
}

// token is a random word for tags, branches and Call-IDs.
func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(b[:])
}

// random is a number nobody can guess.
func random() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return binary.BigEndian.Uint32(b[:])
}

// reason is the phrase of RFC 3261 21 and its successors for a status.
func reason(code int) string {
	text := map[int]string{
		100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
		200: "OK", 202: "Accepted",
		300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
		400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
		406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 415: "Unsupported Media Type",
		416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
		423: "Interval Too Brief", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
		483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
		488: "Not Acceptable Here", 491: "Request Pending", 493: "Undecipherable",
		500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
		505: "Version Not Supported", 513: "Message Too Large",
		600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
	}[code]
	if text == "" {
		return "Status " + strconv.Itoa(code)
	}
	return text
}
