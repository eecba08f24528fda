package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	fileName  = "calls.journal"
	newName   = "calls.journal.new"
	asideName = "calls.journal.unreadable"
	lockName  = "lock"

	// maxFile bounds what is read at the start.
	maxFile = 256 << 20
)

// file is the part of os.File that a journal writes to.
type file interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// directory is where the files are; tests put one that fails in its place.
type directory interface {
	// Read returns what a file holds; fs.ErrNotExist when there is none.
	Read(name string) ([]byte, error)
	// Create makes an empty file that is written to at its end.
	Create(name string) (file, error)
	// Rename also makes sure that the new name is on disk.
	Rename(from, to string) error
	// Remove deletes a file.
	Remove(name string) error
	// Free returns how many bytes fit onto the disk; false if nobody knows.
	Free() (uint64, bool)
}

// folder is a directory of the file system.
type folder string

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) Read(name string) ([]byte, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func (d folder) Create(name string) (file, error) {
	return os.OpenFile(d.path(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
}

func (d folder) Rename(from, to string) error {
	if err := os.Rename(d.path(from), d.path(to)); err != nil {
		return err
	}
	self, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer self.Close()
	return self.Sync()
}

func (d folder) Remove(name string) error { return os.Remove(d.path(name)) }

func (d folder) Free() (uint64, bool) { return free(string(d)) }

// prepare makes the directory if need be and takes hold of it until the closer
// is closed or the process ends.
func prepare(path string) (io.Closer, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the directory
	if isFull(err) {
		// Not even an empty file fits: nobody else can have one there either.
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrInUse, err), f.Close())
	}
	return f, nil
}
