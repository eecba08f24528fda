package rtp

import (
	"math"
	"time"
)

// bestRating is the rating of a connection with all parameters of the E-model
// at their default values (ITU-T G.107 7.7): nothing but a telephone between
// two people.
const bestRating = 93.2

// Rating is the transmission rating R of ITU-T G.107, 0 to 93.2, of a codec
// with its packets' loss concealed: delay is the way from mouth to ear, loss a
// share of 0 to 1. All other parameters are at their defaults.
//
// The codecs of a telephone call share the values that ITU-T G.113 gives for
// G.711 with packet loss concealment: Ie 0, Bpl 25.1. G.722 is judged on the same
// scale, which knows no wideband: its advantage is not counted.
func Rating(delay time.Duration, loss float64) float64 {
	const ie, robustness = 0.0, 25.1
	percent := 100 * max(0, min(loss, 1))
	impairment := ie + (95-ie)*percent/(percent+robustness)
	return max(0, bestRating-delayImpairment(delay)-impairment)
}

// delayImpairment is Idd of G.107 7.4; echo is cancelled by whoever makes it.
func delayImpairment(delay time.Duration) float64 {
	ms := delay.Seconds() * 1000
	if ms <= 100 {
		return 0
	}
	x := math.Log2(ms / 100)
	return 25 * (math.Pow(1+math.Pow(x, 6), 1.0/6) - 3*math.Pow(1+math.Pow(x/3, 6), 1.0/6) + 2)
}

// MOS is the mean opinion score, 1 to 4.5, that listeners would give to a
// rating (ITU-T G.107 annex B).
func MOS(rating float64) float64 {
	switch {
	case rating <= 0:
		return 1
	case rating >= 100:
		return 4.5
	default:
		return max(1, 1+0.035*rating+rating*(rating-60)*(100-rating)*7e-6)
	}
}
