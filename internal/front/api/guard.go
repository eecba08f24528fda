package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"phonesocket/internal/front/problem"
)

// GuardConfig says who may ask.
type GuardConfig struct {
	// Token is what every request but GET /health must bring as "Authorization:
	// Bearer"; empty lets everybody in who passes the other checks.
	Token string
	// Hosts are more names under which this gateway is asked when there is no
	// token, such as PUBLIC_URL_HOST. IP addresses, localhost, names without a
	// dot (those of compose services) and host.docker.internal need not be named.
	Hosts []string
	// Ports are other ports of this gateway whose pages are not foreign, such as
	// the one of REST at the doors of the audio sockets.
	Ports []uint16
}

// Guard decides whether a request may be served. It is safe for concurrent use.
type Guard struct {
	protected bool
	token     [sha256.Size]byte
	hosts     []string
	ports     []string
}

// NewGuard returns a guard.
func NewGuard(cfg GuardConfig) *Guard {
	g := &Guard{protected: cfg.Token != "", token: sha256.Sum256([]byte(cfg.Token))}
	for _, h := range cfg.Hosts {
		if h = hostname(h); h != "" {
			g.hosts = append(g.hosts, h)
		}
	}
	for _, p := range cfg.Ports {
		g.ports = append(g.ports, strconv.Itoa(int(p)))
	}
	return g
}

// Check returns nil or the [*problem.Document] with which a request must be refused: 403
// for a foreign page or name, 401 without the token.
func (g *Guard) Check(r *http.Request) error {
	if p := g.check(r, false); p != nil {
		return p
	}
	return nil
}

// check is Check; a browser may show its own prompt and send the token as the
// password of Basic authentication where prompt is set.
func (g *Guard) check(r *http.Request, prompt bool) *problem.Document {
	if p := g.checkPlace(r); p != nil {
		return p
	}
	return g.checkToken(r, prompt)
}

// checkPlace refuses pages of other sites, which a browser on this machine may
// be made to show, and names that somebody else's DNS has bent to this machine.
func (g *Guard) checkPlace(r *http.Request) *problem.Document {
	if origins, found := r.Header["Origin"]; found {
		for _, o := range origins {
			if !g.own(o, r.Host) {
				return problem.New(http.StatusForbidden, "foreign_origin",
					"Pages of another origin may not ask: the Origin must be the host and port that is asked.")
			}
		}
	}
	if !g.protected && !g.known(r.Host) {
		return problem.New(http.StatusForbidden, "unknown_host",
			"Without API_TOKEN this gateway answers only to IP addresses, localhost, names without a dot and PUBLIC_URL_HOST. Set one of the two.")
	}
	return nil
}

// own reports whether an Origin header names this gateway as the request does.
func (g *Guard) own(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return false // "null" is one of them
	}
	fallback := "80"
	if u.Scheme == "https" {
		fallback = "443"
	}
	originPort, hostPort := port(u.Host, fallback), port(host, fallback)
	return hostname(u.Host) == hostname(host) && (originPort == hostPort || slices.Contains(g.ports, originPort))
}

// known reports whether a Host header is one that no stranger can give to a page:
// DNS rebinding needs a name of the attacker's, and such a name has a dot.
func (g *Guard) known(host string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	switch {
	case name == "":
		return true // HTTP/1.0; no browser sends that
	case !strings.Contains(name, "."), strings.HasSuffix(name, ".localhost"), name == "host.docker.internal":
		return true
	default:
		return slices.Contains(g.hosts, name)
	}
}

// checkToken compares the token in constant time.
func (g *Guard) checkToken(r *http.Request, prompt bool) *problem.Document {
	if !g.protected {
		return nil
	}
	got, given := bearer(r)
	if !given && prompt {
		_, got, given = r.BasicAuth()
	}
	sum := sha256.Sum256([]byte(got))
	if given && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1 {
		return nil
	}
	p := problem.New(http.StatusUnauthorized, "unauthorized", "Send the API_TOKEN: Authorization: Bearer followed by the token.")
	challenge := `Bearer realm="phonesocket"`
	if given {
		p.Detail = "The token is not the API_TOKEN of this gateway."
		challenge += `, error="invalid_token"` // RFC 6750 3.1
	}
	p.Header = http.Header{"Www-Authenticate": {challenge}}
	if prompt {
		p.Header.Add("Www-Authenticate", `Basic realm="phonesocket: any user, API_TOKEN as the password"`)
	}
	return p
}

// bearer returns the token of "Authorization: Bearer token"; the scheme is
// case-insensitive (RFC 9110 11.1).
func bearer(r *http.Request) (string, bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// hostname is the name in "name", "name:port", "[::1]:port" or "::1", in one form.
func hostname(hostport string) string {
	name := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		name = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
}

// port is the port in a Host or the one that it stands for.
func port(hostport, fallback string) string {
	if _, p, err := net.SplitHostPort(hostport); err == nil && p != "" {
		return p
	}
	return fallback
}
