package data

import (
	"fmt"
	"testing"
)

// BenchmarkNext is a row of 4,096 tokens: beside the step it feeds, nothing.
func BenchmarkNext(b *testing.B) {
	const sequence = 4096
	for _, pack := range []string{Mixed, Borders} {
		b.Run(pack, func(b *testing.B) {
			var docs [][]int32
			for i := range 20_000 {
				docs = append(docs, make([]int32, 20+i%200))
			}
			s := shardOf(b, 300, docs...)
			set := &Set{pack: pack, sources: []source{{name: "a", shard: s, ramp: ramp{{0, 1}}}}}
			r, err := set.Rows(sequence, 1000, 1)
			if err != nil {
				b.Fatal(err)
			}
			ids, targets := make([]int32, sequence), make([]int32, sequence)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(ids, targets); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(sequence*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkSeek is how long resuming at a late row takes, by the row.
func BenchmarkSeek(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprint(n, " sources"), func(b *testing.B) {
			set := &Set{}
			for range n {
				set.sources = append(set.sources, source{shard: &shard{shardHeader: shardHeader{tokens: 100}}, ramp: ramp{{0, 1}, {0.5, 2}, {1, 1}}})
			}
			r, err := set.Rows(10, int64(b.N), 1)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			r.SeekTo(int64(b.N))
		})
	}
}
