// Package g711 encodes and decodes the two codecs of the telephone network, µ-law and A-law.
//
// All functions take the destination first, as copy does, and convert len(src) samples; they panic, as an index does,
// when the destination is shorter. They keep no state, allocate nothing and may be called from any goroutine.
//
// One sample is one byte at 8000 Hz. Values are linear 16-bit samples; of these µ-law sees the upper 14 bits and A-law
// the upper 13, as ITU-T G.711 says.
package g711

// SilenceULaw and SilenceALaw are the codes of positive zero: what a line carries when nobody speaks. The byte 0 is
// nearly the loudest value in µ-law and far from silence in A-law.
const (
	SilenceULaw byte = 0xFF
	SilenceALaw byte = 0xD5
)

// DecodeULaw expands µ-law bytes to linear samples.
func DecodeULaw(dst []int16, src []byte) {
	dst = dst[:len(src)]
	for i, code := range src {
		dst[i] = ulawDecoded[code]
	}
}

// DecodeALaw expands A-law bytes to linear samples.
func DecodeALaw(dst []int16, src []byte) {
	dst = dst[:len(src)]
	for i, code := range src {
		dst[i] = alawDecoded[code]
	}
}

// EncodeULaw compresses linear samples to µ-law bytes.
func EncodeULaw(dst []byte, src []int16) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = ulawEncoded[uint16(v)>>ulawShift]
	}
}

// EncodeALaw compresses linear samples to A-law bytes.
func EncodeALaw(dst []byte, src []int16) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = alawEncoded[uint16(v)>>alawShift]
	}
}

// ULawToALaw converts µ-law bytes to A-law bytes: each code becomes the one to which its decoded value is compressed.
// The two slices may be the same.
func ULawToALaw(dst, src []byte) {
	dst = dst[:len(src)]
	for i, code := range src {
		dst[i] = alawOfULaw[code]
	}
}

// ALawToULaw converts A-law bytes to µ-law bytes: each code becomes the one to which its decoded value is compressed.
// The two slices may be the same.
func ALawToULaw(dst, src []byte) {
	dst = dst[:len(src)]
	for i, code := range src {
		dst[i] = ulawOfALaw[code]
	}
}
