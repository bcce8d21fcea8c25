package sample_test

import (
	"fmt"

	"sprat/sample"
)

// A model that knows a text by heart, and is told to stop at a full stop.
func Example() {
	words := []string{"<end>", "One", " fish", ", two", " fish", ". Red", " fish"}
	options := sample.Options{Temperature: 0.2, TopP: 0.9, Seed: 1, Logprobs: true}
	s, err := sample.New(options, len(words), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ends, err := sample.NewEnds([]int32{0}, []string{". "})
	if err != nil {
		fmt.Println(err)
		return
	}
	for id := 1; ; id++ {
		logits := make([]float32, len(words))
		logits[id%len(words)] = 5
		t, err := s.Next(logits)
		if err != nil {
			fmt.Println(err)
			return
		}
		if ends.ID(t.ID) {
			break
		}
		text, stop := ends.Text(words[t.ID])
		fmt.Printf("%q %.2f\n", text, t.Logprob)
		if stop != "" {
			break
		}
	}
	// Output:
	// "One" -0.04
	// " fish" -0.04
	// ", two" -0.04
	// " fish" -0.04
	// "" -0.04
}
