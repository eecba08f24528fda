// Package g722 encodes and decodes G.722 at 64 kbit/s, the wideband codec of the telephone network.
//
// The codec splits 16 kHz sound into two bands and sends the steps by which each of them misses a prediction
// (ITU-T G.722, mode 1): two samples are one byte, 20 ms are 320 samples and 160 bytes. Its RTP clock nevertheless runs
// at 8000 Hz (RFC 3551 4.5.2), so that 20 ms are 160 there too.
//
// The zero values of Encoder and Decoder are ready for use; each belongs to one stream and one goroutine. Samples go in
// as they come, in chunks of any size, and the output does not depend on where the chunks are cut. Functions take the
// destination first, as copy does, and panic, as an index does, when it is too short. Nothing is allocated. All sums
// saturate, so that overload clips and never wraps.
//
// Predictions go on from byte to byte: after lost bytes the two sides differ for some milliseconds and then agree
// again. For the same reason no byte stands for silence: to be silent, encode zeros.
package g722

// chunk is the number of bytes which are converted at a time, 20 ms.
const chunk = 160

// Encoder is the sending side.
type Encoder struct {
	low, high band
	samples   [filterLen - 2 + 2*chunk]int32 // what the filter still needs, then the new ones
	first     int16                          // the sample that waits for the other one of its pair
	waiting   bool
}

// Encode takes all of src and writes one byte for every two samples to dst; a sample left over waits for the next call.
// It returns the number of bytes, at most (len(src)+1)/2.
func (e *Encoder) Encode(dst []byte, src []int16) int {
	n := 0
	if e.waiting && len(src) > 0 {
		e.waiting = false
		n += e.encode(dst, []int16{e.first, src[0]})
		src = src[1:]
	}
	for len(src) > 1 {
		piece := src[:min(len(src)&^1, 2*chunk)]
		n += e.encode(dst[n:], piece)
		src = src[len(piece):]
	}
	if len(src) > 0 {
		e.first, e.waiting = src[0], true
	}
	return n
}

// encode converts an even number of samples, at most two for each byte of a chunk.
func (e *Encoder) encode(dst []byte, src []int16) int {
	for i, v := range src {
		e.samples[filterLen-2+i] = int32(v)
	}
	dst = dst[:len(src)/2]
	for i := range dst {
		even, odd := filter((*[filterLen]int32)(e.samples[2*i:]))
		low, high := (even+odd)>>14, (even-odd)>>14

		scaleLow, scaleHigh := e.low.scaleLow(), e.high.scaleHigh()
		codeLow := quantiseLow(saturate(low-e.low.prediction), scaleLow)
		codeHigh := quantiseHigh(saturate(high-e.high.prediction), scaleHigh)
		e.low.growLow(codeLow >> 2)
		e.low.adapt(scaleLow * steps4[codeLow>>2] >> 15)
		e.high.growHigh(codeHigh)
		e.high.adapt(scaleHigh * steps2[codeHigh] >> 15)
		dst[i] = byte(codeHigh<<6 | codeLow)
	}
	copy(e.samples[:filterLen-2], e.samples[len(src):])
	return len(dst)
}

// Reset forgets what was said so far, as if the encoder were new.
func (e *Encoder) Reset() { *e = Encoder{} }

// Decoder is the receiving side.
type Decoder struct {
	low, high band
	samples   [filterLen - 2 + 2*chunk]int32 // sums and differences of the bands: what the filter still needs, then the new ones
}

// Decode writes the two samples of each byte of src to dst and returns their number, 2×len(src). Every byte is valid.
func (d *Decoder) Decode(dst []int16, src []byte) int {
	n := 0
	for len(src) > 0 {
		piece := src[:min(len(src), chunk)]
		n += d.decode(dst[n:], piece)
		src = src[len(piece):]
	}
	return n
}

// decode converts at most a chunk.
func (d *Decoder) decode(dst []int16, src []byte) int {
	dst = dst[:2*len(src)]
	for i, code := range src {
		codeLow, codeHigh := int32(code&0x3F), int32(code>>6)

		// The listener hears all six bits of the low band; predictions rest on four of them, so that a network may
		// take the others away.
		scaleLow, scaleHigh := d.low.scaleLow(), d.high.scaleHigh()
		low := limit(d.low.prediction + scaleLow*steps6[codeLow]>>15)
		stepHigh := scaleHigh * steps2[codeHigh] >> 15
		high := limit(d.high.prediction + stepHigh)
		d.low.growLow(codeLow >> 2)
		d.low.adapt(scaleLow * steps4[codeLow>>2] >> 15)
		d.high.growHigh(codeHigh)
		d.high.adapt(stepHigh)

		d.samples[filterLen-2+2*i] = low + high
		d.samples[filterLen-1+2*i] = low - high
		even, odd := filter((*[filterLen]int32)(d.samples[2*i:]))
		dst[2*i] = int16(saturate(even >> 11))
		dst[2*i+1] = int16(saturate(odd >> 11))
	}
	copy(d.samples[:filterLen-2], d.samples[2*len(src):])
	return len(dst)
}

// Reset forgets what was heard so far, as if the decoder were new.
func (d *Decoder) Reset() { *d = Decoder{} }
