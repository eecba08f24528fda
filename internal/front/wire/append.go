package wire

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// object appends the fields of a JSON object that has one field already.
type object struct{ dst []byte }

func (o *object) key(name string) {
	o.dst = append(o.dst, ',', '"')
	o.dst = append(o.dst, name...)
	o.dst = append(o.dst, '"', ':')
}

// text appends a string, and nothing when it is empty.
func (o *object) text(name, value string) {
	if value != "" {
		o.key(name)
		o.dst = appendString(o.dst, value)
	}
}

func (o *object) number(name string, value int64) {
	o.key(name)
	o.dst = strconv.AppendInt(o.dst, value, 10)
}

// decimal appends a number with at most two decimals.
func (o *object) decimal(name string, value float64) {
	o.key(name)
	o.dst = strconv.AppendFloat(o.dst, math.Round(value*100)/100, 'f', -1, 64)
}

func (o *object) raw(name, value string) {
	o.key(name)
	o.dst = append(o.dst, value...)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string (RFC 8259 section 7). What is not valid UTF-8 becomes U+FFFD,
// because a text message must be valid UTF-8 (RFC 6455 section 5.6).
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		if b >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < 0x20 || b == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		default:
			dst = append(dst, b)
		}
		i++
	}
	return append(dst, '"')
}
