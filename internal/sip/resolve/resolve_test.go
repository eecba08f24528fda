package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// zone is a DNS that knows what the test wrote into it.
type zone struct {
	naptr map[string][]NAPTR
	srv   map[string][]SRV
	addrs map[string]string // addresses separated by blanks
	fail  map[string]error
	asked []string
}

func (z *zone) NAPTR(_ context.Context, name string) ([]NAPTR, error) {
	z.asked = append(z.asked, "NAPTR "+name)
	return z.naptr[name], z.fail["NAPTR "+name]
}

func (z *zone) SRV(_ context.Context, name string) ([]SRV, error) {
	z.asked = append(z.asked, "SRV "+name)
	if err := z.fail["SRV "+name]; err != nil {
		return nil, err
	}
	if z.srv[name] == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return z.srv[name], nil
}

func (z *zone) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	z.asked = append(z.asked, "A "+name)
	if err := z.fail["A "+name]; err != nil {
		return nil, err
	}
	if z.addrs[name] == "" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var out []netip.Addr
	for a := range strings.FieldsSeq(z.addrs[name]) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func show(targets []Target) []string {
	var out []string
	for _, t := range targets {
		s := t.Network + " " + t.Addr.String()
		if t.ServerName != "" {
			s += " " + t.ServerName
		}
		out = append(out, s)
	}
	return out
}

