package sched_test

import (
	"fmt"

	"sprat/latent"
	"sprat/sched"
)

// Two prompts that begin alike, and a model that answers with nothing but sevens.
func Example() {
	pool := latent.New(16, 4, [32]byte{})
	s, err := sched.New(sched.Config{Context: 64, Sequences: 8, Tokens: 8}, pool)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, prompt := range [][]int32{{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 5, 6}} {
		if _, err := s.Submit("alice", prompt, 2); err != nil {
			fmt.Println(err)
		}
	}
	for step := 1; ; step++ {
		batch := s.Next()
		if len(batch.Work) == 0 {
			break
		}
		results := make([]sched.Result, len(batch.Work))
		for i, w := range batch.Work {
			fmt.Printf("step %d: %s %v after %d others, pages %v\n", step, w.Phase, w.IDs, w.Start, w.Pages)
			if w.Sample {
				results[i].Tokens = []int32{7}
			}
		}
		s.Commit(batch, results)
	}
	fmt.Println(pool.Available(), "of", pool.Pages(), "pages can be had")
	// Output:
	// step 1: prefill [1 2 3 4 5 6 7 8] after 0 others, pages [0 1 2]
	// step 2: prefill [9] after 8 others, pages [0 1 2]
	// step 2: prefill [5 6] after 4 others, pages [0 4]
	// step 3: decode [7] after 9 others, pages [0 1 2]
	// step 3: decode [7] after 6 others, pages [0 4]
	// 16 of 16 pages can be had
}
