package tasks_test

import (
	"fmt"
	"math/rand/v2"

	"sprat/tasks"
)

func Example() {
	family, err := tasks.ByName("add")
	if err != nil {
		panic(err)
	}
	rng := rand.New(rand.NewPCG(4, 0))
	p := family.Generate(rng, 1)
	fmt.Println(p.Document(rng, true))
	fmt.Println(p.Key, p.HeldOut(), p.Verify(" "+p.Answer+" "), p.Verify("about "+p.Answer))
	// Output:
	// <｜User｜>What is 9813 minus 1236?<｜Assistant｜><think>9813-1236
	// 3-6 borrow, 13-6=7: 7
	// 1-3-1 borrow, 11-3-1=7: 77
	// 8-2-1=5: 577
	// 9-1=8: 8577
	// </think>8577
	// add 9813-1236 false true false
}
