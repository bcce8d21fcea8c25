package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"sprat/atomicfile"
	"sprat/tasks"
	"sprat/tokenizer"
)

// manifestName is the file that says what a directory's shards were made from. It is written last and removed first.
const manifestName = "manifest.json"

// manifest is its content.
type manifest struct {
	Made   recipe   `json:"made_from"`
	Shards []record `json:"shards"`
}

// recipe is everything that the shards depend on: while it stays equal they are used again.
type recipe struct {
	Version   int           `json:"version"` // of this code, where it makes other tokens of the same inputs
	Tokenizer string        `json:"tokenizer"`
	Sources   []ingredients `json:"sources"`

	Duplicates    string  `json:"duplicates,omitempty"`
	Decontaminate []input `json:"decontaminate,omitempty"`
	Words         int     `json:"decontaminate_words,omitempty"`

	Loss     string `json:"loss,omitempty"`
	Template string `json:"template,omitempty"` // of chats, if there are any
}

const recipeVersion = 1

type ingredients struct {
	Name     string         `json:"name"`
	Train    []input        `json:"train,omitempty"`
	Valid    []input        `json:"valid,omitempty"`
	Chat     []input        `json:"chat,omitempty"`
	Tasks    *tasks.Mixture `json:"tasks,omitempty"`
	Problems string         `json:"problems,omitempty"` // a fingerprint of some
	FIM      float64        `json:"fim,omitempty"`
}

// input is a file as it was when it was read.
type input struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
}

// The splits of a source.
const (
	splitTrain = "train"
	splitValid = "valid"
)

// record is a shard that was made.
type record struct {
	Source    string `json:"source"`
	Split     string `json:"split"`
	Documents int64  `json:"documents"`
	Tokens    int64  `json:"tokens"`
	Bytes     int64  `json:"bytes"`
	Checksum  uint32 `json:"checksum"`
	dropped
}

func (r record) file() string { return r.Source + "." + r.Split + ".tokens" }

// files are the shards' names, of records that can be of this package: a manifest that was tampered with names nothing else.
func (m *manifest) files() []string {
	var names []string
	for _, r := range m.Shards {
		if nameForm.MatchString(r.Source) && (r.Split == splitTrain || r.Split == splitValid) {
			names = append(names, r.file())
		}
	}
	return names
}

func newRecipe(s *Spec, tok *tokenizer.Tokenizer) (recipe, error) {
	text, err := tok.JSON()
	if err != nil {
		return recipe{}, err
	}
	sum := sha256.Sum256(text)
	r := recipe{Version: recipeVersion, Tokenizer: hex.EncodeToString(sum[:])}
	if s.Loss == Assistant {
		r.Loss, r.Template = s.Loss, s.Template
	}
	if s.Duplicates != Keep {
		r.Duplicates = s.Duplicates
	}
	if len(s.Decontaminate) > 0 {
		r.Words = s.words()
		if r.Decontaminate, err = inputs(s.Decontaminate); err != nil {
			return r, err
		}
	}
	for _, src := range s.sources() {
		in := ingredients{Name: src.Name, FIM: src.FIM}
		if len(src.Tasks) > 0 {
			p, err := newProblems(&src, tok)
			if err != nil {
				return r, err
			}
			in.Tasks, in.Problems = &p.mixture, p.fingerprint()
		}
		if in.Train, err = inputs(src.Files); err != nil {
			return r, err
		}
		if in.Chat, err = inputs(src.Chat); err != nil {
			return r, err
		}
		if in.Valid, err = inputs(src.Valid); err != nil {
			return r, err
		}
		r.Sources = append(r.Sources, in)
	}
	return r, nil
}

func inputs(files []string) ([]input, error) {
	var list []input
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading text: %w", err)
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, fmt.Errorf("reading text: %w", err)
		}
		list = append(list, input{path, info.Size(), info.ModTime().UnixNano()})
	}
	return list, nil
}

// equal tells whether two recipes are the same.
func (r recipe) equal(o recipe) bool {
	a, err1 := json.Marshal(r)
	b, err2 := json.Marshal(o)
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}

// readManifest returns the manifest in dir; os.ErrNotExist if there is none.
func readManifest(dir string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	return m, nil
}

// write puts m into dir, whole or not at all.
func (m *manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, manifestName), append(text, '\n'))
}
