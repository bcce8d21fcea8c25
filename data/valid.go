package data

import "iter"

// Valid is the validation text of a source.
type Valid struct {
	Name    string
	Tokens  int64
	Targets int64 // those of the tokens that a model should learn to write
	Bytes   int64 // of the text that these stand for
	shard   *shard
	set     *Set
}

// Window is a row to evaluate. Its slices are valid until the next one is asked for.
type Window struct {
	IDs, Targets []int32 // targets are -1 after the last token, and where Next has -1
	Starts       []int32 // as in a Row
}

// Windows yields v in windows of sequence tokens, in order. The first begins with the end of a document, so that the text's first
// token is a target too: the sum of the losses over Bytes is bits per byte. Where documents are whole, windows are rows of them, as those
// of training, in an order that has long and short ones anywhere.
func (v *Valid) Windows(sequence int) iter.Seq2[Window, error] {
	if v.set.pack == Whole {
		return v.wholeWindows(sequence)
	}
	return func(yield func(Window, error) bool) {
		w := Window{IDs: make([]int32, sequence), Targets: make([]int32, sequence)}
		var x scratch
		last := v.set.eos
		for at := int64(0); at < v.Tokens; at += int64(sequence) {
			n := int(min(int64(sequence), v.Tokens-at))
			err := v.shard.read(w.Targets[:n], at, &x)
			if err == nil {
				w.Starts, err = v.set.starts(w.Starts[:0], v.shard, at-1, n, &x) // ids are one behind targets
			}
			if err != nil {
				yield(Window{}, err)
				return
			}
			for i, id := range w.Targets[:n] {
				w.IDs[i], w.Targets[i] = last, max(-1, id)
				last = id &^ noTarget
			}
			for i := n; i < sequence; i++ {
				w.IDs[i], w.Targets[i] = v.set.eos, -1
			}
			if !yield(w, nil) {
				return
			}
		}
	}
}

func (v *Valid) wholeWindows(sequence int) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		w := Window{IDs: make([]int32, sequence), Targets: make([]int32, sequence)}
		var x scratch
		packed, err := v.shard.whole(sequence, &x)
		buf, n := make([]int32, sequence+1), uint64(len(packed.rows))
		for i := uint64(0); i < n && err == nil; i++ {
			w.Starts, err = v.shard.fill(packed.rows[permute(i, n, 0)], w.IDs, w.Targets, buf, w.Starts[:0], &x)
			if err == nil && !yield(w, nil) {
				return
			}
		}
		if err != nil {
			yield(Window{}, err)
		}
	}
}
