package policy

import (
	"errors"
	"strings"
	"testing"
)

// everyCountry calls f for each country of the table.
func everyCountry(f func(Country)) {
	for line := range strings.Lines(table) {
		for _, c := range readLine(line) {
			f(c)
		}
	}
}

// Internal numbers are for the PBX to know: only those are refused that may
// reach an emergency service, or that a country has taken for services.
func TestPlainExtensionsAreFreeInEveryCountry(t *testing.T) {
	everyCountry(func(country Country) {
		rules := Rules{Country: country.ISO}
		for _, number := range []string{"1", "21", "1000", "1001", "2112", "4711", "5911", "8000", "10000", "500123"} {
			if got, err := rules.Check(number); err != nil || got.Dial != number || got.Kind != KindShort {
				t.Errorf("%s in %s: %+v, %v; want it as it is", number, country.ISO, got, err)
			}
		}
	})
}

func TestEmergencyNumbersAreRefusedInEveryCountry(t *testing.T) {
	everyCountry(func(country Country) {
		rules := Rules{Country: country.ISO}
		for _, number := range []string{"110", "112", "911", "0112", "+112", "00112", "+49112", "+49 0 110", "+1911", "1120", "112;ext=9", "sip:112@anywhere.example"} {
			if _, err := rules.Check(number); !isCode(err, EmergencyNumber) {
				t.Errorf("%s in %s: %v, want %s", number, country.ISO, err, EmergencyNumber)
			}
		}
	})
}

func isCode(err error, code Code) bool {
	denied, ok := errors.AsType[*Denied](err)
	return ok && denied.Code == code
}
