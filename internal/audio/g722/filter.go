package g722

// filterLen is the number of taps of the quadrature mirror filter, which splits the band at 4 kHz and joins the halves.
const filterLen = 24

// filter returns the sums of the two phases of the filter at even and odd places, the newest sample being x[23]. The
// filter is symmetric: one phase has the taps of the other, backwards (ITU-T G.722, table 11).
func filter(x *[filterLen]int32) (even, odd int32) {
	even = 3*x[23] - 11*x[21] + 12*x[19] + 32*x[17] - 210*x[15] + 951*x[13] +
		3876*x[11] - 805*x[9] + 362*x[7] - 156*x[5] + 53*x[3] - 11*x[1]
	odd = 3*x[0] - 11*x[2] + 12*x[4] + 32*x[6] - 210*x[8] + 951*x[10] +
		3876*x[12] - 805*x[14] + 362*x[16] - 156*x[18] + 53*x[20] - 11*x[22]
	return even, odd
}

// saturate keeps a number within 16 bits.
func saturate(v int32) int32 { return min(max(v, -1<<15), 1<<15-1) }

// limit keeps the value of a band within 15 bits, so that the sum of two is a sample (ITU-T G.722, block LIMIT).
func limit(v int32) int32 { return min(max(v, -1<<14), 1<<14-1) }
