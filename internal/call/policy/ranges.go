package policy

import "strings"

// span is a range of numbers that costs more than a call to a telephone, or
// reaches something that a machine has no business to ring.
type span struct {
	digits string // leading digits, x for any digit
	code   Code
	what   string // completes "+digits is …"
}

// world lists ranges of no country (ITU-T E.164 assigned codes): they are never
// domestic and are not opened by allowing a country.
//
//nolint:gochecknoglobals // A table that never changes.
var world = []span{
	{"800", ForeignCountry, "international freephone, of no country"},
	{"808", PremiumNumber, "international shared-cost service"},
	{"870", SatelliteNumber, "Inmarsat, satellite telephony"},
	{"875", SatelliteNumber, "reserved for maritime satellite telephony"},
	{"876", SatelliteNumber, "reserved for maritime satellite telephony"},
	{"877", SatelliteNumber, "reserved for maritime satellite telephony"},
	{"878", PremiumNumber, "universal personal telephony"},
	{"881", SatelliteNumber, "satellite telephony"},
	{"882", SatelliteNumber, "an international network, partly satellite telephony"},
	{"883", SatelliteNumber, "an international network, partly satellite telephony"},
	{"888", SatelliteNumber, "reserved for disaster relief"},
	{"979", PremiumNumber, "international premium rate"},
	{"991", PremiumNumber, "an international trial service"},
	{"61147", SatelliteNumber, "Australian satellite telephony"},
}

// premium lists national ranges with extra charges: calling code, then leading
// national digits. From the numbering plans of the regulators.
//
//nolint:gochecknoglobals // A table that never changes.
var premium = map[string]string{
	"1":   "900 500 521 522 523 524 525 526 527 528 529 533 544 566 577 588 700 710 xxx976 xxx5551212",
	"7":   "803 809 954",
	"20":  "900",
	"27":  "86 90",
	"30":  "90 801 806 812 825 850 875 118",
	"31":  "900 906 909 84 87 676",
	"32":  "90 70",
	"33":  "81 82 83 84 85 86 87 88 89",
	"34":  "803 806 807 901 902 905 907 70 118",
	"36":  "90 91 40",
	"39":  "89 144 163 164 166 178 199 84 12",
	"40":  "90",
	"41":  "90 84 878",
	"43":  "90 93 810 820 821 828 118",
	"44":  "9 84 87 70 76 118",
	"45":  "90",
	"46":  "900 939 944 99 77 118",
	"47":  "82",
	"48":  "70 801 804 118",
	"49":  "900 190 191 192 193 194 195 196 197 198 199 137 138 18 118 12 10 164 168 169 700",
	"51":  "805 808",
	"52":  "900",
	"54":  "600 609",
	"55":  "300 500 900",
	"56":  "700",
	"57":  "1900 01900 901",
	"60":  "600 1600 1900",
	"61":  "19 12",
	"64":  "900",
	"65":  "1900",
	"81":  "990 570",
	"82":  "60",
	"90":  "900 888 898",
	"91":  "1860xxxxxxx 1900xxxxxxx",
	"351": "601 607 608 646 648 707 708 760 761 762 808 809 118",
	"352": "90",
	"353": "15xxxxxxxx 1818xxxxxx 1850xxxxxx 1890xxxxxx 118",
	"354": "90",
	"355": "900",
	"356": "50 51 52",
	"357": "90",
	"358": "600 606 700 118",
	"359": "90",
	"370": "90",
	"371": "90 81",
	"372": "90",
	"380": "900 703",
	"381": "90 78",
	"382": "94 95",
	"385": "6 72",
	"386": "89 90",
	"387": "90",
	"389": "50",
	"420": "90 84 81 83 970 976",
	"421": "900 97 98 18",
	"423": "90 84",
	"852": "900",
	"972": "19",
}

// shortPremium lists whole short numbers with extra charges by country; those
// that begin with 118 (directory enquiries) are treated so everywhere.
//
//nolint:gochecknoglobals // A table that never changes.
var shortPremium = map[string]string{
	"AU": "1223 1225 1234 12455 12456",
	"BE": "1207 1307 1407 1313 1212",
	"CA": "411",
	"CH": "18xx 160x 161x 164x",
	"ES": "2xxxx 3xxxx 79xxx 99xxx",
	"FR": "3xxx",
	"IT": "12xx 4xxxx 89xxxx",
	"NL": "18xx",
	"NO": "18xx",
	"SK": "118x 12xxx",
	"US": "411",
}

