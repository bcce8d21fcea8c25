package tasks

import (
	"testing"
)

// BenchmarkFamilies times a document of each family.
func BenchmarkFamilies(b *testing.B) {
	for _, f := range Families() {
		b.Run(f.Name, func(b *testing.B) {
			rng := source(1)
			for range b.N {
				f.Generate(rng, 1).Document(rng, true)
			}
		})
	}
}
