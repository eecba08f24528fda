package journal

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a directory that can fail. What was not synced is there all the
// same: the tests are about the end of the process.
type memory struct {
	mu    sync.Mutex
	files map[string]*[]byte
	free  int // bytes that still fit; negative: no bound
	steps int // of operations that may still succeed; negative: all
	syncs int
	gate  chan struct{} // not nil: each Sync takes one
}

var errDisk = errors.New("disk failed")

func newMemory() *memory { return &memory{files: map[string]*[]byte{}, free: -1, steps: -1} }

// step counts an operation; the caller holds the lock.
func (m *memory) step() error {
	if m.steps == 0 {
		return errDisk
	}
	if m.steps > 0 {
		m.steps--
	}
	return nil
}

func (m *memory) Read(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if content := m.files[name]; content != nil {
		return slices.Clone(*content), nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Create(name string) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return nil, err
	}
	m.files[name] = new([]byte)
	return &memoryFile{m, m.files[name]}, nil
}

func (m *memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return err
	}
	m.files[to] = m.files[from]
	delete(m.files, from)
	return m.step() // the sync of the directory
}

func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(m.files, name)
	return nil
}

func (m *memory) Free() (uint64, bool) { return 0, false }

type memoryFile struct {
	m       *memory
	content *[]byte
}

func (f *memoryFile) Write(b []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.free >= 0 && len(b) > f.m.free {
		n := f.m.free
		f.m.free = 0
		*f.content = append(*f.content, b[:n]...)
		return n, errFull()
	}
	if err := f.m.step(); err != nil {
		*f.content = append(*f.content, b[:len(b)/2]...)
		return len(b) / 2, err
	}
	if f.m.free >= 0 {
		f.m.free -= len(b)
	}
	*f.content = append(*f.content, b...)
	return len(b), nil
}

func (f *memoryFile) Sync() error {
	f.m.mu.Lock()
	f.m.syncs++
	gate, err := f.m.gate, f.m.step()
	f.m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return err
}

func (f *memoryFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.step(); err != nil {
		return err
	}
	*f.content = (*f.content)[:size]
	return nil
}

func (f *memoryFile) Close() error { return nil }

// opened is a journal that runs.
type opened struct {
	*Journal
	records []Record
	stop    func()
}

func open(t *testing.T, cfg Config) *opened {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	j, records, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	o := &opened{Journal: j, records: records, stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})}
	t.Cleanup(o.stop)
	return o
}

// keep keeps a record and waits for it.
func (o *opened) keep(t *testing.T, key, data string) error {
	t.Helper()
	done := make(chan error, 1)
	o.Keep(key, []byte(data), func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("done was not called within 10 s")
		return nil
	}
}

func (o *opened) mustKeep(t *testing.T, key, data string) {
	t.Helper()
	if err := o.keep(t, key, data); err != nil {
		t.Fatalf("Keep(%q) = %v, want nil", key, err)
	}
}

// texts makes records comparable.
func texts(records []Record) [][2]string {
	out := [][2]string{}
	for _, r := range records {
		out = append(out, [2]string{r.Key, string(r.Data)})
	}
	return out
}
