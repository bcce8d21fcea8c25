//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// What the processor can do; tests switch them off one by one.
var (
	useAVX2       = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	useAVX512     = useAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL
	useAVX512VNNI = useAVX512 && cpu.X86.HasAVX512VNNI
	useAVX512BF16 = useAVX512VNNI && cpu.X86.HasAVX512BF16
)

// Active names the implementation in use.
func Active() string { return implementations()[0] }

// current is the implementation of products in use.
func current(prec Precision) *gemmImpl {
	switch {
	case useAVX512BF16 && prec != F32:
		return &avx512BF16Gemm
	case useAVX512:
		return &avx512Gemm
	case useAVX2:
		return &avx2Gemm
	}
	return &portableGemm
}

// weightTileOf is the tile in use for a format.
func weightTileOf(f Format) weightTile {
	switch {
	case useAVX512BF16 && (f != FormatFP8 || cpu.X86.HasAVX512VBMI), useAVX512VNNI && (f == FormatInt8 || f == FormatInt4), useAVX512 && f == FormatF32:
		return avx512Tiles[f]
	case useAVX2:
		return avx2Tiles[f]
	}
	return portableTiles[f]
}

// implementations are those that this processor can run, the best first and the portable one last.
func implementations() []string {
	var names []string
	if useAVX512BF16 {
		names = append(names, "avx512bf16")
	}
	if useAVX512VNNI {
		names = append(names, "avx512vnni")
	}
	if useAVX512 {
		names = append(names, avx512Gemm.name)
	}
	if useAVX2 {
		names = append(names, avx2Gemm.name)
	}
	return append(names, portableGemm.name)
}

// use makes the named implementation the one in use until the function that it returns is called. It is for tests.
func use(name string) (restore func()) {
	avx2, avx512, vnni, bf16 := useAVX2, useAVX512, useAVX512VNNI, useAVX512BF16
	useAVX512BF16 = name == "avx512bf16"
	useAVX512VNNI = useAVX512BF16 || name == "avx512vnni"
	useAVX512 = useAVX512VNNI || name == avx512Gemm.name
	useAVX2 = useAVX512 || name == avx2Gemm.name
	return func() { useAVX2, useAVX512, useAVX512VNNI, useAVX512BF16 = avx2, avx512, vnni, bf16 }
}
