package data

import "fmt"

// whole is how a shard's documents lie in rows where each is whole. A document takes one place less than it has tokens, as its end is
// a target alone.
type whole struct {
	rows      [][]int // documents, by row
	documents int     // in rows
	tooLong   int     // documents that are in none
	filled    float64 // share of the rows' places that documents take
}

func (s *shard) whole(sequence int, x *scratch) (whole, error) {
	sizes := make([]int, s.documents)
	last := int64(0)
	for i := range sizes {
		end, err := s.end(int64(i), x)
		if err != nil {
			return whole{}, err
		}
		sizes[i], last = int(min(end-last-1, int64(sequence)+1)), end
	}
	w := whole{rows: BestFit(sizes, sequence), documents: len(sizes)}
	places := 0
	for _, n := range sizes {
		if n > sequence {
			w.documents, w.tooLong = w.documents-1, w.tooLong+1
		} else {
			places += n
		}
	}
	w.filled = float64(places) / float64(max(1, len(w.rows)*sequence))
	return w, nil
}

// fill puts documents into a row, and appends to starts where they begin. buf has space for the row and a token more.
//
// What is left of the row belongs to the last document's sequence, and is the row's beginning once more. It has no targets, and
// no document sees it. That it is text like any other matters to a mixture of experts: the experts' loads and the balance loss look at
// all that is read, and padding of one token again and again would go to the same few of them.
func (s *shard) fill(documents []int, ids, targets, buf, starts []int32, x *scratch) ([]int32, error) {
	at := 0
	for _, d := range documents {
		begin := int64(0)
		var err error
		if d > 0 {
			if begin, err = s.end(int64(d)-1, x); err != nil {
				return starts, err
			}
		}
		end, err := s.end(int64(d), x)
		if err != nil {
			return starts, err
		}
		n := int(end - begin - 1)
		if err := s.read(buf[:n+1], begin, x); err != nil {
			return starts, err
		}
		starts = append(starts, int32(at))
		for i, id := range buf[:n] {
			ids[at+i], targets[at+i] = id&^noTarget, max(-1, buf[i+1])
		}
		at += n
	}
	for i := at; i < len(ids); i++ {
		ids[i], targets[i] = ids[i-at], -1
	}
	return starts, nil
}

// Packing is how the documents of a source fill the rows of a pass over it, where they are whole.
type Packing struct {
	Source    string
	Rows      int     // of a pass
	Documents int     // in them
	TooLong   int     // documents left out, as they are longer than a row
	Filled    float64 // share of the rows that is not padding
}

func (p Packing) String() string {
	text := fmt.Sprintf("%s: %d documents fill %d rows to %.1f %%", p.Source, p.Documents, p.Rows, 100*p.Filled)
	if p.TooLong > 0 {
		text += fmt.Sprintf("; %d documents are left out, as they are longer than a row", p.TooLong)
	}
	return text
}

// Packing is how each source fills its rows; nothing where documents are not whole.
func (r *Rows) Packing() (list []Packing) {
	for i, w := range r.whole {
		list = append(list, Packing{r.set.sources[i].name, len(w.rows), w.documents, w.tooLong, w.filled})
	}
	return list
}
