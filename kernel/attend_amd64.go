//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run ./attend -out ../attend_amd64.s -stubs ../attend_stubs_amd64.go -pkg kernel"

// attendsRows tells whether attention takes keys and values as rows of bfloat16.
func attendsRows() bool { return useAVX512BF16 }

// setRows lays elements [at, at+n) of queries out in quads, see _asm/attend; at is a multiple of 4, and what follows at+n zero.
func (q *Queries) setRows(at, n int, x []float32, ld int) {
	words := (n + 1) / 2
	_ = x[(q.lanes-1)*ld+n-1]
	if q.lanes > QueryLanes/2 {
		dst := q.data[at/2*QueryLanes:][:words*QueryLanes]
		packColumnsBF16AVX512(n, &dst[0], QueryLanes, &x[0], ld, q.lanes, 1<<QueryLanes-1)
		pairLanesAVX512((words+1)/2, &dst[0])
		return
	}
	// Half as wide: the words go to the space behind first.
	dst, wide := q.data[at/4*QueryLanes:][:(words+1)/2*QueryLanes], q.data[q.half():][:roundUp(words, 2)*QueryLanes]
	clear(wide[words/2*2*QueryLanes:])
	packColumnsBF16AVX512(n, &wide[0], QueryLanes, &x[0], ld, q.lanes, 1<<QueryLanes-1)
	pairHalfLanesAVX512((words+1)/2, &dst[0], &wide[0])
}

// attendRows is Attend for keys in place.
func (ws *Workspace) attendRows(s *Sums, q *Queries, b *Keys, n int, scale float32, seen, step int) {
	lines, product := roundUp(q.k, 32)/32, scoresBF16AVX512
	if q.lanes <= QueryLanes/2 {
		product = scoresHalfBF16AVX512
	}
	for i := 0; i < n; i += 8 {
		product(lines, &q.data[0], &b.data[0], &b.keyAt[i], &ws.scores[i*QueryLanes])
	}
	var limits [QueryLanes]int32
	for i := range limits {
		limits[i] = int32(min(max(0, seen+i*step), n))
	}
	var keep [QueryLanes]float32
	softmaxLanesAVX512(n, &ws.scores[0], &ws.weights[0], &limits[0], scale, &s.top[0], &s.sum[0], &keep[0])
	next := b.valueAt[n]
	if n%2 == 1 {
		b.valueAt[n] = b.zero
	}
	valuesBF16AVX512(s.width/32, (n+1)/2, (q.lanes+7)/8, &b.data[0], &b.valueAt[0], &ws.weights[0], &keep[0], &s.o[0], s.width, s.begun)
	b.valueAt[n] = next
}

// order sets y to lane i's sums times scale.
func (s *Sums) order(y []float32, i int, scale float32) {
	o, whole := s.o[i*s.width:][:s.width], len(y)/32
	if !s.rows {
		copy(y, o)
		Scale(y, scale)
		return
	}
	if whole > 0 {
		orderAVX512(whole, &y[0], &o[0], scale)
	}
	if rest := y[32*whole:]; len(rest) > 0 {
		var last [32]float32
		orderAVX512(1, &last[0], &o[32*whole], scale)
		copy(rest, last[:])
	}
}

func narrowBlocks(dst []uint16, src []float32) int {
	n := len(src) &^ 31
	if !useAVX512BF16 || n == 0 {
		return 0
	}
	narrowBF16AVX512(n, &dst[0], &src[0])
	return n
}

func widenBlocks(dst []float32, src []uint16) int {
	n := whole512(len(src))
	if n > 0 {
		widenBF16AVX512(n, &dst[0], &src[0])
	}
	return n
}

func decodeBlocks(dst []uint16, codes []byte, scales []uint16) int {
	n := len(codes) / fp8Group
	if !useAVX512BF16 || n == 0 {
		return 0
	}
	decodeE4M3AVX512(n, &dst[0], &codes[0], &scales[0])
	return n * fp8Group
}

// columnPanels does as many rows of ReadColumns as whole panels hold, and returns how many.
func (w *Weight) columnPanels(dst []float32, ld, part int) int {
	type turn func(k int, dst *float32, ld int, panel *byte)
	read := [...]turn{FormatBF16: columnsBF16AVX512, FormatFP8: columnsFP8AVX512, FormatInt8: columnsInt8AVX512, FormatInt4: columnsInt4AVX512}[w.format]
	unit := [...]int{FormatBF16: 2, FormatFP8: fp8Group, FormatInt8: pairK, FormatInt4: pairK}[w.format]
	if !useAVX512 || read == nil || w.k == 0 || w.k%unit != 0 {
		return 0
	}
	n := w.n / panelRows * panelRows
	for i := 0; i < n; i += panelRows {
		read(w.k, &dst[i], ld, &w.panel(part, i/panelRows)[0])
	}
	return n
}
