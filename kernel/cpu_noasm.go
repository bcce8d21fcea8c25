//go:build !amd64 || purego

package kernel

// Active names the implementation in use.
func Active() string { return portableGemm.name }

func current() *gemmImpl { return &portableGemm }

// implementations are those that this processor can run, the portable one last.
func implementations() []*gemmImpl { return []*gemmImpl{&portableGemm} }

// use makes im the implementation until the function that it returns is called. It is for tests.
func use(*gemmImpl) (restore func()) { return func() {} }
