package resample

import "math"

// attenuation is the design goal for the stop band, in dB; 75 are promised.
const attenuation = 80

// taps returns how many taps a Kaiser window needs for the attenuation when the pass band ends at the given share of the
// sampling rate and the stop band, its mirror image at a quarter, begins as far above one half.
//
// The formula is Kaiser's: N = (A − 7.95) / (2.285 Δω) + 1.
func taps(pass float64) int {
	width := 2 * math.Pi * 2 * (0.5 - pass)
	return int(math.Ceil((attenuation-7.95)/(2.285*width))) + 1
}

// window returns the Kaiser window at x, which runs from −1 to 1.
func window(x float64) float64 {
	const beta = 0.1102 * (attenuation - 8.7)
	return bessel(beta*math.Sqrt(max(0, 1-x*x))) / bessel(beta)
}

// bessel returns the modified Bessel function of the first kind and order zero.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= x / 2 / k
		sum += term * term
	}
	return sum
}

// sinc returns sin(πx)/(πx).
func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// normalise scales the taps to a sum of one and so gives each phase of a filter the same gain for a constant input:
// a tone of the step rate cannot appear.
func normalise(taps []float64) []float32 {
	sum := 0.0
	for _, t := range taps {
		sum += t
	}
	scaled := make([]float32, len(taps))
	for i, t := range taps {
		scaled[i] = float32(t / sum)
	}
	return scaled
}
