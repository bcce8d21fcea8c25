package kernel

// packA lays rows [m, mEnd) and k's [k, k+kc) of A out as panels of height rows, the last one of what is left. It returns height, at
// most mr and such that the panels are about equal. The panels are good until the next call.
func (ws *Workspace) packA(im *gemmImpl, op Op, prec Precision, p *Product, k, kc, m, mEnd int) (a []float32, height int) {
	ws.a = grow(ws.a, (mEnd-m)*im.words(kc))
	return ws.a, packA(im, op, prec, p, ws.a, k, kc, m, mEnd)
}

func packA(im *gemmImpl, op Op, prec Precision, p *Product, a []float32, k, kc, m, mEnd int) (height int) {
	panels := (mEnd - m + im.mr - 1) / im.mr
	height = (mEnd - m + panels - 1) / panels
	words := im.words(kc)
	a = a[:(mEnd-m)*words]
	if op == TN {
		whole := (mEnd - m) / height
		im.packRows(a, p.A[k*p.LDA+m:], p.LDA, kc, whole, height, height)
		if rest := (mEnd - m) % height; rest > 0 {
			im.packRows(a[whole*height*words:], p.A[k*p.LDA+m+whole*height:], p.LDA, kc, 1, rest, rest)
		}
	} else {
		for i := m; i < mEnd; i += height {
			rows := min(height, mEnd-i)
			im.packColumns(a[(i-m)*words:(i-m+rows)*words], p.A[i*p.LDA+k:], p.LDA, kc, rows, rows)
		}
	}
	if prec == BF16 && im.round != nil {
		im.round(a)
	}
	return height
}

// packB lays columns [n, nEnd) of C's B out as panels of nr; columns past the end are zero. The panels are good until the next call.
func (ws *Workspace) packB(im *gemmImpl, op Op, prec Precision, p *Product, k, kc, n, nEnd int) []float32 {
	ws.b = grow(ws.b, roundUp(nEnd-n, im.nr)*im.words(kc))
	packB(im, op, prec, p, ws.b, k, kc, n, nEnd)
	return ws.b
}

func packB(im *gemmImpl, op Op, prec Precision, p *Product, b []float32, k, kc, n, nEnd int) {
	words, whole := im.words(kc), (nEnd-n)/im.nr
	edge := n + whole*im.nr
	if op == NT {
		for j := n; j < nEnd; j += im.nr {
			im.packColumns(b[(j-n)*words:(j-n+im.nr)*words], p.B[j*p.LDB+k:], p.LDB, kc, min(im.nr, nEnd-j), im.nr)
		}
	} else {
		im.packRows(b, p.B[k*p.LDB+n:], p.LDB, kc, whole, im.nr, im.nr)
		if edge < nEnd {
			im.packRows(b[whole*im.nr*words:], p.B[k*p.LDB+edge:], p.LDB, kc, 1, nEnd-edge, im.nr)
		}
	}
	if prec == BF16 && im.round != nil {
		im.round(b[:roundUp(nEnd-n, im.nr)*words])
	}
}

// packRowsPortable is packRows for words of one element.
func packRowsPortable(dst, src []float32, ld, kc, panels, cols, width int) {
	for p := range panels {
		panel := dst[p*kc*width : (p+1)*kc*width]
		for k := range kc {
			row := panel[k*width : (k+1)*width]
			copy(row, src[k*ld+p*width:k*ld+p*width+cols])
			clear(row[cols:])
		}
	}
}

// packColumnsPortable is packColumns for words of one element.
func packColumnsPortable(dst, src []float32, ld, kc, cols, width int) {
	packColumnsFrom(dst, src, ld, 0, kc, cols, width)
}

// packColumnsFrom turns elements [done, kc).
func packColumnsFrom(dst, src []float32, ld, done, kc, cols, width int) {
	for i := range width {
		if i >= cols {
			for k := done; k < kc; k++ {
				dst[k*width+i] = 0
			}
			continue
		}
		for k, x := range src[i*ld+done : i*ld+kc] {
			dst[(done+k)*width+i] = x
		}
	}
}
