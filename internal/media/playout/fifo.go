package playout

// chunkBytes is the size of one piece of a FIFO: half a second of G.711.
const chunkBytes = 4096

// FIFO is a queue of bytes that grows and shrinks in pieces of 4 KiB, so that
// ten minutes of speech need no copy to grow and an idle call needs one piece.
// Its zero value is empty and ready.
type FIFO struct {
	head, tail *chunk
	first      int // read position in head
	last       int // write position in tail
	size       int
	spare      *chunk // the piece freed last, so that a steady queue allocates nothing
}

type chunk struct {
	next *chunk
	data [chunkBytes]byte
}

// Len is the number of bytes in the queue.
func (f *FIFO) Len() int { return f.size }

// Write appends a copy of p.
func (f *FIFO) Write(p []byte) {
	f.size += len(p)
	for len(p) > 0 {
		if f.tail == nil || f.last == chunkBytes {
			f.grow()
		}
		n := copy(f.tail.data[f.last:], p)
		f.last += n
		p = p[n:]
	}
}

func (f *FIFO) grow() {
	c := f.spare
	f.spare = nil
	if c == nil {
		c = &chunk{}
	}
	if f.tail == nil {
		f.head, f.first = c, 0
	} else {
		f.tail.next = c
	}
	f.tail, f.last = c, 0
}

// Read moves the oldest bytes to dst and returns their number, less than
// len(dst) only when the queue is empty afterwards.
func (f *FIFO) Read(dst []byte) int {
	total := 0
	for f.size > 0 && total < len(dst) {
		part := f.front()
		n := copy(dst[total:], part)
		f.consume(n)
		total += n
	}
	return total
}

// Peek copies the oldest bytes to dst, leaves them where they are and returns
// their number.
func (f *FIFO) Peek(dst []byte) int {
	return f.over(len(dst), func(at int, part []byte) { copy(dst[at:], part) })
}

// Poke writes src over the oldest bytes; what is beyond the end is ignored.
func (f *FIFO) Poke(src []byte) {
	f.over(len(src), func(at int, part []byte) { copy(part, src[at:]) })
}

// over calls fn with the n oldest bytes, piece by piece, and where each piece
// begins. It returns how many there were.
func (f *FIFO) over(n int, fn func(at int, part []byte)) int {
	n = min(n, f.size)
	start := f.first
	c := f.head
	for at := 0; at < n; c = c.next {
		part := c.data[start:min(chunkBytes, start+n-at)]
		fn(at, part)
		at += len(part)
		start = 0
	}
	return n
}

// Skip throws the n oldest bytes away, or all when there are fewer.
func (f *FIFO) Skip(n int) {
	for f.size > 0 && n > 0 {
		k := min(n, len(f.front()))
		f.consume(k)
		n -= k
	}
}

// Each calls fn with all bytes from the oldest on, piece by piece; fn may
// change them in place.
func (f *FIFO) Each(fn func([]byte)) {
	start := f.first
	for c := f.head; c != nil; c = c.next {
		end := chunkBytes
		if c == f.tail {
			end = f.last
		}
		fn(c.data[start:end])
		start = 0
	}
}

// Truncate keeps only the n oldest bytes.
func (f *FIFO) Truncate(n int) {
	if n >= f.size {
		return
	}
	f.size = n
	if n == 0 {
		f.reset()
		return
	}
	end := f.first + n
	c := f.head
	for end > chunkBytes {
		c, end = c.next, end-chunkBytes
	}
	c.next = nil
	f.tail, f.last = c, end
}

// front is the longest run of the oldest bytes.
func (f *FIFO) front() []byte {
	if f.head == f.tail {
		return f.head.data[f.first:f.last]
	}
	return f.head.data[f.first:]
}

func (f *FIFO) consume(n int) {
	f.first += n
	f.size -= n
	if f.size == 0 {
		f.reset()
		return
	}
	if f.first == chunkBytes {
		old := f.head
		f.head, f.first = old.next, 0
		old.next = nil
		f.spare = old
	}
}

// reset makes the queue empty and keeps one piece.
func (f *FIFO) reset() {
	if f.head != nil {
		f.head.next = nil
		f.spare = f.head
	}
	f.head, f.tail, f.first, f.last = nil, nil, 0, 0
}
