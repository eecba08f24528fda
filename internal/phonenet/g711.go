package phonenet

import "math/bits"

// codec is one of the two codecs of ITU-T G.711, written here once more so
// that a mistake in the gateway's tables is heard.
type codec struct {
	name    string
	payload uint8 // static payload type (RFC 3551 6)
	silence byte  // code word of the sample 0
	encode  func(int16) byte
	decode  func(byte) int16
}

const (
	codecPCMA = "PCMA"
	codecPCMU = "PCMU"
	clockRate = 8000 // samples a second of both
)

func codecByName(name string) (codec, bool) {
	switch name {
	case codecPCMA:
		return codec{name: codecPCMA, payload: 8, silence: 0xD5, encode: encodeALaw, decode: decodeALaw}, true
	case codecPCMU:
		return codec{name: codecPCMU, payload: 0, silence: 0xFF, encode: encodeULaw, decode: decodeULaw}, true
	}
	return codec{}, false
}

// encodeULaw: the magnitude is cut to 14 bits, biased by 33, and written as
// sign, exponent and four bits of mantissa, all inverted (G.711 table 2).
func encodeULaw(sample int16) byte {
	magnitude, sign := int(sample)>>2, byte(0)
	if sample < 0 {
		magnitude, sign = (-int(sample)-1)>>2, 0x80
	}
	magnitude = min(magnitude, 8158) + 33
	exponent := bits.Len(uint(magnitude)) - 6
	mantissa := byte(magnitude>>(exponent+1)) & 0x0F
	return ^(sign | byte(exponent)<<4 | mantissa)
}

func decodeULaw(code byte) int16 {
	code = ^code
	exponent, mantissa := int(code>>4&7), int(code&0x0F)
	value := ((mantissa<<1+33)<<exponent - 33) << 2
	if code&0x80 != 0 {
		return int16(-value)
	}
	return int16(value)
}

// encodeALaw: the magnitude is cut to 12 bits and written as sign, exponent and
// four bits of mantissa, every second bit inverted (G.711 table 1).
func encodeALaw(sample int16) byte {
	magnitude, sign := int(sample)>>4, byte(0x80)
	if sample < 0 {
		magnitude, sign = (-int(sample)-1)>>4, 0
	}
	exponent, mantissa := 0, magnitude
	if magnitude >= 16 {
		exponent = bits.Len(uint(magnitude)) - 4
		mantissa = magnitude >> (exponent - 1)
	}
	return (sign | byte(exponent)<<4 | byte(mantissa)&0x0F) ^ 0x55
}

func decodeALaw(code byte) int16 {
	code ^= 0x55
	exponent, mantissa := int(code>>4&7), int(code&0x0F)
	value := mantissa<<1 + 1
	if exponent > 0 {
		value = (value + 32) << (exponent - 1)
	}
	value <<= 3
	if code&0x80 == 0 {
		return int16(-value)
	}
	return int16(value)
}
