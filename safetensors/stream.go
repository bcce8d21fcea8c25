package safetensors

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unicode/utf8"
)

// A DirWriter writes the tensors of a new directory one at a time, in any order and from several goroutines, so that they need not
// be in memory at once. The directory is whole after Close; until then it holds no model.
type DirWriter struct {
	dir   string
	files []shardFile
	where map[string]place

	mu      sync.Mutex
	written map[string]bool
}

type shardFile struct {
	name  string
	f     *os.File
	parts []part
}

// place is where a tensor goes.
type place struct {
	file *os.File
	off  int64
	size int64
}

// CreateDir lays out tensors, of which name, type and shape count, in the directory dir, which exists and has no weights. They lie
// in model.safetensors if they fit in maxShardBytes, else in shards with an index, like those of WriteDir.
func CreateDir(dir string, tensors []Info, maxShardBytes int64) (*DirWriter, error) {
	w := &DirWriter{dir: dir, where: map[string]place{}, written: map[string]bool{}}
	if err := w.create(tensors, maxShardBytes); err != nil {
		w.Abort()
		return nil, fmt.Errorf("safetensors: %s: %w", dir, err)
	}
	return w, nil
}

func (w *DirWriter) create(tensors []Info, limit int64) error {
	shards, err := layOut(tensors, limit)
	if err != nil {
		return err
	}
	names := []string{singleName}
	if len(shards) > 1 {
		names = freshNames(w.dir, len(shards))
	}
	for i, parts := range shards {
		head, err := header(parts, nil)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(w.dir, names[i]), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		w.files = append(w.files, shardFile{names[i], f, parts})
		if _, err := f.Write(head); err != nil {
			return err
		}
		off := int64(len(head))
		for _, p := range parts {
			w.where[p.Name] = place{f, off, p.size}
			off += p.size
		}
	}
	return nil
}

// layOut checks tensors and spreads them over shards, in their order; within a shard types of large elements come first, as in
// plan.
func layOut(tensors []Info, limit int64) ([][]part, error) {
	shards, sum := [][]part{nil}, int64(0)
	seen := map[string]bool{metadataKey: true}
	for _, t := range tensors {
		size, ok := byteSize(t.DType, t.Shape)
		switch {
		case !ok || t.DType.size() == 0:
			return nil, fmt.Errorf("tensor %s: a shape of %v in %s is not written", quote(t.Name), t.Shape, t.DType)
		case seen[t.Name] || !utf8.ValidString(t.Name):
			return nil, fmt.Errorf("tensor %s: the name is taken, or not UTF-8", quote(t.Name))
		}
		seen[t.Name] = true
		last := len(shards) - 1
		if len(shards[last]) > 0 && size > limit-sum {
			shards, sum, last = append(shards, nil), 0, last+1
		}
		shards[last] = append(shards[last], part{Info: Info{Name: t.Name, DType: t.DType, Shape: t.Shape, size: size}})
		sum += size
	}
	for _, parts := range shards {
		slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.DType.size(), a.DType.size()) })
	}
	return shards, nil
}

// Write writes a tensor, given as the bytes that the file is to hold.
func (w *DirWriter) Write(name string, data []byte) error {
	p, ok := w.where[name]
	if !ok || int64(len(data)) != p.size {
		return fmt.Errorf("safetensors: tensor %s: %d bytes for a place of %d", quote(name), len(data), p.size)
	}
	if _, err := p.file.WriteAt(data, p.off); err != nil {
		return fmt.Errorf("safetensors: tensor %s: %w", quote(name), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[name] = true
	return nil
}

// Close puts everything on disk, the index last. Every tensor must have been written.
func (w *DirWriter) Close() error {
	index := newIndex()
	for _, s := range w.files {
		for _, p := range s.parts {
			if !w.written[p.Name] {
				w.Abort()
				return fmt.Errorf("safetensors: tensor %s was not written", quote(p.Name))
			}
		}
		index.add(s.name, s.parts)
	}
	var err error
	for _, s := range w.files {
		err = cmp.Or(err, s.f.Sync(), s.f.Close())
	}
	single := len(w.files) == 1
	w.files = nil
	switch {
	case err != nil:
		return fmt.Errorf("safetensors: %w", err)
	case single:
		return syncDir(w.dir)
	}
	return index.write(osCreateTemp, w.dir)
}

// Abort gives up. What has been written stays, and is no model: the caller removes the directory.
func (w *DirWriter) Abort() {
	for _, s := range w.files {
		s.f.Close()
	}
	w.files = nil
}
