package policy

import (
	"strings"
	"testing"
)

func TestCountriesAreFoundByTheirDigits(t *testing.T) {
	for digits, want := range map[string]string{
		"4930123456": "DE", "431234567": "AT", "41441234567": "CH", "390669812345": "VA", "390612345678": "IT", "12125550123": "US",
		"14165550123": "CA", "18765550123": "JM", "16585550123": "JM", "17875550123": "PR", "77011234567": "KZ", "74951234567": "RU",
		"441481123456": "GG", "442071234567": "GB", "262639123456": "YT", "5999123456": "CW", "599712345": "BQ", "35818123456": "AX",
		"6421234567": "NZ", "423123456": "LI", "35312345678": "IE", "2908123": "TA",
	} {
		c, rest, ok := locate(digits)
		if !ok || c.ISO != want || c.CallingCode+rest != digits {
			t.Errorf("%s: %s %s %t, want %s", digits, c.ISO, rest, ok, want)
		}
	}
	for _, digits := range []string{"", "0", "210123456", "999123", "80012345678", "8", "37"} {
		if c, _, ok := locate(digits); ok {
			t.Errorf("%s is %s", digits, c.ISO)
		}
	}
}

func TestTheTableIsSound(t *testing.T) {
	seen := map[string]string{}
	var codes []string
	for line := range strings.Lines(table) {
		members := readLine(line)
		if len(members) == 0 {
			if strings.TrimSpace(line) != "" {
				t.Errorf("unreadable line %q", line)
			}
			continue
		}
		if len(members[0].lead) != 0 {
			t.Errorf("the owner of +%s has digits of its own", members[0].CallingCode)
		}
		codes = append(codes, members[0].CallingCode)
		for _, c := range members {
			if other, ok := seen[c.ISO]; ok {
				t.Errorf("%s has +%s and +%s", c.ISO, other, c.CallingCode)
			}
			seen[c.ISO] = c.CallingCode
			for _, part := range append([]string{c.CallingCode, c.Trunk, c.International}, c.lead...) {
				if strings.Trim(part, "0123456789") != "" {
					t.Errorf("%s: %q is not digits", c.ISO, part)
				}
			}
			if got, ok := LookupCountry(strings.ToLower(c.ISO)); !ok || got.CallingCode != c.CallingCode || len(c.ISO) != 2 || c.International == "" {
				t.Errorf("%+v is found as %+v, %t", c, got, ok)
			}
		}
	}
	for _, a := range codes {
		for _, b := range codes {
			if a != b && strings.HasPrefix(b, a) {
				t.Errorf("+%s is the beginning of +%s", a, b)
			}
		}
	}
	if len(seen) < 235 {
		t.Errorf("only %d countries", len(seen))
	}
	for code := range premium {
		if c, rest, ok := locate(code); !ok || rest != "" || c.CallingCode != code {
			t.Errorf("premium ranges of +%s, which is no country", code)
		}
	}
	for _, byCountry := range []map[string]string{shortPremium, service, emergency} {
		for iso, list := range byCountry {
			if seen[iso] == "" {
				t.Errorf("short numbers of %q, which is no country", iso)
			}
			if strings.Trim(list, "0123456789x ") != "" {
				t.Errorf("%s: %q", iso, list)
			}
		}
	}
	for _, iso := range []string{"", "D", "DEU", "XX", "1 ", "- "} {
		if c, ok := LookupCountry(iso); ok {
			t.Errorf("%q is %+v", iso, c)
		}
	}
}

func TestMasked(t *testing.T) {
	for number, want := range map[string]string{
		"+4930123456": "+4930123•••", "101": "101", "4711": "4•••", "": "", "sip:alice@example.com": "sip:a••••@example.com",
		"sip:+4930123456@example.com": "sip:+4930123•••@example.com", "tel:+4930123456;ext=12": "tel:+4930123•••",
		"030/123 456": "030/123 •••", "hello": "h••••", "sip:bob@example.com?X=1": "sip:b••@example.com",
	} {
		if got := Masked(number); got != want {
			t.Errorf("%q: %q, want %q", number, got, want)
		}
	}
	if got := Party("+4930123456").LogValue().String(); got != "+4930123•••" {
		t.Error(got)
	}
	if got := (Number{Dial: "+4930123456", Kind: KindE164}).LogValue().String(); strings.Contains(got, "3456") {
		t.Error(got)
	}
}
