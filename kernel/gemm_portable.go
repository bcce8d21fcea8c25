package kernel

// portableGemm is what every other implementation is compared with.
var portableGemm = gemmImpl{
	name: "portable", mr: 4, nr: 4, depth: 1,
	tile:        tilePortable,
	packRows:    packRowsPortable,
	packColumns: packColumnsPortable,
	round:       roundBF16,
	rowPacked:   rowPackedPortable,
}

// tilePortable is a tile of up to 4 x 4. The conversions keep the compiler from fusing multiplication and addition on some
// platforms and not on others.
func tilePortable(rows, kc int, a, b, c []float32, ldc int, add bool) {
	var acc [4][4]float32
	if add {
		for i := range rows {
			copy(acc[i][:], c[i*ldc:i*ldc+4])
		}
	}
	a, b = a[:rows*kc], b[:4*kc]
	for len(b) >= 4 {
		for i, x := range a[:rows] {
			acc[i][0] += float32(x * b[0])
			acc[i][1] += float32(x * b[1])
			acc[i][2] += float32(x * b[2])
			acc[i][3] += float32(x * b[3])
		}
		a, b = a[rows:], b[4:]
	}
	for i := range rows {
		copy(c[i*ldc:i*ldc+4], acc[i][:])
	}
}

func rowPackedPortable(c, a, b []float32, stride int) {
	for p := range 4 {
		tilePortable(1, len(a), a, b[p*stride:], c[4*p:], 4, true)
	}
}
