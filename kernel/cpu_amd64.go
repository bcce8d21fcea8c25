//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// What the processor can do; tests switch them off one by one.
var (
	useAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA
)

// Active names the implementation in use.
func Active() string { return current().name }

func current() *gemmImpl {
	if useAVX2 {
		return &avx2Gemm
	}
	return &portableGemm
}

// implementations are those that this processor can run, the portable one last.
func implementations() []*gemmImpl {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return []*gemmImpl{&avx2Gemm, &portableGemm}
	}
	return []*gemmImpl{&portableGemm}
}

// use makes im the implementation until the function that it returns is called. It is for tests.
func use(im *gemmImpl) (restore func()) {
	before := useAVX2
	useAVX2 = im == &avx2Gemm
	return func() { useAVX2 = before }
}
