//go:build !amd64 || purego

package kernel

// Active names the implementation in use.
func Active() string { return portableGemm.name }

// current is the implementation of products in use.
func current(Precision) *gemmImpl { return &portableGemm }

// weightTileOf is the tile in use for a format.
func weightTileOf(f Format) weightTile { return portableTiles[f] }

// implementations are those that this processor can run, the best first and the portable one last.
func implementations() []string { return []string{portableGemm.name} }

// use makes the named implementation the one in use until the function that it returns is called. It is for tests.
func use(string) (restore func()) { return func() {} }
