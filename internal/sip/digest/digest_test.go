package digest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
	independent "github.com/icholy/digest"
)

// TestResponseMatchesTheVectorsOfTheRFCs uses the examples of RFC 2617 section
// 3.5 and RFC 7616 section 3.9.
func TestResponseMatchesTheVectorsOfTheRFCs(t *testing.T) {
	const (
		nonce7616  = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		cnonce7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	mufasa := Credentials{Username: "Mufasa", Password: "Circle of Life"}
	tests := map[string]struct {
		challenge, cnonce, uri string
		creds                  Credentials
		want                   string
	}{
		"RFC 7616 3.9.1 with MD5": {
			challenge: `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="` + nonce7616 + `", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
			cnonce:    cnonce7616, uri: "/dir/index.html", creds: mufasa,
			want: "8ca523f5e9506fed4657c9700eebdbec",
		},
		"RFC 7616 3.9.1 with SHA-256": {
			challenge: `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="` + nonce7616 + `"`,
			cnonce:    cnonce7616, uri: "/dir/index.html", creds: mufasa,
			want: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
		},
		"RFC 7616 3.9.2 with SHA-512-256 as corrected by erratum 4897": {
			challenge: `Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"`,
			cnonce:    "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", uri: "/doe.json",
			creds: Credentials{Username: "Jäsøn Doe", Password: "Secret, or not?"},
			want:  "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
		},
		"RFC 2617 3.5": {
			challenge: `Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
			cnonce:    "0a4f113b", uri: "/dir/index.html",
			creds: Credentials{Username: "Mufasa", Password: "Circle Of Life"},
			want:  "6629fae49393a05397450978507c4ef1",
		},
		"the same without qop as in RFC 2069": {
			challenge: `Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`,
			cnonce:    "0a4f113b", uri: "/dir/index.html",
			creds: Credentials{Username: "Mufasa", Password: "Circle Of Life"},
			want:  "670fd8c2df070c60b045671b8b24ff02",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			all, err := parse(tt.challenge)
			if err != nil {
				t.Fatal(err)
			}
			alg, ok := parseAlgorithm(all[0].get("algorithm"))
			if !ok {
				t.Fatal("algorithm not known")
			}
			n := &nonce{challenge: all[0], algorithm: alg, cnonce: tt.cnonce, uses: 1}
			if got := n.response(tt.creds, "GET", tt.uri); got != tt.want {
				t.Errorf("response %s, want %s", got, tt.want)
			}
		})
	}
}

// TestSessionKeyVariantsFollowTheFormula spells RFC 7616 section 3.4.2 out by hand.
func TestSessionKeyVariantsFollowTheFormula(t *testing.T) {
	for _, alg := range []algorithm{algMD5Sess, algSHA256Sess, algSHA512Sess} {
		all, err := parse(`Digest realm="r", nonce="n", qop="auth", algorithm=` + alg.String())
		if err != nil {
			t.Fatal(err)
		}
		n := &nonce{challenge: all[0], algorithm: alg, cnonce: "c", uses: 3}
		h := func(s string) string { return alg.hash(s) }
		want := h(h(h("u:r:p")+":n:c") + ":n:00000003:c:auth:" + h("REGISTER:sip:x"))
		if got := n.response(Credentials{Username: "u", Password: "p"}, "REGISTER", "sip:x"); got != want {
			t.Errorf("%s: response %s, want %s", alg, got, want)
		}
	}
}

// TestAnswerAgreesWithAnIndependentImplementation lets another library compute the same header.
func TestAnswerAgreesWithAnIndependentImplementation(t *testing.T) {
	for _, alg := range []string{"MD5", "SHA-256", "SHA-512-256"} {
		t.Run(alg, func(t *testing.T) {
			wire := `Digest realm="sip.example.org", nonce="abc/+=", opaque="o", qop="auth", algorithm=` + alg
			c := fixed(Credentials{Username: "alice", Password: "pä:ss"})
			req := request(t, sip.INVITE, "sip:+4930123@sip.example.org:5070;user=phone;x=1")
			h, err := c.Answer(req, response(t, 407, "Proxy-Authenticate: "+wire))
			if err != nil {
				t.Fatal(err)
			}
			ch, err := independent.ParseChallenge(wire)
			if err != nil {
				t.Fatal(err)
			}
			want, err := independent.Digest(ch, independent.Options{
				Method: "INVITE", URI: "sip:+4930123@sip.example.org:5070;user=phone;x=1",
				Count: 1, Username: "alice", Password: "pä:ss", Cnonce: "fixed-cnonce",
			})
			if err != nil {
				t.Fatal(err)
			}
			got := params(t, h)
			if got["response"] != want.Response {
				t.Errorf("response %s, want %s", got["response"], want.Response)
			}
		})
	}
}

func TestAnswerWritesTheWholeHeader(t *testing.T) {
	c := fixed(Credentials{Username: `DOM\al"ice`, Password: "p"})
	req := request(t, sip.REGISTER, "sip:example.org;x=y")
	h, err := c.Answer(req, response(t, 401, `WWW-Authenticate: Digest realm="a \"b\" \\ c", nonce="n", opaque="", algorithm=SHA-256, qop="auth-int , AUTH"`))
	if err != nil {
		t.Fatal(err)
	}
	ha1 := algSHA256.hash(`DOM\al"ice`, `a "b" \ c`, "p")
	resp := algSHA256.hash(ha1, "n", "00000001", "fixed-cnonce", "auth", algSHA256.hash("REGISTER", "sip:example.org;x=y"))
	want := `Authorization: Digest username="DOM\\al\"ice", realm="a \"b\" \\ c", nonce="n", uri="sip:example.org;x=y", response="` + resp +
		`", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="fixed-cnonce", opaque=""`
	if diff := cmp.Diff(want, h.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAnswerChoosesTheBestChallenge(t *testing.T) {
	const (
		md5     = `WWW-Authenticate: Digest realm="r", nonce="m", qop="auth", algorithm=MD5`
		sha     = `WWW-Authenticate: Digest realm="r", nonce="s", qop="auth", algorithm=SHA-256`
		sha512  = `WWW-Authenticate: Digest realm="r", nonce="t", qop="auth", algorithm=sha-512-256`
		aka     = `WWW-Authenticate: Digest realm="r", nonce="k", qop="auth", algorithm=AKAv1-MD5`
		shaInt  = `WWW-Authenticate: Digest realm="r", nonce="i", qop="auth-int", algorithm=SHA-256`
		foreign = `WWW-Authenticate: Digest realm="evil", nonce="e", qop="auth", algorithm=SHA-256`
		basic   = `WWW-Authenticate: Basic realm="r"`
		garbage = `WWW-Authenticate: Digest realm="r, nonce=`
	)
	tests := map[string]struct {
		headers []string
		realms  []string
		nonce   string // "" = an error
		err     error
		says    string
	}{
		"SHA-256 is taken although MD5 comes first":                {headers: []string{md5, sha}, nonce: "s"},
		"SHA-256 is taken when it comes first":                     {headers: []string{sha, md5}, nonce: "s"},
		"among equals the topmost is taken":                        {headers: []string{sha512, sha}, nonce: "t"},
		"an unknown algorithm is skipped":                          {headers: []string{aka, md5}, nonce: "m"},
		"another scheme is skipped":                                {headers: []string{basic, md5}, nonce: "m"},
		"garbage is skipped":                                       {headers: []string{garbage, md5}, nonce: "m"},
		"two challenges in one header are both seen":               {headers: []string{md5 + `, Digest realm="r", nonce="s2", algorithm=SHA-256`}, nonce: "s2"},
		"only an unknown algorithm is an error that names it":      {headers: []string{aka}, err: ErrNoChallenge, says: "AKAv1-MD5"},
		"only auth-int is an error that names it":                  {headers: []string{shaInt}, err: ErrNoChallenge, says: "auth-int"},
		"MD5 does not replace a SHA-256 that cannot be answered":   {headers: []string{md5, shaInt}, err: ErrNoChallenge, says: "auth-int"},
		"no header is an error":                                    {err: ErrNoChallenge, says: "missing"},
		"a realm that is not on the list is not answered":          {headers: []string{foreign}, realms: []string{"R"}, err: ErrRealm, says: "evil"},
		"a realm on the list is answered beside one that is not":   {headers: []string{foreign, md5}, realms: []string{"R"}, nonce: "m"},
		"a challenge without nonce is an error":                    {headers: []string{`WWW-Authenticate: Digest realm="r"`}, err: ErrNoChallenge, says: "nonce"},
		"the first of two equal parameters counts":                 {headers: []string{`WWW-Authenticate: Digest realm="r", nonce="one", nonce="two"`}, nonce: "one"},
		"parameter and scheme names are compared without case":     {headers: []string{`www-authenticate: DIGEST REALM="r", Nonce="n", Algorithm="md5"`}, nonce: "n"},
		"a nonce without quotes is read":                           {headers: []string{`WWW-Authenticate: Digest realm="r", nonce=a/b+c==, algorithm=MD5`}, nonce: "a/b+c=="},
		"spaces around the equals sign and a last comma are read":  {headers: []string{`WWW-Authenticate: Digest realm = "r" , nonce	=  "n",`}, nonce: "n"},
		"a comma in a quoted realm does not end it":                {headers: []string{`WWW-Authenticate: Digest realm="r, nonce=x", nonce="n"`}, nonce: "n"},
		"a Proxy-Authenticate in a 401 is not what was asked with": {headers: []string{`Proxy-Authenticate: Digest realm="r", nonce="n"`}, err: ErrNoChallenge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := fixed(Credentials{Username: "u", Password: "p", Realms: tt.realms})
			h, err := c.Answer(request(t, sip.REGISTER, "sip:r"), response(t, 401, tt.headers...))
			if tt.nonce == "" {
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("error %v, want %v saying %q", err, tt.err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := params(t, h)["nonce"]; got != tt.nonce {
				t.Errorf("answered nonce %q, want %q", got, tt.nonce)
			}
		})
	}
}

func TestAnswerTo407GoesIntoProxyAuthorization(t *testing.T) {
	c := fixed(Credentials{Username: "u", Password: "p"})
	h, err := c.Answer(request(t, sip.INVITE, "sip:1@r"), response(t, 407, `Proxy-Authenticate: Digest realm="r", nonce="n"`))
	if err != nil {
		t.Fatal(err)
	}
	if h.Name() != "Proxy-Authorization" {
		t.Errorf("header %s, want Proxy-Authorization", h.Name())
	}
	if _, err := c.Answer(request(t, sip.INVITE, "sip:1@r"), response(t, 403)); !errors.Is(err, ErrNoChallenge) {
		t.Errorf("a 403 gave %v, want %v", err, ErrNoChallenge)
	}
}

func TestWithoutQopTheOldFormIsWritten(t *testing.T) {
	c := fixed(Credentials{Username: "u", Password: "p"})
	h, err := c.Answer(request(t, sip.REGISTER, "sip:r"), response(t, 401, `WWW-Authenticate: Digest realm="r", nonce="n"`))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"qop", "nc", "cnonce", "algorithm", "opaque"} {
		if v, ok := params(t, h)[name]; ok {
			t.Errorf("%s=%q is written, want none", name, v)
		}
	}
	if _, ok := c.Again(request(t, sip.REGISTER, "sip:r")); ok {
		t.Error("a nonce without qop was used again")
	}
}

func TestRefusedCredentials(t *testing.T) {
	tests := map[string]struct {
		second string // challenge to the request that carried credentials for nonce n1
		again  bool   // the refused request used the nonce a second time
		want   error
	}{
		"the same nonce is a wrong password":             {second: `realm="r", nonce="n1", qop="auth"`, want: ErrRejected},
		"a fresh nonce that is not stale is one too":     {second: `realm="r", nonce="n2", qop="auth"`, want: ErrRejected},
		"stale=true with a new nonce is answered":        {second: `realm="r", nonce="n2", qop="auth", stale=TRUE`},
		"stale=true with the same nonce cannot be cured": {second: `realm="r", nonce="n1", qop="auth", stale=true`, want: ErrRejected},
		"a reused nonce may be replaced without stale":   {second: `realm="r", nonce="n2", qop="auth"`, again: true},
		"a reused nonce that is offered again is refused": {
			second: `realm="r", nonce="n1", qop="auth"`, again: true, want: ErrRejected,
		},
		"another realm on the way is answered":                  {second: `realm="other", nonce="n2", qop="auth"`},
		"a weaker algorithm than before is not used":            {second: `realm="r", nonce="n2", qop="auth", algorithm=MD5`, want: ErrDowngrade},
		"a weaker algorithm is not used for a stale one either": {second: `realm="r", nonce="n2", qop="auth", stale=true`, want: ErrDowngrade},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := fixed(Credentials{Username: "u", Password: "p"})
			req := request(t, sip.REGISTER, "sip:r")
			first := `realm="r", nonce="n1", qop="auth"`
			if errors.Is(tt.want, ErrDowngrade) {
				first += ", algorithm=SHA-256"
			}
			h, err := c.Answer(req, response(t, 401, "WWW-Authenticate: Digest "+first))
			if err != nil {
				t.Fatal(err)
			}
			Apply(req, h)
			if tt.again {
				h, ok := c.Again(req)
				if !ok {
					t.Fatal("the nonce was not used again")
				}
				Apply(req, h)
			}
			_, err = c.Answer(req, response(t, 401, "WWW-Authenticate: Digest "+tt.second))
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNonceCountRisesForEachUse(t *testing.T) {
	c := fixed(Credentials{Username: "u", Password: "p"})
	req := request(t, sip.REGISTER, "sip:r")
	if _, ok := c.Again(req); ok {
		t.Fatal("credentials without a challenge")
	}
	res := response(t, 401, `WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth", algorithm=MD5-sess`)
	var got []string
	for range 2 {
		// Two requests may be challenged with one nonce: servers make it from the second.
		h, err := c.Answer(req, res)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, params(t, h)["nc"]+" "+params(t, h)["cnonce"])
	}
	for range 2 {
		h, ok := c.Again(req)
		if !ok {
			t.Fatal("the nonce was not used again")
		}
		got = append(got, params(t, h)["nc"]+" "+params(t, h)["cnonce"])
	}
	want := []string{"00000001 fixed-cnonce", "00000002 fixed-cnonce", "00000003 fixed-cnonce", "00000004 fixed-cnonce"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCredentialsGoOnlyToTheAccountsOwnRealm: a callee behind the proxy may challenge an INVITE too.
func TestCredentialsGoOnlyToTheAccountsOwnRealm(t *testing.T) {
	c := fixed(Credentials{Username: "u", Password: "p"})
	if _, err := c.Answer(request(t, sip.REGISTER, "sip:1und1.de"), response(t, 401, `WWW-Authenticate: Digest realm="1und1.de", nonce="n"`)); err != nil {
		t.Fatal(err)
	}
	for realm, want := range map[string]error{
		"1und1.de":       nil,
		"SIP.1UND1.de":   nil,
		"evil1und1.de":   ErrRealm,
		"de":             ErrRealm,
		"callee.example": ErrRealm,
	} {
		_, err := c.Answer(request(t, sip.INVITE, "sip:1@1und1.de"), response(t, 401, fmt.Sprintf(`WWW-Authenticate: Digest realm="%s", nonce="n"`, realm)))
		if !errors.Is(err, want) {
			t.Errorf("realm %s: error %v, want %v", realm, err, want)
		}
	}
}

// TestRealmsThatAreNamedAreTheOnlyOnes: some providers ask for calls under another name than for the registration.
func TestRealmsThatAreNamedAreTheOnlyOnes(t *testing.T) {
	c := fixed(Credentials{Username: "u", Password: "p", Realms: []string{"registrar.example", "Calls"}})
	for _, method := range []sip.RequestMethod{sip.REGISTER, sip.INVITE} {
		for realm, want := range map[string]error{"registrar.example": nil, "calls": nil, "sub.registrar.example": ErrRealm, "callee.example": ErrRealm} {
			_, err := c.Answer(request(t, method, "sip:1@x.example"), response(t, 401, fmt.Sprintf(`WWW-Authenticate: Digest realm="%s", nonce="n%s"`, realm, method)))
			if !errors.Is(err, want) {
				t.Errorf("%s, realm %s: error %v, want %v", method, realm, err, want)
			}
			if err != nil && !strings.Contains(err.Error(), "SIP_REALMS") {
				t.Errorf("error %v does not name the setting that may help", err)
			}
		}
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	c := fixed(Credentials{Username: "u", Password: "p"})
	for i := range 10 * maxNonces {
		res := response(t, 401, fmt.Sprintf(`WWW-Authenticate: Digest realm="r%d", nonce="n%d"`, i, i))
		if _, err := c.Answer(request(t, sip.REGISTER, "sip:r"), res); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.nonces) != maxNonces || len(c.realms) != maxRealms {
		t.Errorf("%d nonces and %d realms are kept, want %d and %d", len(c.nonces), len(c.realms), maxNonces, maxRealms)
	}
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Digest realm="sip.example.org", nonce="abc", qop="auth,auth-int", algorithm=SHA-256, stale=FALSE, opaque="x"`,
		`Digest realm="a \"b\" \\", nonce=ab=, Digest realm="c", nonce="d"`,
		`Basic realm="x"`, `Negotiate dG9rZW42OA==`, `Digest`, `Digest ,,, realm=""`, `Digest realm="`, `Digest realm="\`, "Digest a=\"\r\n\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c := fixed(Credentials{Username: `u"\`, Password: "p"})
		req := request(t, sip.REGISTER, "sip:r")
		res := sip.NewResponse(401, "Unauthorized")
		res.AppendHeader(sip.NewHeader("WWW-Authenticate", s))
		h, err := c.Answer(req, res)
		if err != nil {
			return
		}
		// What we write must be one line that our own parser reads back as one Digest.
		if strings.ContainsAny(h.Value(), "\r\n\x00") {
			t.Fatalf("control characters in %q", h.Value())
		}
		back, err := parse(h.Value())
		if err != nil || len(back) != 1 {
			t.Fatalf("credentials %q read back as %v, %v", h.Value(), back, err)
		}
		if back[0].get("username") != `u"\` || back[0].get("uri") != "sip:r" {
			t.Fatalf("credentials %q were changed by the challenge %q", h.Value(), s)
		}
		Apply(req, h)
		if _, err := c.Answer(req, res); err == nil {
			t.Fatalf("the same challenge was answered twice: %q", s)
		}
	})
}

// fixed returns a client whose client nonce is known.
func fixed(creds Credentials) *Client {
	c := New(creds)
	c.cnonce = func() string { return "fixed-cnonce" }
	return c
}

func request(t *testing.T, method sip.RequestMethod, uri string) *sip.Request {
	t.Helper()
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil {
		t.Fatal(err)
	}
	return sip.NewRequest(method, u)
}

// response makes a response the way it comes from the network: through the parser.
func response(t *testing.T, code int, headers ...string) *sip.Response {
	t.Helper()
	wire := fmt.Sprintf("SIP/2.0 %d Reason\r\n%s\r\nContent-Length: 0\r\n\r\n", code, strings.Join(append([]string{"Server: test"}, headers...), "\r\n"))
	msg, err := sip.ParseMessage([]byte(wire))
	if err != nil {
		t.Fatal(err)
	}
	return msg.(*sip.Response)
}

func params(t *testing.T, h sip.Header) map[string]string {
	t.Helper()
	all, err := parse(h.Value())
	if err != nil || len(all) != 1 {
		t.Fatalf("header %q: %v", h.Value(), err)
	}
	m := map[string]string{}
	for k, v := range all[0].params {
		m[k] = v.text
	}
	return m
}
