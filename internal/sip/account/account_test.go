package account

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
)

func TestTargetWritesTheRequestURI(t *testing.T) {
	base := Account{User: "alice", Server: "sip.example.org", CountryCode: "49"}
	with := func(change func(*Account)) Account {
		a := base
		change(&a)
		return a
	}
	style := func(s NumberStyle) Account { return with(func(a *Account) { a.NumberStyle = s }) }
	tests := map[string]struct {
		account Account
		to      string
		want    string
	}{
		"plus is the default":                     {base, "+4930123", "sip:+4930123@sip.example.org"},
		"e164 drops the plus":                     {style(NumberE164), "+4930123", "sip:4930123@sip.example.org"},
		"00 stands for the plus":                  {style(Number00), "+4930123", "sip:004930123@sip.example.org"},
		"national writes the own country with 0":  {style(NumberNational), "+4930123", "sip:030123@sip.example.org"},
		"national writes other countries with 00": {style(NumberNational), "+431234", "sip:00431234@sip.example.org"},
		"national with a trunk prefix of its own": {
			with(func(a *Account) {
				a.NumberStyle, a.CountryCode, a.TrunkPrefix, a.InternationalPrefix = NumberNational, "7", "8", "810"
			}), "+79161234567", "sip:89161234567@sip.example.org",
		},
		"national with an international prefix of its own": {
			with(func(a *Account) {
				a.NumberStyle, a.CountryCode, a.TrunkPrefix, a.InternationalPrefix = NumberNational, "1", "1", "011"
			}), "+4930123", "sip:0114930123@sip.example.org",
		},
		"national without a trunk prefix": {
			with(func(a *Account) { a.NumberStyle, a.CountryCode, a.TrunkPrefix = NumberNational, "34", NoTrunkPrefix }), "+34911234", "sip:911234@sip.example.org",
		},
		"as dialled stays":                           {style(NumberAsDialled), "030123", "sip:030123@sip.example.org"},
		"an extension is never rewritten":            {style(Number00), "100", "sip:100@sip.example.org"},
		"an emergency number is never rewritten":     {style(NumberE164), "112", "sip:112@sip.example.org"},
		"a hash is escaped and a star is not":        {base, "*21#", "sip:*21%23@sip.example.org"},
		"user=phone only where the knob says so":     {with(func(a *Account) { a.UserPhone = true }), "+4930123", "sip:+4930123@sip.example.org;user=phone"},
		"the domain names the host":                  {with(func(a *Account) { a.Domain = "example.org" }), "100", "sip:100@example.org"},
		"the port of the server stays":               {with(func(a *Account) { a.Server = "192.0.2.1:5070" }), "100", "sip:100@192.0.2.1:5070"},
		"with a domain the server's port goes":       {with(func(a *Account) { a.Server, a.Domain = "192.0.2.1:5070", "example.org" }), "100", "sip:100@example.org"},
		"IPv6 stands in brackets":                    {with(func(a *Account) { a.Server = "2001:db8::1" }), "100", "sip:100@[2001:db8::1]"},
		"IPv6 with a port":                           {with(func(a *Account) { a.Server = "[2001:db8::1]:5070" }), "100", "sip:100@[2001:db8::1]:5070"},
		"a tel: URI is a number":                     {base, "tel:+4930123", "sip:+4930123@sip.example.org"},
		"a sip: URI is taken as it is":               {base, "sip:bob@other.example;transport=tcp", "sip:bob@other.example;transport=tcp"},
		"the header part of a URI is cut off":        {base, "sip:bob@other.example?Route=%3Csip:evil%3E", "sip:bob@other.example"},
		"the method parameter of a URI is cut off":   {base, "sip:bob@other.example;method=REFER;x=1", "sip:bob@other.example;x=1"},
		"a URI of a host alone":                      {base, "sip:conference.example.org", "sip:conference.example.org"},
		"a header cannot be smuggled in":             {base, "sip:bob@other.example\r\nX: y", ""},
		"angle brackets cannot end the URI":          {base, "sip:bob@other.example>;tag=1", ""},
		"a text is no number":                        {base, "alice", ""},
		"nothing is no number":                       {base, "", ""},
		"a plus alone is no number":                  {base, "+", ""},
		"spaces are for the dial policy to take out": {base, "+49 30 123", ""},
		"another scheme is refused":                  {base, "https://example.org", ""},
		"a wildcard is refused":                      {base, "sip:*", ""},
		"a port out of range is refused":             {base, "sip:bob@other.example:70000", ""},
		"a host with a blank is refused":             {base, "sip:bob@", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := tt.account.Target(tt.to)
			if tt.want == "" {
				if !errors.Is(err, ErrTarget) {
					t.Fatalf("%q gave %s, %v; want %v", tt.to, u.String(), err, ErrTarget)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := u.String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestCallerHeadersFollowTheStyle(t *testing.T) {
	base := Account{User: "1234567t0", Server: "sip.example.org", DisplayName: `The "Shop"`, NumberStyle: NumberE164, CountryCode: "49"}
	const own = `From: "The \"Shop\"" <sip:1234567t0@sip.example.org>`
	tests := map[string]struct {
		style    CallerIDStyle
		callerID string
		fallback string
		want     []string
	}{
		"no caller id shows the account":            {CallerPAI, "", "", []string{own}},
		"from puts the number into From":            {CallerFrom, "+4930123", "", []string{`From: "The \"Shop\"" <sip:4930123@sip.example.org>`}},
		"the account's own is used when none given": {"", "", "+4930999", []string{`From: "The \"Shop\"" <sip:4930999@sip.example.org>`}},
		"the call's own goes first":                 {"", "+4930123", "+4930999", []string{`From: "The \"Shop\"" <sip:4930123@sip.example.org>`}},
		"pai":                                       {CallerPAI, "+4930123", "", []string{own, `P-Asserted-Identity: "The \"Shop\"" <sip:4930123@sip.example.org>`}},
		"ppi":                                       {CallerPPI, "+4930123", "", []string{own, `P-Preferred-Identity: "The \"Shop\"" <sip:4930123@sip.example.org>`}},
		"diversion":                                 {CallerDiversion, "+4930123", "", []string{own, `Diversion: <sip:4930123@sip.example.org>;reason=unconditional`}},
		"rpid":                                      {CallerRPID, "+4930123", "", []string{own, `Remote-Party-ID: "The \"Shop\"" <sip:4930123@sip.example.org>;party=calling;privacy=off;screen=yes`}},
		"a user name is shown as it is":             {CallerPAI, "alice.b-1_2", "", []string{own, `P-Asserted-Identity: "The \"Shop\"" <sip:alice.b-1_2@sip.example.org>`}},
		"a header cannot be smuggled in":            {CallerPAI, "1>\r\nX: y", "", nil},
		"an address is not a caller id":             {CallerFrom, "sip:a@b", "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := base
			a.CallerIDStyle, a.CallerID = tt.style, tt.fallback
			from, extra, err := a.CallerHeaders(tt.callerID)
			if tt.want == nil {
				if !errors.Is(err, ErrCallerID) {
					t.Fatalf("error %v, want %v", err, ErrCallerID)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{from.String()}
			for _, h := range extra {
				got = append(got, h.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestURIsOfAnAccount(t *testing.T) {
	type uris struct{ AOR, Registrar, Contact, Routes, Hop string }
	tests := map[string]struct {
		account Account
		want    uris
	}{
		"a server alone": {
			Account{User: "alice", Server: "sip.example.org"},
			uris{"sip:alice@sip.example.org", "sip:sip.example.org", "sip:alice@198.51.100.7:5060", "", "sip.example.org 0 udp sip.example.org"},
		},
		"a server with a port: From and To name none": {
			Account{User: "alice", Server: "127.0.0.1:25060", Transport: "tcp"},
			uris{"sip:alice@127.0.0.1", "sip:127.0.0.1:25060", "sip:alice@198.51.100.7:5060;transport=tcp", "", "127.0.0.1 25060 tcp 127.0.0.1"},
		},
		"an outbound proxy is where everything goes": {
			Account{User: "+4919929", Server: "tel.example.de", Proxy: "id.primary.example.de:5061", Transport: "tls"},
			uris{"sip:+4919929@tel.example.de", "sip:tel.example.de", "sip:+4919929@198.51.100.7:5060;transport=tls", "sip:id.primary.example.de:5061;transport=tls;lr", "id.primary.example.de 5061 tls id.primary.example.de"},
		},
		"a contact user of its own, escaped where it must be": {
			Account{User: "a b@c", ContactUser: "49@30", Server: "sip.example.org"},
			uris{"sip:a%20b%40c@sip.example.org", "sip:sip.example.org", "sip:49%4030@198.51.100.7:5060", "", "sip.example.org 0 udp sip.example.org"},
		},
		"an address with a domain: the certificate names the domain": {
			Account{User: "alice", Server: "192.0.2.1", Domain: "Example.Org.", Transport: "tls"},
			uris{"sip:alice@example.org", "sip:example.org", "sip:alice@198.51.100.7:5060;transport=tls", "", "192.0.2.1 0 tls example.org"},
		},
		"the server name can be set": {
			Account{User: "alice", Server: "192.0.2.1", TLSServerName: "x.example", Transport: "tls"},
			uris{"sip:alice@192.0.2.1", "sip:192.0.2.1", "sip:alice@198.51.100.7:5060;transport=tls", "", "192.0.2.1 0 tls x.example"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := tt.account.Check(); err != nil {
				t.Fatal(err)
			}
			hop, err := tt.account.NextHop()
			if err != nil {
				t.Fatal(err)
			}
			var routes []string
			for _, r := range tt.account.Routes() {
				routes = append(routes, r.String())
			}
			str := func(u sip.Uri) string { return u.String() }
			got := uris{
				str(tt.account.AOR()), str(tt.account.Registrar()), str(tt.account.Contact(netip.MustParseAddrPort("198.51.100.7:5060"))),
				strings.Join(routes, ","), strings.Join([]string{hop.Host, strconv.Itoa(int(hop.Port)), hop.Transport, hop.ServerName}, " "),
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckFillsInTheDefaults(t *testing.T) {
	got, err := Account{User: "alice", Server: "sip.example.org"}.Check()
	if err != nil {
		t.Fatal(err)
	}
	want := Account{
		Name: "alice@sip.example.org", User: "alice", AuthUser: "alice", FromUser: "alice", ContactUser: "alice", Server: "sip.example.org",
		Transport: "udp", CallerIDStyle: CallerFrom, NumberStyle: NumberPlus, Expires: DefaultExpires,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestCheckNamesTheFieldAtFault(t *testing.T) {
	for field, change := range map[string]func(*Account){
		"user":            func(a *Account) { a.User = "" },
		"server":          func(a *Account) { a.Server = "sip.example.org:99999" },
		"proxy":           func(a *Account) { a.Proxy = "not a host" },
		"domain":          func(a *Account) { a.Domain = "x@y" },
		"password":        func(a *Account) { a.Password = "a\r\nb" },
		"display name":    func(a *Account) { a.DisplayName = "a\x00" },
		"transport":       func(a *Account) { a.Transport = "sctp" },
		"caller id style": func(a *Account) { a.CallerIDStyle = "x" },
		"number style":    func(a *Account) { a.NumberStyle = NumberNational },
		"caller id":       func(a *Account) { a.CallerID = "<x>" },
		"expires":         func(a *Account) { a.Expires = time.Second },
		"public ip":       func(a *Account) { a.PublicIP = netip.MustParseAddr("0.0.0.0") },
	} {
		t.Run(field, func(t *testing.T) {
			a := Account{User: "alice", Server: "sip.example.org"}
			change(&a)
			_, err := a.Check()
			if err == nil || !strings.Contains(err.Error(), field+" ") {
				t.Errorf("error %v, want one that names %q", err, field)
			}
			if err != nil && a.Password != "" && strings.Contains(err.Error(), a.Password) {
				t.Errorf("error %v shows the password", err)
			}
		})
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"+4930123", "*21#", "sip:bob@example.org;x=y?Subject=z", "tel:112", "sip:[2001:db8::1]:5060", "sip:a:b@c:1;d"} {
		f.Add(s)
	}
	a := Account{User: "alice", Server: "sip.example.org", NumberStyle: NumberNational, CountryCode: "49"}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := a.Target(s)
		if err != nil {
			return
		}
		text := u.String()
		if strings.ContainsAny(text, "\r\n <>\"") {
			t.Fatalf("%q became %q", s, text)
		}
		var back sip.Uri
		if err := sip.ParseUri(text, &back); err != nil {
			t.Fatalf("%q became %q, which cannot be read: %v", s, text, err)
		}
		if back.Host != u.Host || back.User != u.User {
			t.Fatalf("%q became %q, read back as user %q host %q", s, text, back.User, back.Host)
		}
	})
}
