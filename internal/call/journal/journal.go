package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of a [Config].
const (
	DefaultMaxBytes   = 1 << 20
	DefaultMaxRecords = 50_000
	DefaultReserve    = 64 << 10
	DefaultStall      = 2 * time.Second
	DefaultRetry      = time.Second
)

var (
	// ErrFull says that the disk is full.
	ErrFull = errors.New("the disk is full")
	// ErrBroken says that the disk does not take what is written to it.
	ErrBroken = errors.New("the disk cannot be written to")
	// ErrStalled says that the disk does not finish what was written to it.
	ErrStalled = errors.New("the disk does not answer")
	// ErrTooMany says that there are Config.MaxRecords already.
	ErrTooMany = errors.New("too many records")
	// ErrTooLarge says that a record is longer than 64 KiB or its key than 255 bytes.
	ErrTooLarge = errors.New("record is too large")
	// ErrClosed says that the journal has stopped.
	ErrClosed = errors.New("the journal has stopped")
	// ErrInUse says that another process has the directory.
	ErrInUse = errors.New("another process uses the directory")
)

// Config says where a journal is and how large it may be. Dir and Logger are
// mandatory.
type Config struct {
	// Dir is made if it is missing; nobody else may use it.
	Dir    string
	Logger *slog.Logger

	// MaxBytes is the size from which on the file is written anew, unless it is
	// mostly about records that are still kept; zero means DefaultMaxBytes.
	MaxBytes int64
	// MaxRecords is how many records are kept; zero means DefaultMaxRecords.
	MaxRecords int
	// Reserve is how many bytes must be free for Ready; zero means DefaultReserve.
	Reserve uint64
	// Stall is how long the disk may take for one write; zero means DefaultStall.
	Stall time.Duration
	// Retry is when a disk that failed is tried again; zero means DefaultRetry.
	Retry time.Duration
	// TimeNow is the clock; nil means time.Now. Only differences count.
	TimeNow func() time.Time

	directory directory // tests set another one
}

func (c *Config) setDefaults() {
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = DefaultMaxRecords
	}
	if c.Reserve == 0 {
		c.Reserve = DefaultReserve
	}
	if c.Stall <= 0 {
		c.Stall = DefaultStall
	}
	if c.Retry <= 0 {
		c.Retry = DefaultRetry
	}
	if c.TimeNow == nil {
		c.TimeNow = time.Now
	}
}

// A Record is what was kept under a key.
type Record struct {
	Key  string
	Data []byte
}

// Journal is an open journal. Make it with Open, drive it with Run.
type Journal struct {
	cfg  Config
	held io.Closer // the directory
	wake chan struct{}

	mu     sync.Mutex // guards what follows
	queue  []change
	closed bool

	began   atomic.Int64 // when the write under way began, in Unix nanoseconds; 0: there is none
	failure atomic.Pointer[error]

	disk // owned by Open, then by Run
}

// change is a frame on its way to the disk.
type change struct {
	frame
	done func(error) // nil: nobody waits
}

// Open opens the journal of a directory and returns the records that are there,
// the oldest first. They stay until they are forgotten. A full disk is no error:
// Ready tells it.
func Open(cfg Config) (*Journal, []Record, error) {
	cfg.setDefaults()
	j := &Journal{cfg: cfg, wake: make(chan struct{}, 1)}
	j.disk = disk{cfg: &j.cfg, live: make(map[string]item)}
	if cfg.directory == nil {
		held, err := prepare(cfg.Dir)
		if err != nil {
			return nil, nil, fmt.Errorf("open the journal: %w", err)
		}
		j.held, j.dir = held, folder(cfg.Dir)
	} else {
		j.held, j.dir = io.NopCloser(nil), cfg.directory
	}
	if err := j.load(); err != nil {
		return nil, nil, fmt.Errorf("read the journal: %w", errors.Join(err, j.held.Close()))
	}
	// Written anew at once: without the damage, and it shows whether it can be written.
	if err := j.rewrite(); err != nil && !errors.Is(err, ErrFull) {
		return nil, nil, fmt.Errorf("write the journal: %w", errors.Join(err, j.held.Close()))
	}
	j.report()
	return j, j.records(), nil
}

