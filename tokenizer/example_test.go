package tokenizer_test

import (
	"fmt"
	"slices"

	"sprat/tokenizer"
)

func Example() {
	docs := []string{"the cat and the hat", "then the bat"}
	tok, err := tokenizer.Train(slices.Values(docs), tokenizer.TrainOptions{
		VocabSize:     260,
		SpecialTokens: []string{"<|end|>"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := tok.Encode(nil, "the bat<|end|>")
	for _, id := range ids {
		fmt.Printf("%d %q\n", id, tok.Token(id))
	}
	fmt.Printf("%s\n", tok.Decode(nil, ids, true))
	// Output:
	// 258 "the"
	// 221 "Ġ"
	// 66 "b"
	// 259 "at"
	// 0 "<|end|>"
	// the bat
}
