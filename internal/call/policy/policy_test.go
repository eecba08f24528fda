package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// german are rules without exceptions.
var german = Rules{Country: "DE", Domains: []string{"sip.example.com", "example.com"}}

// denial returns the refusal, failing when the number passes.
func denial(t *testing.T, r Rules, to string) *Denied {
	t.Helper()
	n, err := r.Check(to)
	var denied *Denied
	if !errors.As(err, &denied) {
		t.Fatalf("%q passed as %+v (%v)", to, n, err)
	}
	return denied
}

func TestEverySpellingIsReducedToOneNumber(t *testing.T) {
	for _, to := range []string{
		"+4930123456", "004930123456", "030123456", "030 123456", "030/12 34 56", "(030) 123-456", "030.123.456",
		"+49 30 123456", "+49 (0) 30 123456", "+49(0)30-123456", "0049 (0)30 123456", "(+49) 30 123456", "+49 030 123456",
		"+49\u00a030\u202f123\u2011456", "+49 30 123\u2013456", "\u202a+49 30 123456\u202c", "+\u200b4930123456",
		"+4930123456", "٠٣٠١٢٣٤٥٦", "०३०१२३४५६", "𝟎𝟑𝟎𝟏𝟐𝟑𝟒𝟓𝟔",
		"\uff0b49 \uff08\uff10\uff09 30 123456", "\ufe6249 \ufe590\ufe5a 30 123456", "[030] 123456",
		"tel:+4930123456", "TEL:+49-30-123456", "tel:+49-30-123456;isub=12", "tel:030123456;phone-context=example.com",
		"tel:30123456;phone-context=+49", "tel:123456;phone-context=+49-30", "tel:%2B49%2030123456", "tel:030123456;phone-context=sip.example.com",
		"tel:+4930123456;rn=+49900123456;npdi;cic=+49-6789",
		"sip:+4930123456@example.com", "sip:030123456@SIP.example.com:5060;user=phone", "sip:+49-30-123456;isub=1@example.com",
		"sip:%2B4930123456@example.com", "+4930123456@example.com", "sip:%30301%32%33456@example.com",
		"  +4930123456\n", "030\t123456",
	} {
		got, err := german.Check(to)
		if err != nil {
			t.Errorf("%q: %v", to, err)
			continue
		}
		if diff := cmp.Diff(Number{Dial: "+4930123456", Kind: KindE164, Country: "DE"}, got); diff != "" {
			t.Errorf("%q: %s", to, diff)
		}
	}
}

