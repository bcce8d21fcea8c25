package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// WriteDir writes tensors to the directory dir, which it makes if need be: as model.safetensors if they fit in maxShardBytes of
// data, else as shards model-00001-of-0000N.safetensors and an index. A tensor larger than that is a shard by itself.
//
// A save replaces an earlier one whole or not at all. Shards get names that no file has (model-r2-00001-of-0000N and so on where
// the plain ones are taken), the index is written last and decides which of them count, and then the files of the earlier save are
// removed. Both saves need room on the disk at once.
func WriteDir(dir string, tensors []Tensor, maxShardBytes int64) error {
	return writeDir(osCreateTemp, dir, tensors, maxShardBytes)
}

func writeDir(create createTemp, dir string, tensors []Tensor, maxShardBytes int64) error {
	if _, err := plan(tensors); err != nil { // the names, across shards
		return fmt.Errorf("safetensors: %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	keep := []string{singleName}
	var err error
	if shards := split(tensors, maxShardBytes); len(shards) == 1 {
		err = writeFile(create, filepath.Join(dir, singleName), tensors, nil)
	} else {
		keep = append(freshNames(dir, len(shards)), indexName)
		err = writeShards(create, dir, keep[:len(shards)], shards)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return err
	}
	return removeStale(dir, keep)
}

// split cuts tensors into runs that take at most limit bytes, or are one tensor.
func split(tensors []Tensor, limit int64) [][]Tensor {
	var shards [][]Tensor
	first, sum := 0, int64(0)
	for i, t := range tensors {
		size := t.storedSize()
		if i > first && size > limit-sum {
			shards = append(shards, tensors[first:i])
			first, sum = i, 0
		}
		sum += size
	}
	return append(shards, tensors[first:])
}

// writeShards writes the shards under names, which no file has yet, and then the index. It leaves nothing behind if it fails.
func writeShards(create createTemp, dir string, names []string, shards [][]Tensor) (err error) {
	defer func() {
		if err != nil {
			for _, name := range names {
				os.Remove(filepath.Join(dir, name))
			}
		}
	}()
	index := newIndex()
	for i, shard := range shards {
		if err := writeFile(create, filepath.Join(dir, names[i]), shard, nil); err != nil {
			return err
		}
		parts, err := plan(shard)
		if err != nil {
			return err
		}
		index.add(names[i], parts)
	}
	return index.write(create, dir)
}

// index is the index file.
type index struct {
	Metadata struct {
		TotalSize int64 `json:"total_size"`
	} `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"`
}

func newIndex() *index { return &index{WeightMap: map[string]string{}} }

// add adds what lies in a file.
func (x *index) add(file string, parts []part) {
	for _, p := range parts {
		x.WeightMap[p.Name] = file
		x.Metadata.TotalSize += p.size
	}
}

func (x *index) write(create createTemp, dir string) error {
	if err := syncDir(dir); err != nil { // the shards must have their names before the index says so
		return err
	}
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(create, filepath.Join(dir, indexName), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// freshNames are names for n shards that no file in dir has.
func freshNames(dir string, n int) []string {
	stem := "model"
	for save := 2; ; save++ {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("%s-%05d-of-%05d.safetensors", stem, i+1, n)
		}
		if !slices.ContainsFunc(names, func(name string) bool {
			_, err := os.Lstat(filepath.Join(dir, name))
			return err == nil
		}) {
			return names
		}
		stem = fmt.Sprintf("model-r%d", save)
	}
}

// ours matches the files that a save makes, and their temporary names.
var ours = regexp.MustCompile(`^model(-r[0-9]+)?(-[0-9]{5,}-of-[0-9]{5,})?\.safetensors(\.index\.json)?(\.tmp[0-9]+)?$`)

// removeStale removes what earlier saves, and saves that were cut off, left in dir. The index goes first: no moment may come
// when it names shards that are gone.
func removeStale(dir string, keep []string) error {
	if !slices.Contains(keep, indexName) {
		if err := os.Remove(filepath.Join(dir, indexName)); err == nil {
			if err := syncDir(dir); err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("safetensors: saved, but the index of an earlier save still stands for it: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(keep, e.Name()) || !ours.MatchString(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("safetensors: saved, but a file of an earlier save remains: %w", err)
		}
	}
	return nil
}
