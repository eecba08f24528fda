package policy

import (
	"slices"
	"strings"
)

// Country is how numbers are written in one country (ITU-T E.164 and E.123, with
// the national prefixes of ITU Operational Bulletin "Dialling procedures").
type Country struct {
	ISO           string // two letters of ISO 3166-1
	CallingCode   string // country calling code without +
	Trunk         string // national prefix before an area code, often "0"; empty: none
	International string // prefix before a foreign country code, often "00"

	lead []string // digits after the calling code that tell it from others that share the code
}

// table has one line for each calling code: code, national prefix ("-": none),
// international prefix, then the countries that share the code. The first owns
// everything that is not claimed by the digits after the slash of another.
const table = `
1 1 011 US CA/204,226,236,249,250,257,263,289,306,343,354,365,367,368,382,387,403,416,418,428,431,437,438,450,460,468,474,506,514,519,548,568,579,581,584,587,600,604,613,622,639,647,672,683,705,709,742,753,778,780,782,807,819,825,867,873,879,902,905,942 AG/268 AI/264 AS/684 BB/246 BM/441 BS/242 DM/767 DO/809,829,849 GD/473 GU/671 JM/658,876 KN/869 KY/345 LC/758 MP/670 MS/664 PR/787,939 SX/721 TC/649 TT/868 VC/784 VG/284 VI/340
7 8 810 RU KZ/6,7
20 0 00 EG
27 0 00 ZA
30 - 00 GR
31 0 00 NL
32 0 00 BE
33 0 00 FR
34 - 00 ES
36 06 00 HU
39 - 00 IT VA/06698
40 0 00 RO
41 0 00 CH
43 0 00 AT
44 0 00 GB GG/1481,7781,7839,7911 IM/1624,74576,7524,7624,7924 JE/1534,7509,7700,7797,7829,7937
45 - 00 DK
46 0 00 SE
47 - 00 NO SJ/79
48 - 00 PL
49 0 00 DE
51 0 00 PE
52 - 00 MX
53 0 119 CU
54 0 00 AR
55 0 00 BR
56 - 00 CL
57 - 00 CO
58 0 00 VE
60 0 00 MY
61 0 0011 AU CC/89162 CX/89164
62 0 001 ID
63 0 00 PH
64 0 00 NZ
65 - 001 SG
66 0 001 TH
81 0 010 JP
82 0 001 KR
84 0 00 VN
86 0 00 CN
90 0 00 TR
91 0 00 IN
92 0 00 PK
93 0 00 AF
94 0 00 LK
95 0 00 MM
98 0 00 IR
211 0 00 SS
212 0 00 MA EH/5288,5289
213 0 00 DZ
216 - 00 TN
218 0 00 LY
220 - 00 GM
221 - 00 SN
222 - 00 MR
223 - 00 ML
224 - 00 GN
225 - 00 CI
226 - 00 BF
227 - 00 NE
228 - 00 TG
229 - 00 BJ
230 - 00 MU
231 0 00 LR
232 0 00 SL
233 0 00 GH
234 0 009 NG
235 - 00 TD
236 - 00 CF
237 - 00 CM
238 - 00 CV
239 - 00 ST
240 - 00 GQ
241 - 00 GA
242 - 00 CG
243 0 00 CD
244 - 00 AO
245 - 00 GW
246 - 00 IO
247 - 00 AC
248 - 00 SC
249 0 00 SD
250 - 00 RW
251 0 00 ET
252 0 00 SO
253 - 00 DJ
254 0 000 KE
255 0 000 TZ
256 0 000 UG
257 - 00 BI
258 - 00 MZ
260 0 00 ZM
261 0 00 MG
262 0 00 RE YT/269,639 TF
263 0 00 ZW
264 0 00 NA
265 0 00 MW
266 - 00 LS
267 - 00 BW
268 - 00 SZ
269 - 00 KM
290 - 00 SH TA/8
291 0 00 ER
297 - 00 AW
298 - 00 FO
299 - 00 GL
350 - 00 GI
351 - 00 PT
352 - 00 LU
353 0 00 IE
354 - 00 IS
355 0 00 AL
356 - 00 MT
357 - 00 CY
358 0 00 FI AX/18
359 0 00 BG
370 0 00 LT
371 - 00 LV
372 - 00 EE
373 0 00 MD
374 0 00 AM
375 80 810 BY
376 - 00 AD
377 - 00 MC
378 - 00 SM
380 0 00 UA
381 0 00 RS
382 0 00 ME
383 0 00 XK
385 0 00 HR
386 0 00 SI
387 0 00 BA
389 0 00 MK
420 - 00 CZ
421 0 00 SK
423 - 00 LI
500 - 00 FK GS
501 - 00 BZ
502 - 00 GT
503 - 00 SV
504 - 00 HN
505 - 00 NI
506 - 00 CR
507 - 00 PA
508 0 00 PM
509 - 00 HT
590 0 00 GP BL MF
591 0 00 BO
592 - 001 GY
593 0 00 EC
594 0 00 GF
595 0 00 PY
596 0 00 MQ
597 - 00 SR
598 0 00 UY
599 - 00 CW BQ/3,4,7
670 - 00 TL
672 - 00 NF AQ/1
673 - 00 BN
674 - 00 NR
675 - 00 PG
676 - 00 TO
677 - 00 SB
678 - 00 VU
679 - 00 FJ
680 - 011 PW
681 - 00 WF
682 - 00 CK
683 - 00 NU
685 - 0 WS
686 0 00 KI
687 - 00 NC
688 - 00 TV
689 - 00 PF
690 - 00 TK
691 - 011 FM
692 1 011 MH
850 0 00 KP
852 - 001 HK
853 - 00 MO
855 0 001 KH
856 0 00 LA
880 0 00 BD
886 0 002 TW
960 - 00 MV
961 0 00 LB
962 0 00 JO
963 0 00 SY
964 0 00 IQ
965 - 00 KW
966 0 00 SA
967 0 00 YE
968 - 00 OM
970 0 00 PS
971 0 00 AE
972 0 00 IL
973 - 00 BH
974 - 00 QA
975 - 00 BT
976 0 001 MN
977 0 00 NP
992 - 00 TJ
993 8 810 TM
994 0 00 AZ
995 0 00 GE
996 0 00 KG
998 - 00 UZ
`

