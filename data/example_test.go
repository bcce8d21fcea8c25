package data_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sprat/data"
	"sprat/tokenizer"
)

func Example() {
	dir, err := os.MkdirTemp("", "data-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "poem.jsonl")
	if err := os.WriteFile(file, []byte(`{"text":"Roses are red"}`+"\n"+`{"text":"Violets are blue"}`), 0o600); err != nil {
		log.Fatal(err)
	}
	tok, err := tokenizer.Train(slices.Values([]string{""}), tokenizer.TrainOptions{VocabSize: 257, SpecialTokens: []string{tokenizer.EOS}})
	if err != nil {
		log.Fatal(err)
	}

	spec := &data.Spec{Dir: filepath.Join(dir, "data"), Pack: data.Borders, Train: []string{file}}
	set, err := data.Prepare(context.Background(), spec, tok, io.Discard)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	const sequence, rows = 10, 3
	r, err := set.Rows(sequence, rows, 1)
	if err != nil {
		log.Fatal(err)
	}
	ids, targets := make([]int32, sequence), make([]int32, sequence)
	for range rows {
		row, err := r.Next(ids, targets)
		if err != nil {
			log.Fatal(err)
		}
		text := strings.ReplaceAll(string(tok.Decode(nil, ids, false)), tokenizer.EOS, "|")
		fmt.Printf("%s %q %v\n", set.Sources()[row.Source], text, row.Starts)
	}
	// Output:
	// text "s are blue" [0]
	// text "red|Violet" [0 4]
	// text "Roses are " [0]
}
