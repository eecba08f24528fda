package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// version is that of the whole format. A file of another version is not read.
const version = 1

const (
	magic       = "phonesocket journal\n"
	headerBytes = len(magic) + 8 // magic, version, checksum

	// marker begins every frame, so that the next one is found behind a
	// damaged one. Records of text cannot contain it.
	marker     = "\x1e\x00PS"
	frameBytes = len(marker) + 8 // marker, length, checksum

	maxKey    = 255
	maxRecord = 64 << 10
	minBody   = 2                      // kind and length of the key
	maxBody   = 2 + maxKey + maxRecord // and both
)

// kind of a frame.
type kind uint8

const (
	kept      kind = 1
	forgotten kind = 2
)

// frame is one change of the set.
type frame struct {
	kind kind
	key  string
	data []byte
}

// checksum is CRC-32C.
func checksum(parts ...[]byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := uint32(0)
	for _, p := range parts {
		sum = crc32.Update(sum, table, p)
	}
	return sum
}

// appendHeader writes the beginning of a file.
func appendHeader(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
}

// readVersion returns the version that a file says it has; false when its
// beginning is missing or damaged.
func readVersion(file []byte) (uint32, bool) {
	if len(file) < headerBytes || string(file[:len(magic)]) != magic {
		return 0, false
	}
	end := len(magic) + 4
	if binary.LittleEndian.Uint32(file[end:]) != checksum(file[:end]) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(file[len(magic):]), true
}

// appendFrame writes a frame. The key and the data must be within their limits.
func appendFrame(dst []byte, f frame) []byte {
	start := len(dst)
	dst = append(dst, marker...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(minBody+len(f.key)+len(f.data)))
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, byte(f.kind), byte(len(f.key)))
	dst = append(dst, f.key...)
	dst = append(dst, f.data...)
	length, body := dst[start+len(marker):start+len(marker)+4], dst[start+frameBytes:]
	binary.LittleEndian.PutUint32(dst[start+len(marker)+4:], checksum(length, body))
	return dst
}

// readFrame reads the frame at the beginning of b and returns how long it is;
// false when there is no whole and undamaged one. The data belongs to b.
func readFrame(b []byte) (frame, int, bool) {
	if len(b) < frameBytes+minBody || string(b[:len(marker)]) != marker {
		return frame{}, 0, false
	}
	length := b[len(marker) : len(marker)+4]
	n := binary.LittleEndian.Uint32(length)
	if n < minBody || n > maxBody || int(n) > len(b)-frameBytes {
		return frame{}, 0, false
	}
	end := frameBytes + int(n)
	body := b[frameBytes:end]
	if binary.LittleEndian.Uint32(b[len(marker)+4:]) != checksum(length, body) {
		return frame{}, 0, false
	}
	f := frame{kind: kind(body[0])}
	keyEnd := minBody + int(body[1])
	if f.kind != kept && f.kind != forgotten || keyEnd > len(body) {
		return frame{}, 0, false
	}
	f.key, f.data = string(body[minBody:keyEnd]), body[keyEnd:]
	if len(f.data) > maxRecord {
		return frame{}, 0, false
	}
	return f, end, true
}

// scan calls each for all undamaged frames, in their order, and returns how many
// bytes were none.
func scan(file []byte, each func(frame)) (damaged int) {
	if _, ok := readVersion(file); ok {
		file = file[headerBytes:]
	}
	for len(file) > 0 {
		if f, n, ok := readFrame(file); ok {
			each(f)
			file = file[n:]
			continue
		}
		next := bytes.Index(file[1:], []byte(marker))
		if next < 0 {
			return damaged + len(file)
		}
		damaged += 1 + next
		file = file[1+next:]
	}
	return damaged
}
