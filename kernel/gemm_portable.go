package kernel

// portableGemm is what every other implementation is compared with.
var portableGemm = gemmImpl{
	name: "portable", mr: 4, nr: 4,
	tile:      tilePortable,
	copyRows:  func(dst, src []float32, ld, kc, width int) bool { return false },
	transpose: func(dst, src []float32, ld, kc, width int) int { return 0 },
	roundBF16: roundBF16,
	row:       rowPortable,
	rowWidth:  4,
	rowStep:   1,
	rowPacked: rowPackedPortable,
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

func rowPortable(c, a, b []float32, ld int) {
	b0, b1, b2, b3 := b[:len(a)], b[ld:ld+len(a)], b[2*ld:2*ld+len(a)], b[3*ld:3*ld+len(a)]
	for k, x := range a {
		c[0] += float32(x * b0[k])
		c[1] += float32(x * b1[k])
		c[2] += float32(x * b2[k])
		c[3] += float32(x * b3[k])
	}
}

func rowPackedPortable(c, a, b []float32, stride int) {
	for p := range 4 {
		tilePortable(1, len(a), a, b[p*stride:], c[4*p:], 4, true)
	}
}
