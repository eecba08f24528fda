package g722

// band is the adaptive predictor of one of the two bands, which runs alike in the encoder and in the decoder: both see
// only what is on the line. A value is predicted from the last two values (poles) and the last six steps (zeros).
//
// All coefficients have 14 bits after the point. Names in brackets are those of ITU-T G.722, 6.2.
type band struct {
	logScale   int32    // the logarithm of the scale of the steps, with 11 bits after the point [NBL, NBH]
	prediction int32    // of the next value [SL, SH]
	fromSteps  int32    // the part of it which the zeros give [SZL, SZH]
	values     [2]int32 // twice the last values, as the decoder has them [RLT, RH]
	partial    [2]int32 // the last values less the part of the poles [PLT, PH]
	poles      [2]int32 // [AL, AH]
	steps      [6]int32 // twice the last steps [DLT, DH]
	zeros      [6]int32 // [BL, BH]
}

// Bounds of the logarithm of the scale.
const (
	maxLogLow  = 18432
	maxLogHigh = 22528
)

// scaleLow returns the scale of the steps in the low band [SCALEL].
func (b *band) scaleLow() int32 { return scale(b.logScale, 8) }

// scaleHigh returns the scale of the steps in the high band [SCALEH].
func (b *band) scaleHigh() int32 { return scale(b.logScale, 10) }

// scale turns a logarithm into a linear scale: 32 fractions of an octave come from a table, octaves are shifts.
func scale(log int32, shift int) int32 {
	return int32(octave[log>>6&31]) << uint(log>>11) >> uint(shift) << 2
}

// growLow moves the scale of the low band on after the four upper bits of a code [LOGSCL].
func (b *band) growLow(code int32) {
	b.logScale = min(max(b.logScale*127>>7+growth4[code&15], 0), maxLogLow)
}

// growHigh moves the scale of the high band on after a code [LOGSCH].
func (b *band) growHigh(code int32) {
	b.logScale = min(max(b.logScale*127>>7+growth2[code&3], 0), maxLogHigh)
}

// adapt takes the step by which the prediction was corrected and makes the next prediction [block 4].
func (b *band) adapt(step int32) {
	value := double(saturate(b.prediction + step))
	partial := saturate(b.fromSteps + step)
	b.adaptPoles(partial)
	b.adaptZeros(step)
	b.values[1], b.values[0] = b.values[0], value
	b.partial[1], b.partial[0] = b.partial[0], partial

	fromValues := b.poles[0]*b.values[0]>>15 + b.poles[1]*b.values[1]>>15
	b.prediction = saturate(saturate(fromValues) + b.fromSteps)
}

// adaptPoles follows the signs of the last partial values; the bounds keep the predictor stable, and the poles within 16
// bits [UPPOL1, UPPOL2].
func (b *band) adaptPoles(partial int32) {
	like := sameSign(partial, b.partial[0])
	likeSecond := sameSign(partial, b.partial[1])

	second := min(-like*saturate(b.poles[0]<<2), 1<<15-1)>>7 + likeSecond<<7 + b.poles[1]*32512>>15
	second = min(max(second, -12288), 12288)
	bound := 15360 - second
	first := like*192 + b.poles[0]*32640>>15
	b.poles[0], b.poles[1] = min(max(first, -bound), bound), second
}

// adaptZeros follows the signs of the last steps and notes this one [UPZERO, FILTEZ]. A zero loses 1/256 each time and
// moves by 128: it cannot leave 16 bits.
func (b *band) adaptZeros(step int32) {
	gain := int32(128)
	if step == 0 {
		gain = 0
	}
	var sum int32
	newer := double(step)
	for i, old := range &b.steps {
		z := gain*sameSign(step, old) + b.zeros[i]*32640>>15
		b.zeros[i], b.steps[i] = z, newer
		sum += z * newer >> 15
		newer = old
	}
	b.fromSteps = saturate(sum)
}

// sameSign returns 1 when both numbers are negative or neither is, else −1.
func sameSign(a, b int32) int32 { return 1 | (a^b)>>31 }

// double returns twice a number of 16 bits, saturated.
func double(v int32) int32 { return saturate(v + v) }