// service lists whole short numbers of public services by country; 116xxx
// (harmonised helplines, Decision 2007/116/EC) is treated so everywhere.
//
//nolint:gochecknoglobals // A table that never changes.
var service = map[string]string{
	"CA": "211 311 511 611 711 811",
	"DE": "115 19xxx",
	"GB": "101 105 111 119 123",
	"US": "211 311 511 611 711 811",
}

// everywhere are emergency numbers that no configuration takes for an extension:
// telephones and networks of any country may connect them.
const everywhere = "000 110 112 911 999"

// emergency lists further emergency and crisis numbers by country.
//
//nolint:gochecknoglobals // A table that never changes.
var emergency = map[string]string{
	"AE": "901 996 997 998", "AL": "125 126 127 128 129", "AR": "100 101 103 107", "AT": "120 122 123 128 130 133 140 141 142 144 147",
	"AU": "000 106 131114", "BA": "121 122 123 124", "BD": "333", "BE": "100 101 102 105 106 107", "BG": "150 160 166", "BO": "118 119",
	"BR": "190 191 192 193 194 197 198 199", "BY": "101 102 103 104", "CA": "911 988", "CH": "117 118 143 144 145 147 1414 1415",
	"CL": "130 131 132 133 134", "CN": "119 120 122", "CO": "119 123 132", "CY": "199", "CZ": "150 155 156 158", "DE": "110 112 19222",
	"DK": "114", "DZ": "14 17 1021 1055", "EG": "122 123 126 180", "ES": "061 062 080 085 091 092 024", "FR": "15 17 18 114 115 119 191 196 197",
	"GB": "999 18000", "GH": "191 192 193", "GR": "100 108 166 199", "HK": "992", "HR": "192 193 194 195", "HU": "104 105 107",
	"ID": "113 115 118 119 129", "IL": "100 101 102 103 104", "IN": "100 101 102 103 104 108 1091 1098", "IQ": "104 115 122", "IR": "115 125",
	"IT": "113 114 115 117 118 1515 1530", "JP": "118 119", "KR": "111 113 117 118 119 122 125 127 128 129", "KZ": "101 102 103 104",
	"LB": "125 140 175", "LI": "117 118 144", "LK": "118 119 1990", "LU": "113", "LV": "113", "MA": "15 19 150 177 190",
	"MC": "15 17 18", "MD": "901 902 903", "ME": "122 123 124", "MK": "192 193 194", "MX": "060 065 066 068 080", "NG": "199 767",
	"NO": "113", "NP": "100 101 102", "NZ": "111", "PE": "105 106 116", "PH": "117", "PK": "15 16 115 1122", "PL": "984 985 986 997 998",
	"PT": "117", "RS": "192 193 194", "RU": "01 02 03 04 101 102 103 104", "SA": "937 996 997 998", "SG": "993 995", "SI": "113",
	"SK": "150 155 158 159", "TH": "191 199 1155 1669", "TN": "190 193 197 198", "TR": "155 156 158 177", "TW": "113 119",
	"UA": "101 102 103 104", "US": "911 988", "VE": "171", "VN": "113 114 115", "ZA": "107 10111 10177",
}

// matches says whether digits begin with pattern, in which x is any digit.
func matches(pattern, digits string) bool {
	if len(digits) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != 'x' && pattern[i] != digits[i] {
			return false
		}
	}
	return true
}

// oneOf says whether digits as a whole are in a list of patterns.
func oneOf(list, digits string) bool {
	for pattern := range strings.FieldsSeq(list) {
		if len(pattern) == len(digits) && matches(pattern, digits) {
			return true
		}
	}
	return false
}

// costly returns the most specific range with extra charges that holds the
// international number; digits of the span are those of the number then, without
// what stands for any digit at the end. ok is false without one.
func costly(number, code string) (s span, ok bool) {
	for _, w := range world {
		if matches(w.digits, number) && len(w.digits) > len(s.digits) {
			s, ok = w, true
		}
	}
	for pattern := range strings.FieldsSeq(premium[code]) {
		pattern = code + pattern
		if n := len(strings.TrimRight(pattern, "x")); matches(pattern, number) && n > len(s.digits) {
			s, ok = span{number[:n], PremiumNumber, "a premium-rate or special-tariff range"}, true
		}
	}
	return s, ok
}
