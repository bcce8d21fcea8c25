package kernel

import "fmt"

// ReadColumns gives a part turned: element (row, k) goes to dst[k·ld + row]. row is scratch for one row.
func (w *Weight) ReadColumns(dst []float32, ld, part int, row []float32) {
	if part < 0 || part >= w.parts || !fits(dst, w.k, w.n, ld) || len(row) != w.k {
		panic(fmt.Sprintf("kernel: part %d of %d of %d x %d, turned by way of %d elements, to %d in rows of %d",
			part, w.parts, w.n, w.k, len(row), len(dst), ld))
	}
	for n := w.columnPanels(dst, ld, part); n < w.n; n++ {
		w.ReadRow(row, part, n)
		for k, v := range row {
			dst[k*ld+n] = v
		}
	}
}
