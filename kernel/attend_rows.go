package kernel

// attendsRows tells whether attention takes keys and values as rows of bfloat16.
func attendsRows() bool { return false }

func (q *Queries) setRows(at, n int, x []float32, ld int) { panic("kernel: no rows") }

func (ws *Workspace) attendRows(s *Sums, q *Queries, b *Keys, n int, scale float32, seen, step int) {
	panic("kernel: no rows")
}