func TestWhatMayBeCalled(t *testing.T) {
	for _, tc := range []struct {
		name    string
		country string
		allow   []string
		to      string
		want    Number
	}{
		{"a mobile number", "DE", nil, "0171 2345678", Number{Dial: "+491712345678", Kind: KindE164, Country: "DE"}},
		{"freephone", "DE", nil, "0800 123 4567", Number{Dial: "+498001234567", Kind: KindE164, Country: "DE"}},
		{"an area code like an emergency number", "DE", nil, "0911 2345678", Number{Dial: "+499112345678", Kind: KindE164, Country: "DE"}},
		{"an extension is kept beside the number", "DE", nil, "tel:+4930123456;ext=78", Number{Dial: "+4930123456", Kind: KindE164, Country: "DE", Extension: "78"}},
		{"an internal number", "DE", nil, "4711", Number{Dial: "4711", Kind: KindShort}},
		{"an internal number of three digits", "DE", nil, "101", Number{Dial: "101", Kind: KindShort}},
		{"an internal number of six digits", "DE", nil, "20 11 02", Number{Dial: "201102", Kind: KindShort}},
		{"an internal number as sip: URI", "DE", nil, "sip:100@example.com", Number{Dial: "100", Kind: KindShort}},
		{"a user of the account's domain", "DE", nil, "sip:Bob.Smith@example.com:5070;transport=tcp", Number{Dial: "sip:Bob.Smith@example.com", Kind: KindSIP}},
		{"an allowed country", "DE", []string{"+43"}, "0043 1 234567", Number{Dial: "+431234567", Kind: KindE164, Country: "AT"}},
		{"all countries", "DE", []string{"+"}, "+1 212 555 0123", Number{Dial: "+12125550123", Kind: KindE164, Country: "US"}},
		{"all countries by star", "DE", []string{"*"}, "+41 44 123 45 67", Number{Dial: "+41441234567", Kind: KindE164, Country: "CH"}},
		{"an allowed foreign area", "DE", []string{"+1 212"}, "+12125550123", Number{Dial: "+12125550123", Kind: KindE164, Country: "US"}},
		{"an allowed exact number", "DE", []string{"+41441234567"}, "+41441234567", Number{Dial: "+41441234567", Kind: KindE164, Country: "CH"}},
		{"an allowed premium range", "DE", []string{"0900 1"}, "0900-1234567", Number{Dial: "+499001234567", Kind: KindE164, Country: "DE"}},
		{"a range with a star behind", "DE", []string{"+49180*"}, "0180 2 123456", Number{Dial: "+491802123456", Kind: KindE164, Country: "DE"}},
		{"an allowed satellite range", "DE", []string{"+8816"}, "+8816 1234 5678", Number{Dial: "+881612345678", Kind: KindE164}},
		{"an allowed emergency number", "DE", []string{"112"}, "1 1 2", Number{Dial: "112", Kind: KindShort}},
		{"an emergency number with zeros", "AU", []string{"000"}, "000", Number{Dial: "000", Kind: KindShort}},
		{"a round extension is not a country code with 000 behind it", "DE", nil, "1000", Number{Dial: "1000", Kind: KindShort}},
		{"a round extension in a country with the code 1", "US", nil, "1000", Number{Dial: "1000", Kind: KindShort}},
		{"a round extension where 100 is an ambulance", "BE", nil, "1000", Number{Dial: "1000", Kind: KindShort}},
		{"an extension where 123 is a helpline", "AT", nil, "1234", Number{Dial: "1234", Kind: KindShort}},
		{"a round extension where 9 is the outside line", "US", nil, "9000", Number{Dial: "9000", Kind: KindShort}},
		{"a round extension in a country with the code 7", "RU", nil, "7000", Number{Dial: "7000", Kind: KindShort}},
		{"an extension like an emergency number", "DE", []string{"1123"}, "1123", Number{Dial: "1123", Kind: KindShort}},
		{"an allowed directory", "DE", []string{"118xx"}, "11833", Number{Dial: "11833", Kind: KindShort}},
		{"an allowed range of short numbers", "DE", []string{"19*"}, "19240", Number{Dial: "19240", Kind: KindShort}},
		{"an allowed feature code", "DE", []string{"*21"}, "*21*030123456#", Number{Dial: "*21*030123456#", Kind: KindFeature}},
		{"an allowed host", "DE", []string{"sip:pbx.example.net"}, "sip:alice@PBX.example.net:5070;maddr=192.0.2.1", Number{Dial: "sip:alice@pbx.example.net:5070", Kind: KindSIP}},
		{"a host below an allowed one", "DE", []string{"*.example.net"}, "sip:100@a.example.net", Number{Dial: "sip:100@a.example.net", Kind: KindSIP}},
		{"an allowed host by address", "DE", []string{"@2001:db8::1"}, "sip:alice@[2001:DB8:0::1]", Number{Dial: "sip:alice@[2001:db8::1]", Kind: KindSIP}},
		{"a number at an allowed host", "DE", []string{"example.net"}, "sip:0049-30-123456@example.net", Number{Dial: "sip:+4930123456@example.net", Kind: KindSIP}},
		{"an allowed user who looks like a number", "DE", []string{"1234567e0@example.com"}, "sip:1234567e0@example.com", Number{Dial: "sip:1234567e0@example.com", Kind: KindSIP}},
		{"Austria", "AT", nil, "01 234567", Number{Dial: "+431234567", Kind: KindE164, Country: "AT"}},
		{"Italy keeps its zero", "IT", nil, "06 1234 5678", Number{Dial: "+390612345678", Kind: KindE164, Country: "IT"}},
		{"Italy's zero is no trunk prefix", "DE", []string{"+39"}, "+39 06 12345678", Number{Dial: "+390612345678", Kind: KindE164, Country: "IT"}},
		{"Spain has no trunk prefix", "ES", nil, "912 345 678", Number{Dial: "+34912345678", Kind: KindE164, Country: "ES"}},
		{"Hungary has two digits", "HU", nil, "06 1 234 5678", Number{Dial: "+3612345678", Kind: KindE164, Country: "HU"}},
		{"the United States without 1", "US", nil, "(212) 555-0123", Number{Dial: "+12125550123", Kind: KindE164, Country: "US"}},
		{"the United States with 1", "us", nil, "1-212-555-0123", Number{Dial: "+12125550123", Kind: KindE164, Country: "US"}},
		{"Canada from the United States", "US", nil, "416 555 0123", Number{Dial: "+14165550123", Kind: KindE164, Country: "CA"}},
		{"abroad with 011", "US", []string{"+49"}, "011 49 30 123456", Number{Dial: "+4930123456", Kind: KindE164, Country: "DE"}},
		{"abroad with 0011", "AU", []string{"+49"}, "0011 49 30 123456", Number{Dial: "+4930123456", Kind: KindE164, Country: "DE"}},
		{"Russia with 8", "RU", nil, "8 (495) 123-45-67", Number{Dial: "+74951234567", Kind: KindE164, Country: "RU"}},
		{"a Dublin number is not premium", "IE", nil, "01 524 1234", Number{Dial: "+35315241234", Kind: KindE164, Country: "IE"}},
		{"no country means Germany", "", nil, "030 123456", Number{Dial: "+4930123456", Kind: KindE164, Country: "DE"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Rules{Allow: tc.allow, Country: tc.country, Domains: german.Domains}.Check(tc.to)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatMayNotBeCalled(t *testing.T) {
	for _, tc := range []struct {
		name    string
		country string
		allow   string
		to      string
		want    Code
	}{
		{"police", "DE", "", "110", EmergencyNumber},
		{"fire brigade", "DE", "", "112", EmergencyNumber},
		{"emergency of another country", "DE", "", "911", EmergencyNumber},
		{"emergency with country code", "DE", "", "+49112", EmergencyNumber},
		{"emergency with 00", "DE", "", "0049 110", EmergencyNumber},
		{"emergency with 0", "DE", "", "0112", EmergencyNumber},
		{"emergency with 00 alone", "DE", "", "00112", EmergencyNumber},
		{"emergency with + alone", "DE", "", "+112", EmergencyNumber},
		{"emergency behind an area code", "DE", "", "030-110", EmergencyNumber},
		{"emergency behind a long area code", "DE", "", "033056 112", EmergencyNumber},
		{"emergency with more digits behind", "DE", "", "0112 345678", EmergencyNumber},
		{"ambulance control", "DE", "", "030 19222", EmergencyNumber},
		{"emergency with the caller's number hidden", "DE", "*31#", "*31#112", EmergencyNumber},
		{"short number that begins with one", "DE", "", "1123", EmergencyNumber},
		{"outside line and the number of the country", "GB", "", "9999", EmergencyNumber},
		{"outside line and the number of Europe", "US", "", "9112", EmergencyNumber},
		{"short number that begins with that of the country", "US", "", "91100", EmergencyNumber},
		{"emergency as tel: URI", "DE", "", "tel:112;phone-context=+49", EmergencyNumber},
		{"emergency at the account's domain", "DE", "", "sip:110@example.com;user=phone", EmergencyNumber},
		{"emergency at a foreign host", "DE", "example.net", "sip:112@example.net", EmergencyNumber},
		{"emergency service by name", "DE", "", "sip:sos.fire@example.com", EmergencyNumber},
		{"emergency service urn", "DE", "", "urn:service:sos.police", EmergencyNumber},
		{"allowing all countries opens none", "DE", "+", "+49 112", EmergencyNumber},
		{"allowing one opens its plain spelling only", "DE", "112", "+49112", EmergencyNumber},
		{"allowing one opens no other", "DE", "112", "110", EmergencyNumber},
		{"a range opens none", "DE", "11*", "112", EmergencyNumber},
		{"nine for a line", "US", "", "9 911", EmergencyNumber},
		{"crisis line", "US", "", "988", EmergencyNumber},
		{"French ambulance", "FR", "", "15", EmergencyNumber},
		{"Austrian police from Germany", "DE", "+43", "+43 133", EmergencyNumber},

		{"0900", "DE", "", "0900 1234567", PremiumNumber},
		{"0900 with a zero too many", "DE", "", "+49 (0) 0900 123456", PremiumNumber},
		{"0900 with two zeros too many", "DE", "", "+49 (0) 00900 123456", InvalidNumber},
		{"0900 with the trunk kept", "DE", "", "+490900123456", PremiumNumber},
		{"0900 through a local context", "DE", "", "tel:0900123456;phone-context=+49", PremiumNumber},
		{"0900 as user of the account", "DE", "", "sip:0900123456@example.com", PremiumNumber},
		{"0900 hidden by percent-encoding", "DE", "", "sip:%30%39%30%30123456@example.com", PremiumNumber},
		{"0900 behind an allowed feature code", "DE", "*21", "*21*0900123456#", PremiumNumber},
		{"0900 at an allowed host", "DE", "example.net", "sip:+49900123456@example.net", PremiumNumber},
		{"legacy 0190", "DE", "", "0190 123456", PremiumNumber},
		{"0137", "DE", "", "0137 1234567", PremiumNumber},
		{"0180", "DE", "", "0180 5 123456", PremiumNumber},
		{"directory", "DE", "", "11833", PremiumNumber},
		{"directory with country code", "DE", "", "+49 11833", PremiumNumber},
		{"allowing a country opens no premium range", "DE", "+43", "+43 900 123456", PremiumNumber},
		{"allowing all opens no premium range", "DE", "+", "+44 909 1234567", PremiumNumber},
		{"international premium rate", "DE", "+", "+979 1 2345 6789", PremiumNumber},
		{"shared cost", "DE", "+", "+808 1234 5678", PremiumNumber},
		{"US 900", "US", "", "1 900 555 0123", PremiumNumber},
		{"US 976", "US", "", "212 976 1234", PremiumNumber},
		{"British 09", "GB", "", "0909 123 4567", PremiumNumber},
		{"British 118", "GB", "", "118118", PremiumNumber},
		{"French 089", "FR", "", "0 892 12 34 56", PremiumNumber},
		{"French short number", "FR", "", "3200", PremiumNumber},
		{"Swiss 0901", "CH", "", "0901 123 456", PremiumNumber},
		{"Irish 1550", "IE", "", "+353 1550 123456", PremiumNumber},
		{"Italian 892", "IT", "", "892424", PremiumNumber},

		{"Inmarsat", "DE", "+", "+870 773 123456", SatelliteNumber},
		{"Iridium", "DE", "+", "00 8816 1234 5678", SatelliteNumber},
		{"Globalstar by its parent's prefix", "DE", "+88", "+8818 1234 5678", SatelliteNumber},
		{"international networks", "DE", "+", "+883 130 1234 5678", SatelliteNumber},
		{"Thuraya", "DE", "+", "+88216 12345678", SatelliteNumber},

		{"helpline", "DE", "", "116117", ServiceNumber},
		{"authorities", "DE", "", "115", ServiceNumber},

		{"Austria", "DE", "", "+43 1 234567", ForeignCountry},
		{"Austria when Switzerland is allowed", "DE", "+41", "0043 1 234567", ForeignCountry},
		{"another part of an allowed country", "DE", "+1212", "+1 213 555 0123", ForeignCountry},
		{"the Caribbean from the United States", "US", "", "876 555 0123", ForeignCountry},
		{"Kazakhstan from Russia", "RU", "", "+7 701 123 4567", ForeignCountry},
		{"Guernsey from Britain", "GB", "", "01481 123456", ForeignCountry},
		{"international freephone", "DE", "", "+800 1234 5678", ForeignCountry},
		{"Germany from Austria", "AT", "", "+4930123456", ForeignCountry},

		{"a foreign host", "DE", "", "sip:bob@example.net", ForeignHost},
		{"a number at a foreign host", "DE", "", "sip:+4930123456@example.net", ForeignHost},
		{"a host that ends like an allowed one", "DE", "example.net", "sip:bob@evilexample.net", ForeignHost},
		{"a host that ends like an allowed range", "DE", "*.example.net", "sip:bob@evilexample.net", ForeignHost},

		{"call forwarding", "DE", "", "*21*030123456#", FeatureCode},
		{"call forwarding in full width", "DE", "", "\uff0a21\uff0a030123456\uff03", FeatureCode},
		{"a code alone", "DE", "", "#31#", FeatureCode},
		{"a code that only begins like an allowed one", "DE", "*21", "*2", FeatureCode},

		{"nothing", "DE", "", " ", InvalidNumber},
		{"only a plus", "DE", "", "+", InvalidNumber},
		{"only separators", "DE", "", "--", InvalidNumber},
		{"letters", "DE", "", "0800 FLOWERS", InvalidNumber},
		{"a letter for a digit", "DE", "", "11O", InvalidNumber},
		{"a name without a host", "DE", "", "alice", InvalidNumber},
		{"a superscript", "DE", "", "030 12345²", InvalidNumber},
		{"a circled digit", "DE", "", "①10", InvalidNumber},
		{"a line break", "DE", "", "030\r\n123456", InvalidNumber},
		{"a header smuggled in", "DE", "", "sip:100@example.com?Route=%3Csip:evil%3E", InvalidNumber},
		{"a line break smuggled in", "DE", "", "sip:100%0d%0aVia@example.com", InvalidNumber},
		{"double percent-encoding", "DE", "", "sip:%2530900123456@example.com", InvalidNumber},
		{"broken percent-encoding", "DE", "", "sip:%3@example.com", InvalidNumber},
		{"a password", "DE", "", "sip:bob:pw@example.com", InvalidNumber},
		{"two hosts", "DE", "", "sip:bob@example.com@example.net", InvalidNumber},
		{"no user", "DE", "", "sip:example.com", InvalidNumber},
		{"sips", "DE", "", "sips:bob@example.com", InvalidNumber},
		{"a user that begins like a number", "DE", "", "sip:0900x123456@example.com", InvalidNumber},
		{"a pause", "DE", "", "030123456,,12", InvalidNumber},
		{"two numbers", "DE", "", "+4930123456+4930123457", InvalidNumber},
		{"a country that does not exist", "DE", "+", "+999 1234567", InvalidNumber},
		{"a country code that begins with zero", "DE", "", "+0123456789", InvalidNumber},
		{"more than 15 digits", "DE", "", "+49 30 12345678901234", InvalidNumber},
		{"too short", "DE", "", "030 1", InvalidNumber},
		{"no area code", "DE", "", "1234567", InvalidNumber},
		{"country code without plus", "DE", "", "4930123456", InvalidNumber},
		{"an American local number", "US", "", "555-0123", InvalidNumber},
		{"an American area that begins with 1", "US", "", "+1 112 555 0123", InvalidNumber},
		{"a context that is nobody's", "DE", "", "tel:4711;phone-context=example.net", InvalidNumber},
		{"not UTF-8", "DE", "", "030\xff123456", InvalidNumber},
		{"far too long", "DE", "", strings.Repeat("1", 300), InvalidNumber},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rules := Rules{Country: tc.country, Domains: german.Domains}
			if tc.allow != "" {
				rules.Allow = []string{tc.allow}
			}
			got := denial(t, rules, tc.to)
			if got.Code != tc.want {
				t.Errorf("%q: code %s, want %s (%v)", tc.to, got.Code, tc.want, got)
			}
			if got.Message == "" || got.Cure == "" || got.Throttled() {
				t.Errorf("%q: %+v lacks cause or cure, or claims to be temporary", tc.to, got)
			}
		})
	}
}

func TestTheCureHelps(t *testing.T) {
	for _, to := range []string{
		"+43 1 234567", "0900 1234567", "+8816 12345678", "11833", "116117", "876 555 0123", "sip:bob@example.net", "112", "1123",
	} {
		rules := german
		d := denial(t, rules, to)
		_, entry, ok := strings.Cut(d.Cure, "DIAL_ALLOW=")
		if !ok {
			if d.Code != InvalidNumber {
				t.Errorf("%q: the cure names no entry: %v", to, d)
			}
			continue
		}
		entry, _, _ = strings.Cut(entry, " ")
		rules.Allow = []string{strings.TrimRight(entry, ",)")}
		n, err := rules.Check(to)
		if err != nil {
			t.Errorf("%q with DIAL_ALLOW=%s: %v", to, rules.Allow[0], err)
		} else if n.Dial == "" {
			t.Errorf("%q: nothing to dial", to)
		}
	}
}

func TestAllowedEmergencyNumbersAreKnown(t *testing.T) {
	got := EmergencyIn([]string{"+43", "4711", "1123", "112", "110", "000"}, "DE")
	if diff := cmp.Diff([]string{"000", "110", "112"}, got); diff != "" {
		t.Error(diff)
	}
	if got := EmergencyIn([]string{"nonsense"}, "DE"); got != nil {
		t.Error(got)
	}
}

func TestARefusalSaysCauseAndCure(t *testing.T) {
	const want = "+43 is AT, and only numbers of DE are allowed; set DIAL_ALLOW=+43 to allow it, or DIAL_COUNTRY if DE is not your country"
	if got := denial(t, german, "+43 1 234567").Error(); got != want {
		t.Error(got)
	}
}

func TestWrongRulesAreNamed(t *testing.T) {
	for _, tc := range []struct{ country, allow, want string }{
		{"XX", "", "country"},
		{"Germany", "", "country"},
		{"", " ", "empty"},
		{"", "hello", "letters"},
		{"", "+43 +41", "separate entries by commas"},
		{"", "00", "write + to allow all countries"},
		{"", "+0", "no country code"},
		{"", "1234567", "country code"},
		{"", "*", ""},
		{"", "**", "feature code"},
		{"", "sip:a b", "SIP host"},
		{"", "b b@example.com", "user@host"},
		{"", "+1234567890123456", "15 digits"},
		{"", "+43*1", "several numbers"},
		{"", "0", "country code"},
	} {
		rules := Rules{Country: tc.country}
		if tc.allow != "" {
			rules.Allow = []string{tc.allow}
		}
		err := rules.Validate()
		if tc.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tc.allow, err)
			}
			continue
		}
		var wrong *RuleError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("country %q allow %q: got %v, want %q", tc.country, tc.allow, err, tc.want)
		}
		if _, err := rules.Check("030123456"); !errors.As(err, &wrong) {
			t.Errorf("country %q allow %q: Check said %v", tc.country, tc.allow, err)
		}
	}
}
