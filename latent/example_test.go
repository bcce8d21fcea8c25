package latent_test

import (
	"fmt"

	"sprat/latent"
)

// A conversation's second turn finds what its first one left.
func Example() {
	key := [32]byte{} // of crypto/rand, where it matters
	pool := latent.New(8, 4, key)
	turn := func(ids []int32) {
		t := pool.NewTable("alice")
		have := pool.Match(&t, 0, ids)
		if _, ok := pool.Append(&t, have, len(ids), nil); !ok {
			fmt.Println("no pages: try later")
			return
		}
		fmt.Printf("computes %d of %d tokens, in pages %v\n", len(ids)-have, len(ids), t.Pages())
		pool.Publish(&t, ids)
		pool.Release(&t)
	}
	turn([]int32{11, 12, 13, 14, 15, 16})
	turn([]int32{11, 12, 13, 14, 15, 16, 17, 18, 19})
	turn([]int32{11, 12, 13, 14, 99})
	fmt.Println(pool.Available(), "of", pool.Pages(), "pages can be had,", pool.Cached(), "of them hold something")
	// Output:
	// computes 6 of 6 tokens, in pages [0 1]
	// computes 3 of 9 tokens, in pages [0 1 2]
	// computes 1 of 5 tokens, in pages [0 3]
	// 8 of 8 pages can be had, 4 of them hold something
}
