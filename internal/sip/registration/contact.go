package registration

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// instanceParam marks our binding among those of other phones on the same
// account. Softphones have used this name for two decades, so no registrar
// stumbles over it.
const instanceParam = "rinstance"

// maxOld bounds the former contacts to be removed at a time.
const maxOld = 4

// wanted returns the Contact as it should be now: our address as the registrar
// sees it, or PublicIP with the port that the registrar sees, or before anything
// is known our own.
func (r *Registration) wanted() sip.Uri {
	local := r.cfg.Transport.Local(r.target)
	if r.instance == "" {
		r.instance = identity(r.acc.AOR(), local)
	}
	at := local
	if r.outside.IsValid() {
		at = r.outside
	}
	if r.acc.PublicIP.IsValid() {
		at = netip.AddrPortFrom(r.acc.PublicIP, at.Port())
	}
	u := r.acc.Contact(at)
	u.UriParams.Add(instanceParam, r.instance)
	return u
}

// learn takes our address as the peer saw it from the top Via of an answer
// (RFC 3581 section 4). A registrar without rport still tells the address.
func (r *Registration) learn(res *sip.Response) {
	via := res.Via()
	if via == nil {
		return
	}
	seen := netip.AddrPortFrom(netip.Addr{}, uint16(max(0, min(via.Port, 65535))))
	if r.outside.IsValid() {
		seen = r.outside
	}
	if v, _ := via.Params.Get("received"); v != "" {
		ip, err := netip.ParseAddr(strings.Trim(v, "[]"))
		if err != nil || ip.IsUnspecified() || ip.IsMulticast() {
			return
		}
		seen = netip.AddrPortFrom(ip.Unmap(), seen.Port())
	} else if !seen.Addr().IsValid() {
		seen = netip.AddrPortFrom(hostAddr(via.Host), seen.Port())
	}
	if v, _ := via.Params.Get("rport"); v != "" {
		port, err := strconv.ParseUint(v, 10, 16)
		if err != nil || port == 0 {
			return
		}
		seen = netip.AddrPortFrom(seen.Addr(), uint16(port))
	}
	if seen.Addr().IsValid() && !seen.Addr().IsUnspecified() && seen.Port() != 0 {
		r.outside = seen
	}
}

// request builds a REGISTER for the contact and for the removal of old ones.
func (r *Registration) request(expires time.Duration) *sip.Request {
	r.cseq++
	req := sip.NewRequest(sip.REGISTER, r.acc.Registrar())
	for _, route := range r.acc.Routes() {
		req.AppendHeader(&sip.RouteHeader{Address: route})
	}
	from := &sip.FromHeader{Address: r.acc.AOR(), Params: sip.NewParams()}
	from.Params.Add("tag", r.tag)
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: r.acc.AOR()})
	id := sip.CallIDHeader(r.callID)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: r.cseq, MethodName: sip.REGISTER})
	seconds := strconv.Itoa(int(expires / time.Second))
	req.AppendHeader(contactHeader(r.contact, seconds))
	if !r.cycle.alone {
		for _, old := range r.removals() {
			req.AppendHeader(contactHeader(old, "0"))
		}
	}
	req.AppendHeader(sip.NewHeader("Expires", seconds))
	// RFC 3261 section 13.2.1: Allow tells what may be sent to the Contact.
	req.AppendHeader(sip.NewHeader("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK"))
	if r.cfg.UserAgent != "" {
		req.AppendHeader(sip.NewHeader("User-Agent", r.cfg.UserAgent))
	}
	return req
}

func contactHeader(u sip.Uri, expires string) sip.Header {
	h := &sip.ContactHeader{Address: u, Params: sip.NewParams()}
	h.Params.Add("expires", expires)
	return h
}

// removals returns the former contacts that are not the present one, the latest ones.
func (r *Registration) removals() []sip.Uri {
	seen := []string{r.contact.String()}
	var out []sip.Uri
	for _, old := range slices.Backward(r.old) {
		if s := old.String(); !slices.Contains(seen, s) && len(out) < maxOld {
			seen = append(seen, s)
			out = append(out, old)
		}
	}
	return out
}

// binding finds our lease among those that a 200 lists ("The response contains
// Contact header fields listing all current bindings", RFC 3261 section 10.2.4).
// Ours carries our mark, or when the registrar drops parameters it has our user
// and address. Bindings of other phones on the same line have neither.
func (r *Registration) binding(res *sip.Response) (lease time.Duration, ok bool) {
	best := 0
	for _, h := range res.GetHeaders("Contact") {
		c, isContact := h.(*sip.ContactHeader)
		if !isContact || !sameUser(c.Address.User, r.contact.User) {
			continue
		}
		rank := 0
		if v, has := param(c.Address.UriParams, instanceParam); has && strings.EqualFold(v, r.instance) {
			rank++
		}
		if r.isOurAddress(c.Address) {
			rank += 2
		}
		if rank > best {
			best = rank
			lease, ok = r.granted(res, c), true
		}
	}
	return lease, ok && lease > 0
}

// granted reads the lease: the parameter of the contact, else the header for
// all, else what we asked for (RFC 3261 section 10.2.4).
func (r *Registration) granted(res *sip.Response, c *sip.ContactHeader) time.Duration {
	if v, has := param(c.Params, "expires"); has {
		if d, ok := seconds(v); ok {
			return d
		}
	}
	if h := res.GetHeader("Expires"); h != nil {
		if d, ok := seconds(h.Value()); ok {
			return d
		}
	}
	return r.expires
}

// isOurAddress compares host and port with all addresses of ours: as sent, as
// seen from outside, and as we know it.
func (r *Registration) isOurAddress(u sip.Uri) bool {
	at, ok := addrPort(u)
	if !ok {
		return false
	}
	sent, _ := addrPort(r.contact)
	return at == sent || at == r.outside || at == r.cfg.Transport.Local(r.target)
}

func addrPort(u sip.Uri) (netip.AddrPort, bool) {
	ip := hostAddr(u.Host)
	port := u.Port
	if port == 0 {
		port = 5060
		if t, _ := param(u.UriParams, "transport"); strings.EqualFold(t, "tls") || u.IsEncrypted() {
			port = 5061
		}
	}
	return netip.AddrPortFrom(ip, uint16(port)), ip.IsValid() && port > 0 && port <= 65535
}

func hostAddr(host string) netip.Addr {
	ip, _ := netip.ParseAddr(strings.Trim(host, "[]"))
	return ip.Unmap()
}

// sameUser compares user parts after undoing escapes (RFC 3261 section 19.1.4).
func sameUser(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := url.PathUnescape(a)
	y, errY := url.PathUnescape(b)
	return errX == nil && errY == nil && x == y
}

// param finds a parameter; names are compared without case (RFC 3261 section 7.3.1).
func param(params sip.HeaderParams, name string) (string, bool) {
	for _, kv := range params {
		if strings.EqualFold(strings.TrimSpace(kv.K), name) {
			return strings.Trim(strings.TrimSpace(kv.V), `"`), true
		}
	}
	return "", false
}

// maxSeconds is the longest time that is believed of a registrar.
const maxSeconds = 7 * 24 * 3600

// seconds reads delta-seconds, with a comment or parameters behind it as
// Retry-After may have them (RFC 3261 section 20.33).
func seconds(s string) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	if end == 0 || end < len(s) && strings.IndexByte(" \t;(,", s[end]) < 0 {
		return 0, false
	}
	if end > 9 {
		return maxSeconds * time.Second, true
	}
	n, err := strconv.Atoi(s[:end])
	return time.Duration(min(n, maxSeconds)) * time.Second, err == nil
}
