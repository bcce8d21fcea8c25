package kernel

import "testing"

// forEachImpl runs f once with every implementation that this processor can run, the portable one last.
func forEachImpl(t *testing.T, f func(t *testing.T)) {
	for _, im := range implementations() {
		t.Run(im.name, func(t *testing.T) {
			defer use(im)()
			if Active() != im.name {
				t.Fatalf("%s is active, not %s", Active(), im.name)
			}
			f(t)
		})
	}
}