// Close gives back a journal that never ran.
func (j *Journal) Close() error {
	j.stop()
	return errors.Join(j.closeFile(), j.held.Close())
}

// Run writes until ctx ends, then what is left, and closes the journal. It is
// called once.
func (j *Journal) Run(ctx context.Context) error {
	retry := time.NewTimer(j.cfg.Retry)
	defer retry.Stop()
	for {
		if j.broken == nil {
			retry.Stop()
		}
		select {
		case <-j.wake:
			j.commit(j.take())
		case <-retry.C:
			j.commit(nil)
		case <-ctx.Done():
			j.commit(j.stop())
			return errors.Join(j.closeFile(), j.held.Close())
		}
		if j.broken != nil {
			retry.Reset(j.cfg.Retry)
		}
	}
}

// Keep keeps a record under a key. When it is on disk, or cannot be brought
// there, done is called, once and from another goroutine, unless the journal has
// stopped; then done is called from within Keep. Nil means that nobody waits. The
// data belongs to the journal from now on. Any goroutine; never blocks.
func (j *Journal) Keep(key string, data []byte, done func(error)) {
	err := error(nil)
	if len(key) > maxKey || len(data) > maxRecord {
		err = fmt.Errorf("%w: %d bytes under a key of %d", ErrTooLarge, len(data), len(key))
	} else if !j.push(change{frame{kept, key, data}, done}) {
		err = ErrClosed
	}
	if err != nil && done != nil {
		done(err)
	}
}

// Forget takes the record of a key away. Any goroutine; never blocks.
func (j *Journal) Forget(key string) {
	if len(key) <= maxKey {
		j.push(change{frame: frame{kind: forgotten, key: key}})
	}
}

// Ready says why no new record can be kept safely now: nil, or an error that
// wraps ErrFull, ErrBroken, ErrStalled or ErrClosed. Any goroutine.
func (j *Journal) Ready() error {
	if began := j.began.Load(); began != 0 {
		if took := j.cfg.TimeNow().Sub(time.Unix(0, began)); took > j.cfg.Stall {
			return fmt.Errorf("%w: a write takes %s already", ErrStalled, took.Round(time.Second))
		}
	}
	if failure := j.failure.Load(); failure != nil {
		return *failure
	}
	if n, known := j.dir.Free(); known && n < j.cfg.Reserve {
		return fmt.Errorf("%w: %d bytes are free, %d are needed", ErrFull, n, j.cfg.Reserve)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	return nil
}

// push queues a change; false when the journal has stopped.
func (j *Journal) push(c change) bool {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return false
	}
	j.queue = append(j.queue, c)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns what has gathered.
func (j *Journal) take() []change {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.queue
	j.queue = nil
	return q
}

// stop takes no more changes and returns those that have gathered.
func (j *Journal) stop() []change {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	q := j.queue
	j.queue = nil
	return q
}

// commit brings changes to the disk and tells those who wait; without any it
// tries a disk that failed again.
func (j *Journal) commit(batch []change) {
	if len(batch) == 0 && j.broken == nil {
		return
	}
	j.began.Store(j.cfg.TimeNow().UnixNano())
	errs := j.write(batch)
	j.began.Store(0)
	j.report()
	for i, c := range batch {
		if c.done != nil {
			c.done(errs[i])
		}
	}
}

// report shows the state of the disk to Ready and, when it changes, to the log.
func (j *Journal) report() {
	was := j.failure.Load()
	switch {
	case j.broken != nil && was == nil:
		err := j.broken
		j.failure.Store(&err)
		j.cfg.Logger.Error("journal cannot be written: no new calls until it can", slog.String("dir", j.cfg.Dir), slog.Any("error", err))
	case j.broken != nil:
		err := j.broken
		j.failure.Store(&err)
	case was != nil:
		j.failure.Store(nil)
		j.cfg.Logger.Info("journal can be written again", slog.String("dir", j.cfg.Dir))
	}
}

// isMissing reports whether there is no such file.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
