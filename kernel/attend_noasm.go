//go:build !amd64 || purego

package kernel

// attendsRows tells whether attention takes keys and values as rows of bfloat16.
func attendsRows() bool { return false }

func (q *Queries) setRows(at, n int, x []float32, ld int) { panic("kernel: no rows of bfloat16 here") }

func (ws *Workspace) attendRows(s *Sums, q *Queries, b *Keys, n int, scale float32, seen, step int) {
	panic("kernel: no rows of bfloat16 here")
}

// order sets y to lane i's sums times scale.
func (s *Sums) order(y []float32, i int, scale float32) {
	copy(y, s.o[i*s.width:])
	Scale(y, scale)
}

func narrowBlocks(dst []uint16, src []float32) int { return 0 }
func decodeBlocks(dst []uint16, codes []byte, scales []uint16) int {
	return 0
}
func widenBlocks(dst []float32, src []uint16) int { return 0 }

func (w *Weight) columnPanels(dst []float32, ld, part int) int { return 0 }
