// Package data turns text into rows of tokens to train on.
//
//	set, err := data.Prepare(ctx, spec, tok, os.Stderr) // a directory of tokens, made once
//	rows, err := set.Rows(sequence, total, seed)
//	row, err := rows.Next(ids, targets)                 // the next of total rows
//
// A run file's [data] table, a Spec, names sources: files of text, each source with a weight that may change over the run. Prepare
// tokenizes them into shards, files of tokens with a checksum; while neither the texts nor the tokenizer nor the options change,
// later runs use these again. Every document ends with the token tokenizer.EOS. On the way documents may be left out, as
// duplicates or as known to an examination, or rearranged for fill in the middle. A source can also be problems of package tasks.
//
// Rows deals them out. What row n of a run holds is a function of the Set, the run's length and the seed alone: a run that was
// cut off goes on at its row by SeekTo, with the same rows to come as if it had not been. Valid are the validation files, in
// windows that hold every token once.
package data

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
)

// Set is tokens ready for training. It may be used from several goroutines; each needs Rows of its own.
type Set struct {
	sources []source // those with training tokens
	valid   []*Valid
	pack    string // Mixed, Borders or Whole
	eos     int32
}

// source is a part of the mixture.
type source struct {
	name    string
	shard   *shard
	ramp    ramp
	inOrder bool // as its documents lie, not shuffled
}

// Sources are the names of the sources that rows come from, by their index in a Row.
func (s *Set) Sources() []string {
	var names []string
	for _, src := range s.sources {
		names = append(names, src.name)
	}
	return names
}

// Tokens is how many tokens there are to train on.
func (s *Set) Tokens() int64 {
	n := int64(0)
	for _, src := range s.sources {
		n += src.shard.tokens
	}
	return n
}

// Valid are the sources' validation tokens, of those that have any.
func (s *Set) Valid() []*Valid { return s.valid }

// Hash is a fingerprint of what Rows depends on but for its own arguments: a run may only be resumed on a Set of the same Hash.
func (s *Set) Hash() string {
	type fingerprint struct {
		Name              string
		Checksum          uint32
		Tokens, Documents int64
		Weight            [][2]float64
		InOrder           bool
	}
	var all []fingerprint
	for _, src := range s.sources {
		f := fingerprint{src.name, src.shard.checksum, src.shard.tokens, src.shard.documents, nil, src.inOrder}
		for _, p := range src.ramp {
			f.Weight = append(f.Weight, [2]float64{p.at, p.weight})
		}
		all = append(all, f)
	}
	text, err := json.Marshal(struct {
		Borders bool
		Sources []fingerprint
		Whole   bool `json:",omitempty"`
	}{s.pack == Borders, all, s.pack == Whole})
	if err != nil {
		panic(err) // finite numbers and strings always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Close closes the shards.
func (s *Set) Close() error {
	var err error
	for _, src := range s.sources {
		err = errors.Join(err, src.shard.close())
	}
	for _, v := range s.valid {
		err = errors.Join(err, v.shard.close())
	}
	return err
}
