package kernel

import "testing"

// forEachImpl runs f once with every implementation that this processor can run, the portable one last.
func forEachImpl(t *testing.T, f func(t *testing.T)) {
	for _, name := range implementations() {
		t.Run(name, func(t *testing.T) {
			defer use(name)()
			if Active() != name {
				t.Fatalf("%s is active, not %s", Active(), name)
			}
			f(t)
		})
	}
}