// leadingZero lists calling codes whose national numbers may begin with 0 after
// the code, as in +39 06 for Rome. Everywhere else a 0 there is a trunk prefix
// that does not belong.
//
//nolint:gochecknoglobals // A table that never changes.
var leadingZero = []string{"39", "225", "229", "241", "242", "378"}

// core is the part of the +1 area that a call from any of them treats as home.
// The Caribbean and Pacific members are known for toll fraud and stay foreign.
//
//nolint:gochecknoglobals // A table that never changes.
var core = []string{"US", "CA", "PR", "VI"}

// LookupCountry returns the country with the given two letters in any case.
func LookupCountry(iso string) (Country, bool) {
	if len(iso) != 2 {
		return Country{}, false
	}
	iso = strings.ToUpper(iso)
	for line := range strings.Lines(table) {
		if !strings.Contains(line, " "+iso) {
			continue
		}
		for _, c := range readLine(line) {
			if c.ISO == iso {
				return c, true
			}
		}
	}
	return Country{}, false
}

// locate finds the country of an international number, digits without +. The
// rest is the national number. ok is false when no country has this code.
func locate(digits string) (c Country, rest string, ok bool) {
	for line := range strings.Lines(table) {
		code, _, _ := strings.Cut(line, " ")
		if len(line) < 2 || !strings.HasPrefix(digits, code) {
			continue
		}
		rest = digits[len(code):]
		members := readLine(line)
		for _, member := range members[1:] {
			if slices.ContainsFunc(member.lead, func(lead string) bool { return strings.HasPrefix(rest, lead) }) {
				return member, rest, true
			}
		}
		return members[0], rest, true
	}
	return Country{}, "", false
}

// readLine reads one line of the table.
func readLine(line string) []Country {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return nil
	}
	shared := Country{CallingCode: fields[0], Trunk: strings.TrimPrefix(fields[1], "-"), International: fields[2]}
	members := make([]Country, 0, len(fields)-3)
	for _, field := range fields[3:] {
		c := shared
		iso, lead, some := strings.Cut(field, "/")
		c.ISO = iso
		if some {
			c.lead = strings.Split(lead, ",")
		}
		members = append(members, c)
	}
	return members
}

// isHome says whether a number of country there is a domestic one for c.
func (c Country) isHome(there Country) bool {
	switch {
	case c.ISO == there.ISO:
		return true
	case c.CallingCode != there.CallingCode:
		return false
	case slices.Contains(core, c.ISO) && slices.Contains(core, there.ISO):
		return true
	default: // a member without digits of its own counts as the owner of the code
		return len(c.lead) == 0 && len(there.lead) == 0 && c.CallingCode != "1"
	}
}
