package g711

import "math/bits"

const (
	ulawShift = 2  // 16-bit samples to the 14 bits of µ-law
	alawShift = 3  // 16-bit samples to the 13 bits of A-law
	ulawBias  = 33 // in 14-bit units; moves the first decision value of each segment to a power of two
)

//nolint:gochecknoglobals // Tables that never change, computed once from the definition below.
var (
	ulawDecoded = tabulate(expandULaw)
	alawDecoded = tabulate(expandALaw)
	ulawEncoded = ulawEncoder()
	alawEncoded = alawEncoder()
	alawOfULaw  = tabulate(func(code byte) byte { return compressALaw(expandULaw(code)) })
	ulawOfALaw  = tabulate(func(code byte) byte { return compressULaw(expandALaw(code)) })
)

func tabulate[T any](f func(code byte) T) *[256]T {
	var table [256]T
	for i := range table {
		table[i] = f(byte(i))
	}
	return &table
}

func ulawEncoder() *[1 << (16 - ulawShift)]byte {
	var table [1 << (16 - ulawShift)]byte
	for i := range table {
		table[i] = compressULaw(int16(i << ulawShift))
	}
	return &table
}

func alawEncoder() *[1 << (16 - alawShift)]byte {
	var table [1 << (16 - alawShift)]byte
	for i := range table {
		table[i] = compressALaw(int16(i << alawShift))
	}
	return &table
}

// magnitude returns the size of v and 0x80, the sign bit of both laws, for a value that is not negative. Negative values
// count as their one's complement, so that each positive interval has its mirror image and −1 is a negative zero.
func magnitude(v int16) (size int, sign byte) {
	if v < 0 {
		return int(^v), 0
	}
	return int(v), 0x80
}

// compressULaw is the definition of µ-law compression (ITU-T G.711, tables 2a and 2b): sign, three bits of segment and
// four bits of interval within it, all but the sign inverted.
func compressULaw(v int16) byte {
	size, sign := magnitude(v)
	size = min(size>>ulawShift+ulawBias, 1<<13-1)
	segment := bits.Len(uint(size)) - 6
	interval := size >> (segment + 1) & 0x0F
	return sign | (^byte(segment<<4|interval))&0x7F
}

// expandULaw returns the middle of the interval of a µ-law code, in 16-bit units.
func expandULaw(code byte) int16 {
	segment, interval := int(^code>>4&7), int(^code&0x0F)
	size := (interval<<3+ulawBias<<2)<<segment - ulawBias<<2
	if code&0x80 == 0 {
		size = -size
	}
	return int16(size)
}

// compressALaw is the definition of A-law compression (ITU-T G.711, tables 1a and 1b): sign, three bits of segment and
// four bits of interval within it, every second bit inverted. The first two segments have the same step.
func compressALaw(v int16) byte {
	size, sign := magnitude(v)
	size >>= 4
	segment := max(bits.Len(uint(size))-4, 0)
	interval := size >> max(segment-1, 0) & 0x0F
	return (sign | byte(segment<<4|interval)) ^ 0x55
}

// expandALaw returns the middle of the interval of an A-law code, in 16-bit units.
func expandALaw(code byte) int16 {
	code ^= 0x55
	segment, interval := int(code>>4&7), int(code&0x0F)
	size := interval<<4 + 8
	if segment > 0 {
		size = (size + 0x100) << (segment - 1)
	}
	if code&0x80 == 0 {
		size = -size
	}
	return int16(size)
}
