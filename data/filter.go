package data

import (
	"crypto/sha256"
	"fmt"
	"math"
)

// What is done about documents that are there twice.
const (
	Keep  = "keep"  // nothing
	Exact = "exact" // of equal documents the first stays
	Near  = "near"  // so it does of documents that share most of their words' order
)

// filter leaves out documents: those that hold what a model will be examined on, and those seen before.
//
// Near duplicates are found by MinHash: of all runs of shingle words in a document, the least of their hashes under each of
// bands·bandRows hash functions. Two documents agree in one with the probability J, the share of the runs that they have in
// common (Broder 1997). They count as duplicates if they agree in a whole band: with the numbers below, which are FineWeb's
// (Penedo et al. 2024), in 5 % of cases at J = 0.5, 56 % at 0.7, 92 % at 0.8. No text is kept, only 14 hashes a document, about
// 250 bytes.
type filter struct {
	duplicates string
	n          int                 // words of a gram
	grams      map[uint64]struct{} // of what a model will be examined on; nil if nothing
	seen       map[digest]struct{}
	bands      map[uint64]struct{}
}

const (
	shingle  = 5
	bands    = 14
	bandRows = 8
)

// digest is a hash of a whole document.
type digest [16]byte

// features are what a filter needs to know of a document. They are found on any goroutine, without the filter's memory.
type features struct {
	digest       digest
	bands        []uint64
	contaminated bool
}

// dropped counts documents that were left out.
type dropped struct {
	Duplicates   int64 `json:"duplicates,omitempty"`
	Near         int64 `json:"near_duplicates,omitempty"`
	Contaminated int64 `json:"contaminated,omitempty"`
}

func (d dropped) String() string {
	s := ""
	for _, c := range []struct {
		n    int64
		what string
	}{{d.Duplicates, "duplicates"}, {d.Near, "near duplicates"}, {d.Contaminated, "contaminated"}} {
		if c.n > 0 {
			s += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	if s == "" {
		return ""
	}
	return "; left out:" + s[1:]
}

func newFilter(s *Spec) *filter {
	f := &filter{duplicates: s.Duplicates, n: s.words(), seen: map[digest]struct{}{}, bands: map[uint64]struct{}{}}
	if f.duplicates == "" {
		f.duplicates = Keep
	}
	return f
}

// of is a filter for one shard, with the same memory: generated problems may repeat, and validation text is taken as it is.
func (f *filter) of(r *shardPart) *filter {
	g := *f
	if len(r.source.Tasks) > 0 {
		g.duplicates = Keep
	}
	if r.Split == splitValid {
		g.grams = nil
	}
	return &g
}

// examine reads the files of an examination, all strings of a .jsonl file or the documents of another, and returns how many texts
// they have and how many are too short to make a gram.
func (f *filter) examine(files []string) (texts, short int, err error) {
	f.grams = map[uint64]struct{}{}
	var ws []uint64
	add := func(text string) {
		ws = words(ws[:0], text)
		texts++
		if len(ws) < f.n {
			short++
		}
		for i := f.n; i <= len(ws); i++ {
			f.grams[gram(ws[i-f.n:i])] = struct{}{}
		}
	}
	for _, path := range files {
		for text, err := range docs(path, stringsOf) {
			if err != nil {
				return texts, short, fmt.Errorf("decontamination: %w", err)
			}
			add(text)
		}
	}
	return texts, short, nil
}

// inspect finds the features of a document.
func (f *filter) inspect(doc document) features {
	var x features
	if f.duplicates == Keep && f.grams == nil {
		return x
	}
	text := doc.text()
	if f.duplicates != Keep {
		sum := sha256.Sum256([]byte(text))
		copy(x.digest[:], sum[:])
	}
	if f.grams == nil && f.duplicates != Near {
		return x
	}
	ws := words(nil, text)
	for i := f.n; i <= len(ws) && f.grams != nil; i++ {
		if _, x.contaminated = f.grams[gram(ws[i-f.n:i])]; x.contaminated {
			return x
		}
	}
	if f.duplicates == Near {
		x.bands = bandHashes(ws)
	}
	return x
}

// bandHashes are the hashes of the bands of a document's MinHash; none if it has no words.
func bandHashes(ws []uint64) []uint64 {
	if len(ws) == 0 {
		return nil
	}
	var least [bands * bandRows]uint64
	for i := range least {
		least[i] = math.MaxUint64
	}
	n := min(shingle, len(ws))
	for i := n; i <= len(ws); i++ {
		h := gram(ws[i-n : i])
		for k := range least {
			least[k] = min(least[k], h*minHashFactors[k])
		}
	}
	list := make([]uint64, bands)
	for b := range list {
		list[b] = mix(gram(least[b*bandRows:(b+1)*bandRows]) ^ uint64(b))
	}
	return list
}

// minHashFactors are odd numbers: multiplying by one orders the hashes anew.
var minHashFactors = func() (list [bands * bandRows]uint64) {
	for i := range list {
		list[i] = mix(uint64(i)) | 1
	}
	return list
}()

// keep tells whether a document stays, counts it in d if not, and remembers it if it does.
func (f *filter) keep(x features, d *dropped) bool {
	if x.contaminated {
		d.Contaminated++
		return false
	}
	return f.duplicates == Keep || f.remember(x, d)
}

func (f *filter) remember(x features, d *dropped) bool {
	if _, ok := f.seen[x.digest]; ok {
		d.Duplicates++
		return false
	}
	for _, b := range x.bands {
		if _, ok := f.bands[b]; ok {
			d.Near++
			return false
		}
	}
	f.seen[x.digest] = struct{}{}
	for _, b := range x.bands {
		f.bands[b] = struct{}{}
	}
	return true
}