func TestResolveFollowsRFC3263(t *testing.T) {
	broken := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	tests := map[string]struct {
		zone  zone
		query Query
		want  []string
		err   error
		asked []string
	}{
		"a numeric address needs no DNS": {
			query: Query{Host: "192.0.2.1", Transport: "udp"},
			want:  []string{"udp 192.0.2.1:5060"},
		},
		"a numeric address with TLS has its own port and name": {
			query: Query{Host: "2001:db8::1", Transport: "tls", ServerName: "example.org"},
			want:  []string{"tls [2001:db8::1]:5061 example.org"},
		},
		"an explicit port skips SRV": {
			zone:  zone{addrs: map[string]string{"sip.example.org": "192.0.2.1"}},
			query: Query{Host: "sip.example.org", Port: 5070, Transport: "tcp"},
			want:  []string{"tcp 192.0.2.1:5070"},
			asked: []string{"A sip.example.org"},
		},
		"SRV goes before A": {
			zone: zone{
				srv:   map[string][]SRV{"_sip._udp.example.org": {{"b.example.org.", 5080, 20, 0}, {"a.example.org.", 5070, 10, 0}}},
				addrs: map[string]string{"a.example.org": "192.0.2.1 192.0.2.2", "b.example.org": "192.0.2.3", "example.org": "192.0.2.9"},
			},
			query: Query{Host: "example.org", Transport: "udp"},
			want:  []string{"udp 192.0.2.1:5070", "udp 192.0.2.2:5070", "udp 192.0.2.3:5080"},
			asked: []string{"SRV _sip._udp.example.org", "A a.example.org", "A b.example.org"},
		},
		"TLS asks for _sips._tcp and verifies the service domain": {
			zone: zone{
				srv:   map[string][]SRV{"_sips._tcp.example.org": {{"edge7.example.net.", 5061, 1, 1}}},
				addrs: map[string]string{"edge7.example.net": "192.0.2.7"},
			},
			query: Query{Host: "example.org", Transport: "tls"},
			want:  []string{"tls 192.0.2.7:5061 example.org"},
			asked: []string{"SRV _sips._tcp.example.org", "A edge7.example.net"},
		},
		"without SRV the addresses of the name are taken": {
			zone:  zone{addrs: map[string]string{"example.org": "2001:db8::1 192.0.2.1"}},
			query: Query{Host: "example.org", Transport: "tcp"},
			want:  []string{"tcp 192.0.2.1:5060", "tcp [2001:db8::1]:5060"},
			asked: []string{"SRV _sip._tcp.example.org", "A example.org"},
		},
		"a DNS proxy that cannot answer SRV does not stop us": {
			zone: zone{
				addrs: map[string]string{"fritz.box": "192.168.178.1"},
				fail:  map[string]error{"SRV _sip._udp.fritz.box": broken},
			},
			query: Query{Host: "fritz.box", Transport: "udp"},
			want:  []string{"udp 192.168.178.1:5060"},
		},
		"a name without its own address works through SRV": {
			zone: zone{
				srv:   map[string][]SRV{"_sip._udp.tel.example.de": {{"edge.example.de", 5060, 1, 1}}},
				addrs: map[string]string{"edge.example.de": "192.0.2.5"},
			},
			query: Query{Host: "tel.example.de", Transport: "udp"},
			want:  []string{"udp 192.0.2.5:5060"},
		},
		"one host of two that cannot be resolved is left out": {
			zone: zone{
				srv:   map[string][]SRV{"_sip._udp.example.org": {{"a.example.org", 1, 1, 1}, {"b.example.org", 2, 2, 1}}},
				addrs: map[string]string{"b.example.org": "192.0.2.2"},
			},
			query: Query{Host: "example.org", Transport: "udp"},
			want:  []string{"udp 192.0.2.2:2"},
		},
		"SRV hosts without addresses are an error, not the name's own address": {
			zone: zone{
				srv:   map[string][]SRV{"_sip._udp.example.org": {{"a.example.org", 1, 1, 1}}},
				addrs: map[string]string{"example.org": "192.0.2.9"},
			},
			query: Query{Host: "example.org", Transport: "udp"},
			err:   ErrNotFound,
		},
		"a target of . means that the service is not offered": {
			zone: zone{
				srv:   map[string][]SRV{"_sip._udp.example.org": {{".", 0, 0, 0}}},
				addrs: map[string]string{"example.org": "192.0.2.9"},
			},
			query: Query{Host: "example.org", Transport: "udp"},
			err:   ErrNoService,
		},
		"a name that does not exist": {query: Query{Host: "nowhere.example", Transport: "udp"}, err: ErrNotFound},
		"a DNS server that is down is not a name that does not exist": {
			zone:  zone{fail: map[string]error{"A example.org": broken, "SRV _sip._udp.example.org": broken}},
			query: Query{Host: "example.org", Transport: "udp"},
			err:   broken,
		},
		"an unknown transport": {query: Query{Host: "example.org", Transport: "sctp"}, err: ErrTransport},
		"with the transport open NAPTR decides, what we cannot speak is skipped": {
			zone: zone{
				naptr: map[string][]NAPTR{"example.org": {
					{20, 1, "s", "SIP+D2U", "_sip._udp.x.example"},
					{10, 2, "S", "sips+d2t", "_sips._tcp.x.example"},
					{10, 1, "s", "SIP+D2S", "_sip._sctp.x.example"},
					{5, 1, "u", "E2U+sip", ""},
				}},
				srv: map[string][]SRV{
					"_sips._tcp.x.example": {{"a.example", 5061, 1, 1}}, "_sip._udp.x.example": {{"a.example", 5060, 1, 1}},
				},
				addrs: map[string]string{"a.example": "192.0.2.1"},
			},
			query: Query{Host: "example.org"},
			want:  []string{"tls 192.0.2.1:5061 example.org", "udp 192.0.2.1:5060"},
			asked: []string{"NAPTR example.org", "SRV _sips._tcp.x.example", "A a.example", "SRV _sip._udp.x.example", "A a.example"},
		},
		"without NAPTR UDP goes before TCP": {
			zone: zone{
				srv:   map[string][]SRV{"_sip._tcp.example.org": {{"a.example", 5060, 1, 1}}, "_sip._udp.example.org": {{"a.example", 5060, 1, 1}}},
				addrs: map[string]string{"a.example": "192.0.2.1"},
			},
			query: Query{Host: "example.org"},
			want:  []string{"udp 192.0.2.1:5060", "tcp 192.0.2.1:5060"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := New(Config{DNS: &tt.zone, IntN: func(int) int { return 0 }})
			targets, err := r.Resolve(t.Context(), time.Now(), tt.query)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, show(targets)); diff != "" {
				t.Error(diff)
			}
			if tt.asked != nil {
				if diff := cmp.Diff(tt.asked, tt.zone.asked); diff != "" {
					t.Errorf("questions: %s", diff)
				}
			}
		})
	}
}

