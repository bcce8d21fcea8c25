//go:build !amd64 || purego

package kernel

// Active names the implementation in use.
func Active() string { return portableGemm.name }

// current is the implementation of products in use.
func current(Precision) *gemmImpl { return &portableGemm }

// weightTiles are those in use.
func weightTiles() *[FormatInt4 + 1]weightTile { return &portableTiles }

// implementations are those that this processor can run, the best first and the portable one last.
func implementations() []string { return []string{portableGemm.name} }

// use makes the named implementation the one in use until the function that it returns is called. It is for tests.
func use(string) (restore func()) { return func() {} }
