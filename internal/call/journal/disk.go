package journal

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// disk is the set of records and its image in a file.
type disk struct {
	cfg *Config
	dir directory

	live   map[string]item
	weight int64  // what the frames of live take
	next   uint64 // order of the next item

	file   file  // nil: there is none that can be appended to
	size   int64 // of file
	broken error // why the file is not what live is
	again  time.Time
}

// item is a record of the set.
type item struct {
	data  []byte
	order uint64
}

// weigh is what an item takes in a file.
func weigh(key string, data []byte) int64 { return int64(frameBytes + minBody + len(key) + len(data)) }

// apply changes the set.
func (d *disk) apply(f frame) error {
	old, known := d.live[f.key]
	if f.kind == kept && !known && len(d.live) >= d.cfg.MaxRecords {
		return ErrTooMany
	}
	if known {
		d.weight -= weigh(f.key, old.data)
		delete(d.live, f.key)
	}
	if f.kind == kept {
		d.live[f.key] = item{f.data, d.next}
		d.next++
		d.weight += weigh(f.key, f.data)
	}
	return nil
}

// load reads the file of an earlier run.
func (d *disk) load() error {
	if err := d.dir.Remove(newName); err != nil && !isMissing(err) {
		return err
	}
	content, err := d.dir.Read(fileName)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if v, ok := readVersion(content); ok && v != version {
		d.cfg.Logger.Error("journal of another version is set aside; its calls are not ended",
			slog.Uint64("version", uint64(v)), slog.String("file", asideName))
		return d.dir.Rename(fileName, asideName)
	}
	damaged := scan(content, func(f frame) {
		f.data = slices.Clone(f.data)
		if err := d.apply(f); err != nil {
			d.cfg.Logger.Error("record of the journal left out", slog.Any("error", err))
		}
	})
	if damaged > 0 {
		d.cfg.Logger.Warn("journal was damaged; what could be read is used", slog.Int("damaged_bytes", damaged), slog.Int("records", len(d.live)))
	}
	return nil
}

// records returns the set in its order.
func (d *disk) records() []Record {
	out := make([]Record, 0, len(d.live))
	for _, key := range d.keys() {
		out = append(out, Record{Key: key, Data: slices.Clone(d.live[key].data)})
	}
	return out
}

// keys returns the keys in the order in which their records came.
func (d *disk) keys() []string {
	keys := make([]string, 0, len(d.live))
	for key := range d.live {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d.live[a].order < d.live[b].order {
			return -1
		}
		return 1
	})
	return keys
}

// write takes changes into the set and brings them to the file; the errors are
// those of the changes.
func (d *disk) write(batch []change) []error {
	errs := make([]error, len(batch))
	var frames []byte
	wait := false
	for i, c := range batch {
		if errs[i] = d.apply(c.frame); errs[i] == nil {
			frames = appendFrame(frames, c.frame)
			wait = wait || c.done != nil
		}
	}
	if err := d.bring(frames, wait); err != nil {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	}
	return errs
}

// bring appends frames to the file, or writes it anew where that is better.
func (d *disk) bring(frames []byte, wait bool) error {
	if d.broken == nil && d.size+int64(len(frames)) <= max(d.cfg.MaxBytes, 2*d.weight) {
		err := d.add(frames, wait)
		if err == nil {
			return nil
		}
		d.fail(err)
		// Room that is taken by forgotten records may be enough for a new file.
		return d.rewrite()
	}
	if d.broken != nil && d.cfg.TimeNow().Before(d.again) {
		return d.broken
	}
	return d.rewrite()
}

// add appends to the file; what was written in part is taken back.
func (d *disk) add(frames []byte, wait bool) error {
	if _, err := d.file.Write(frames); err != nil {
		_ = d.file.Truncate(d.size) // else scan leaves it out
		return err
	}
	d.size += int64(len(frames))
	if !wait {
		return nil
	}
	// What a sync that failed has left on disk nobody knows: the caller writes
	// the file anew.
	return d.file.Sync()
}

// rewrite puts a file with nothing but the set in the place of the one there is.
func (d *disk) rewrite() error {
	content := make([]byte, 0, int64(headerBytes)+d.weight)
	content = appendHeader(content)
	for _, key := range d.keys() {
		content = appendFrame(content, frame{kept, key, d.live[key].data})
	}
	f, err := d.replace(content)
	if err != nil {
		d.fail(err)
		return d.broken
	}
	_ = d.closeFile() // of a file that has no name any more
	d.file, d.size, d.broken = f, int64(len(content)), nil
	return nil
}

// replace writes a file beside the old one and gives it its name.
func (d *disk) replace(content []byte) (file, error) {
	f, err := d.dir.Create(newName)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = d.dir.Rename(newName, fileName)
	}
	if err != nil {
		_ = f.Close()
		_ = d.dir.Remove(newName)
		return nil, err
	}
	return f, nil
}

// fail notes that the file cannot be written.
func (d *disk) fail(err error) {
	class := ErrBroken
	if isFull(err) {
		class = ErrFull
	}
	d.broken = fmt.Errorf("%w: %w", class, err)
	d.again = d.cfg.TimeNow().Add(d.cfg.Retry)
}

func (d *disk) closeFile() error {
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	d.file = nil
	return err
}