// TestWeightsAreSharesOfTheLoad is RFC 2782: within a priority the weight decides how often a record comes first.
func TestWeightsAreSharesOfTheLoad(t *testing.T) {
	r := New(Config{})
	records := []SRV{{"light", 1, 10, 1}, {"heavy", 1, 10, 3}, {"idle", 1, 10, 0}, {"backup", 1, 20, 100}}
	first := map[string]int{}
	const rounds = 4000
	for range rounds {
		got := r.byWeight(records)
		if len(got) != 4 || got[3].Target != "backup" {
			t.Fatalf("order %v: the lower priority has to come last", got)
		}
		first[got[0].Target]++
	}
	// Tickets 0..4: idle takes 0, light 1, heavy 2 to 4.
	for name, want := range map[string]int{"heavy": rounds * 3 / 5, "light": rounds / 5, "idle": rounds / 5} {
		if got := first[name]; got < want*8/10 || got > want*12/10 {
			t.Errorf("%s came first %d times of %d, want about %d", name, got, rounds, want)
		}
	}
}

// TestFailedAddressesGoToTheEnd is RFC 3263 section 4.3.
func TestFailedAddressesGoToTheEnd(t *testing.T) {
	z := &zone{addrs: map[string]string{"example.org": "192.0.2.1 192.0.2.2 192.0.2.3"}}
	r := New(Config{DNS: z})
	now := time.Now()
	q := Query{Host: "example.org", Port: 5060, Transport: "udp"}
	all, err := r.Resolve(t.Context(), now, q)
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(all[0], now.Add(2*time.Minute))
	r.Fail(all[1], now.Add(time.Minute))
	order := func(at time.Time) []int {
		got, err := r.Resolve(t.Context(), at, q)
		if err != nil {
			t.Fatal(err)
		}
		var idx []int
		for _, g := range got {
			idx = append(idx, slices.Index(all, g))
		}
		return idx
	}
	for name, tt := range map[string]struct {
		at   time.Time
		want []int
	}{
		"both in quarantine, the one free next goes first": {now, []int{2, 1, 0}},
		"one is free again":   {now.Add(90 * time.Second), []int{1, 2, 0}},
		"both are free again": {now.Add(3 * time.Minute), []int{0, 1, 2}},
	} {
		if diff := cmp.Diff(tt.want, order(tt.at)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	r.Good(all[0])
	if diff := cmp.Diff([]int{0, 2, 1}, order(now)); diff != "" {
		t.Errorf("after it worked again: %s", diff)
	}
}

func TestAddressesOfAFamilyThatIsNotInUseAreLeftOut(t *testing.T) {
	z := &zone{addrs: map[string]string{"example.org": "2001:db8::1 192.0.2.1", "six.example": "2001:db8::1"}}
	r := New(Config{DNS: z, Accept: netip.Addr.Is4})
	got, err := r.Resolve(t.Context(), time.Now(), Query{Host: "example.org", Port: 5060, Transport: "udp"})
	if diff := cmp.Diff([]string{"udp 192.0.2.1:5060"}, show(got)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, host := range []string{"six.example", "2001:db8::1"} {
		if _, err := r.Resolve(t.Context(), time.Now(), Query{Host: host, Port: 5060}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: error %v, want %v", host, err, ErrNotFound)
		}
	}
}

func TestAbsurdAnswersAreCutShort(t *testing.T) {
	z := &zone{srv: map[string][]SRV{}, addrs: map[string]string{"a.example": strings.Repeat("192.0.2.1 ", 50)}}
	for i := range uint16(500) {
		z.srv["_sip._udp.example.org"] = append(z.srv["_sip._udp.example.org"], SRV{"a.example", 1000 + i, 1, 1})
	}
	got, err := New(Config{DNS: z}).Resolve(t.Context(), time.Now(), Query{Host: "example.org", Transport: "udp"})
	if err != nil || len(got) > maxTargets || len(z.asked) > 1+maxRecords {
		t.Errorf("%d targets after %d questions, %v", len(got), len(z.asked), err)
	}
}

func TestTheSystemResolverFindsLocalhost(t *testing.T) {
	got, err := New(Config{Accept: netip.Addr.Is4}).Resolve(t.Context(), time.Now(), Query{Host: "localhost", Port: 5070, Transport: "udp"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"udp 127.0.0.1:5070"}, show(got)); diff != "" {
		t.Error(diff)
	}
}
