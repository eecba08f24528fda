package journal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// image is a file with some records and where their frames end.
func image() (content []byte, records [][2]string, ends []int) {
	content = appendHeader(nil)
	for i := range 5 {
		key, data := fmt.Sprintf("call-%d", i), strings.Repeat("x", i*7)
		content = appendFrame(content, frame{kept, key, []byte(data)})
		records, ends = append(records, [2]string{key, data}), append(ends, len(content))
	}
	return content, records, ends
}

func scanned(content []byte) (records [][2]string, damaged int) {
	damaged = scan(content, func(f frame) { records = append(records, [2]string{f.key, string(f.data)}) })
	return records, damaged
}

func TestAFileThatIsTornAtAnyByteGivesAllRecordsBeforeTheTear(t *testing.T) {
	content, records, ends := image()
	for cut := range len(content) + 1 {
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		got, _ := scanned(content[:cut])
		if diff := cmp.Diff(records[:whole], got); whole > 0 && diff != "" || whole != len(got) {
			t.Fatalf("torn at byte %d: -want +got\n%s", cut, diff)
		}
	}
}

func TestADamagedByteCostsTheRecordItIsInAndNoOther(t *testing.T) {
	content, records, ends := image()
	for at := range content {
		for _, bits := range []byte{0x01, 0x80, 0xff} {
			broken := bytes.Clone(content)
			broken[at] ^= bits
			var want [][2]string
			start := headerBytes
			for i, end := range ends {
				if at < start || at >= end {
					want = append(want, records[i])
				}
				start = end
			}
			got, damaged := scanned(broken)
			if diff := cmp.Diff(want, got); diff != "" || damaged == 0 {
				t.Fatalf("byte %d ^ %#x, %d damaged bytes: -want +got\n%s", at, bits, damaged, diff)
			}
		}
	}
}

func TestFramesOfTheLargestSizeAreRead(t *testing.T) {
	key, data := strings.Repeat("k", maxKey), bytes.Repeat([]byte{0x1e}, maxRecord)
	f, n, ok := readFrame(appendFrame(nil, frame{kept, key, data}))
	if !ok || n != frameBytes+maxBody || f.key != key || !bytes.Equal(f.data, data) {
		t.Errorf("readFrame = %v with %d bytes, want the frame with %d", ok, n, frameBytes+maxBody)
	}
}

func TestTheVersionIsBelievedOnlyWithItsChecksum(t *testing.T) {
	header := appendHeader(nil)
	if v, ok := readVersion(header); !ok || v != version {
		t.Errorf("readVersion = %d %v, want %d", v, ok, version)
	}
	for at := range header {
		broken := bytes.Clone(header)
		broken[at] ^= 4
		if v, ok := readVersion(broken); ok {
			t.Errorf("byte %d damaged: version %d is believed", at, v)
		}
	}
}

func FuzzWhateverStandsBeforeARecordItIsFound(f *testing.F) {
	content, _, ends := image()
	f.Add(content)
	f.Add(content[:ends[2]-3])
	f.Add([]byte(marker + marker))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, garbage []byte) {
		before, _ := scanned(garbage)
		after, damaged := scanned(appendFrame(bytes.Clone(garbage), frame{kept, "last", []byte("words")}))
		if len(after) != len(before)+1 || after[len(after)-1] != [2]string{"last", "words"} {
			t.Errorf("%q: %d records, with one more appended %q", garbage, len(before), after)
		}
		if damaged > len(garbage) {
			t.Errorf("%q: %d damaged bytes of %d", garbage, damaged, len(garbage))
		}
	})
}
