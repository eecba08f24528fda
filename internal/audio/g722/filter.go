package g722

// filterLen is the number of taps of the quadrature mirror filter, which splits the band at 4 kHz and joins the halves.
const filterLen = 24

// taps are the taps with even numbers; the filter is symmetric, so those with odd numbers are the same, backwards
// (ITU-T G.722, table 11).
//
//nolint:gochecknoglobals // A table that never changes.
var taps = [filterLen / 2]int32{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}

// filter returns the sums of the two phases of the filter, that over the samples with odd places first.
func filter(x *[filterLen]int32) (a, b int32) {
	for i, t := range taps {
		a += x[filterLen-1-2*i] * t
		b += x[2*i] * t
	}
	return a, b
}

// saturate keeps a number within 16 bits.
func saturate(v int32) int32 { return min(max(v, -1<<15), 1<<15-1) }

// limit keeps the value of a band within 15 bits, so that the sum of two is a sample (ITU-T G.722, block LIMIT).
func limit(v int32) int32 { return min(max(v, -1<<14), 1<<14-1) }
