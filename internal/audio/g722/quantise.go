package g722

import "math"

// Tables of ITU-T G.722 that never change.
//
//nolint:gochecknoglobals // Tables that never change.
var (
	// octave are 32 fractions of an octave, 2048 × 2^(i/32) (table 17).
	octave = [32]int16{
		2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
		2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
	}
	// bounds are the decision values of the low band, in units of the scale/4096: an interval begins at each of them. The
	// last is never reached (table 14).
	bounds = [32]int32{
		0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714,
		786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, math.MaxInt32, math.MaxInt32,
	}
	// codes are the codes of the intervals, from the smallest on, for steps up and then for steps down (table 14).
	codes = [64]uint8{
		61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 32, 32,
		63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 4, 4,
	}
	// steps6, steps4 and steps2 are the steps that codes of six, four and two bits stand for, in units of the scale/32768
	// (tables 15, 16 and 19).
	steps6 = [64]int32{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
		-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
		24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
		4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	steps4 = [16]int32{0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0}
	steps2 = [4]int32{-7408, -1616, 7408, 1616}
	// growth4 and growth2 tell by how much the logarithm of the scale moves after each code: large steps make it larger
	// (tables 16 and 20).
	growth4 = [16]int32{-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60}
	growth2 = [4]int32{798, -214, 798, -214}
)

// boundHigh is the one decision value of the high band, in units of the scale/4096 (table 18).
const boundHigh = 564

// quantiseLow returns the code of six bits for a deviation from the prediction of the low band.
//
// The interval is found in five halvings. No comparison is a branch, as speech would make each of them a coin toss: the
// sign of a difference, spread over all bits, takes or leaves the half.
func quantiseLow(deviation, scale int32) int32 {
	sign := deviation >> 31
	size := int64(deviation^sign+1) << 12 // a bound is passed when size/4096 is larger than the whole part of its product
	i := 0
	for half := 16; half > 0; half >>= 1 {
		i += half & int((int64(bounds[(i+half)&31])*int64(scale)-size)>>63)
	}
	return int32(codes[i&31|int(sign&32)])
}

// quantiseHigh returns the code of two bits for a deviation from the prediction of the high band: 3 and 2 up, 1 and 0
// down, the larger steps having the smaller codes.
func quantiseHigh(deviation, scale int32) int32 {
	sign := deviation >> 31
	large := (boundHigh*scale>>12 - 1 - (deviation ^ sign)) >> 31
	return 3 + 2*sign + large
}
