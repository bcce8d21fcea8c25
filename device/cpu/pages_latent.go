package cpu

import (
	"fmt"
	"slices"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// PagedLatentAttention takes its keys in runs of runKeys at absolute positions. Each run has a softmax of its own; the runs' sums are
// then merged, the first run first. A unit of work is a run whose pages are the same for some contexts, with all of their rows;
// what a row gets is the same whoever shares a unit with it, and whichever worker takes it.
const runKeys = kernel.BlockKeys

// sumsSpace is how many elements of sums of runs may wait to be merged; rows beyond it wait for the next round.
const sumsSpace = 4 << 20

// latentRow is one row's part of a unit.
type latentRow struct {
	t    int  // row of the step
	keys int  // of the run that it sees
	sums int  // which of the round's sums the run's go to; -1 where the run is the row's only one
	fold bool // the sums are those of the runs before, which the same part has computed
	last bool // the row is done after this run
}

// latentUnit is a run of keys with the rows that see it.
type latentUnit struct {
	run   int
	keys  int // the most that a row sees
	table []int32
	rows  []latentRow
	count int // of rows
	part  int // that has all of it; -1 if several share it
}

// latentShare is a share of a unit: (row, group of heads) pairs [lo, hi).
type latentShare struct{ unit, lo, hi int }

// pagedLatent is PagedLatentAttention's state.
type pagedLatent struct {
	dev       *Device
	h         device.Heads
	prec      kernel.Precision
	p         *pages
	layer     int
	oC, qC, q matrix
	contexts  []device.Context // of this round
	lanes     int              // heads of a group
	groups    int              // of heads
	units     []latentUnit
	unitOf    []int // of each run of each context
	rows      []latentRow
	shares    []latentShare
	pieces    [][2]int // runs of shares
	merges    []latentMerge
	sums      []kernel.Sums
	space     []float32
	merge     latentMergeJob
}

// latentMerge is a row whose runs are in several parts: its sums [first, first + runs·groups), a run's after another's.
type latentMerge struct{ t, first, runs int }

// latentScratch is a worker's.
type latentScratch struct {
	queries kernel.Queries
	packed  [2]int // row and group of the queries
	sums    kernel.Sums
	space   []float32 // of sums
	keys    kernel.Keys
	floats  []float32
	halves  []uint16
}

// PagedLatentAttention implements device.Inference.
func (d *Device) PagedLatentAttention(oC, qC, q tensor.Mat, src device.Pages, layer int, contexts []device.Context, h device.Heads) {
	const op = "PagedLatentAttention"
	wantHeads(op, h)
	p := pagesOf(op, src, layer)
	if h.C != p.C || h.R != p.R {
		panic(fmt.Sprintf("cpu: %s: heads of %d + %d for pages of %d + %d", op, h.C, h.R, p.C, p.R))
	}
	want(op, "q", q, q.Rows, h.H*(h.N+h.R))
	want(op, "qC", qC, q.Rows, h.H*h.C)
	want(op, "oC", oC, q.Rows, h.H*h.C)
	p.wantContexts(op, contexts, q.Rows)
	j := &d.jobs.pagedLatent
	j.dev, j.h, j.prec, j.p, j.layer, j.oC, j.qC, j.q = d, h, precision(h.Precision.Core()), p, layer, view(oC), view(qC), view(q)
	j.group(kernel.QueryLanes)
	d.reserveLatent(j)
	j.contexts = j.contexts[:0]
	for space, i := 0, 0; i < len(contexts); i++ {
		c := contexts[i]
		for c.Rows > 0 {
			n, need := j.fits(c, sumsSpace-space)
			if n == 0 && space > 0 {
				j.round()
				j.contexts, space = j.contexts[:0], 0
				continue
			}
			n = max(n, 1)
			j.contexts = append(j.contexts, device.Context{First: c.First, Rows: n, Past: c.Past, Table: c.Table})
			c.First, c.Rows, c.Past = c.First+n, c.Rows-n, c.Past+n
			space += need
		}
	}
	j.round()
	clear(j.contexts)
	j.p, j.oC, j.qC, j.q = nil, matrix{}, matrix{}, matrix{} // let go of the memory
}

// group sets how many heads go together.
func (j *pagedLatent) group(lanes int) {
	j.lanes, j.groups = lanes, (j.h.H+lanes-1)/lanes
}

// sumsOf is the elements of a row's sums, at a position.
func (j *pagedLatent) sumsOf(position int) int {
	runs := position/runKeys + 1
	if runs == 1 {
		return 0
	}
	return runs * j.groups * kernel.QueryLanes * kernel.RowWidth(j.h.C)
}

// fits is how many of c's rows have sums that fit the space, and what they take.
func (j *pagedLatent) fits(c device.Context, space int) (n, need int) {
	for n < c.Rows {
		more := j.sumsOf(c.Past + n)
		if need+more > space {
			break
		}
		n, need = n+1, need+more
	}
	return n, need
}

func (d *Device) reserveLatent(j *pagedLatent) {
	p := j.p
	for i := range d.workers {
		w := &d.workers[i].latent
		w.packed = [2]int{-1, -1}
		w.queries.Reset(j.prec, kernel.QueryLanes, p.width())
		grow(&w.space, kernel.QueryLanes*kernel.RowWidth(p.C))
		switch {
		case !kernel.KeysInPlace(j.prec):
			grow(&w.floats, runKeys*p.width())
			grow(&w.halves, p.halvesRow())
			w.keys.Reserve(j.prec, runKeys, p.width(), p.C)
		case p.Format != device.PagesBF16:
			grow(&w.halves, (runKeys+1)*p.halvesRow())
		}
	}
}

// round does the contexts in j.contexts.
func (j *pagedLatent) round() {
	j.plan()
	j.dev.pool.Run(j, len(j.pieces))
	j.merge.pagedLatent = j
	j.merge.span = spanOf(len(j.merges)*j.groups, runKeys*kernel.QueryLanes)
	j.dev.pool.Run(&j.merge, j.merge.parts())
	for i := range j.units {
		j.units[i].table = nil
	}
}

// plan finds the round's units and their rows, and cuts them into parts.
func (j *pagedLatent) plan() {
	j.units, j.unitOf, j.merges = j.units[:0], j.unitOf[:0], j.merges[:0]
	total := 0
	j.group(kernel.QueryLanes)
	for _, c := range j.contexts {
		for run := range (c.Past + c.Rows + runKeys - 1) / runKeys {
			u := j.unit(c, run)
			j.unitOf = append(j.unitOf, u)
			n := c.Rows - max(0, run*runKeys-c.Past)
			j.units[u].count += n
			total += n
		}
	}
	extend(&j.rows, total)
	for u, at := 0, 0; u < len(j.units); u++ {
		j.units[u].rows, at = j.rows[at:at:at+j.units[u].count], at+j.units[u].count
	}
	if total*j.groups < 2*j.dev.Threads() { // so little that half groups, which give the same bits, share it better
		j.group(kernel.QueryLanes / 2)
	}
	j.cut()
	j.fill()
}

// unit is the number of the unit for a run of a context.
func (j *pagedLatent) unit(c device.Context, run int) int {
	keys := min(runKeys, c.Past+c.Rows-run*runKeys)
	first := run * runKeys / j.p.Rows
	table := c.Table[first : (run*runKeys+keys-1)/j.p.Rows+1]
	mark := &j.p.unitMark[table[0]]
	if u := int(*mark); u < len(j.units) && j.units[u].run == run && sameStart(j.units[u].table, table) {
		unit := &j.units[u]
		if len(table) > len(unit.table) {
			unit.table = table
		}
		unit.keys = max(unit.keys, keys)
		return u
	}
	*mark = int32(len(j.units))
	j.units = append(j.units, latentUnit{run: run, keys: keys, table: table})
	return int(*mark)
}

// sameStart tells whether one table begins with the other.
func sameStart(a, b []int32) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// cut cuts units, or puts them together, so that all workers have work.
func (j *pagedLatent) cut() {
	total := 0
	for i := range j.units {
		total += j.units[i].keys * j.units[i].count * j.groups
	}
	const perWorker, least = 8, runKeys / 2
	size := max(least, total/(perWorker*j.dev.Threads()))
	j.shares, j.pieces = j.shares[:0], j.pieces[:0]
	work := size // of the last part, which takes no more
	for i := range j.units {
		u := &j.units[i]
		pairs := u.count * j.groups
		n := min(pairs, (u.keys*pairs+size-1)/size)
		for k := range n {
			if work += u.keys * pairs / n; work > size {
				j.pieces = append(j.pieces, [2]int{len(j.shares), len(j.shares)})
				work = u.keys * pairs / n
			}
			j.shares = append(j.shares, latentShare{i, k * pairs / n, (k + 1) * pairs / n})
			j.pieces[len(j.pieces)-1][1]++
		}
		if u.part = len(j.pieces) - 1; n > 1 {
			u.part = -1
		}
	}
}

// fill gives the units their rows, and the rows their sums.
func (j *pagedLatent) fill() {
	sums, at := 0, 0
	for _, c := range j.contexts {
		for i := range c.Rows {
			position := c.Past + i
			runs := position/runKeys + 1
			folded := j.folded(j.unitOf[at:][:runs])
			for run := range runs {
				r := latentRow{t: c.First + i, keys: min(runKeys, position+1-run*runKeys), sums: sums, last: folded == runs && run == runs-1}
				switch {
				case runs == 1:
					r.sums = -1
				case run < folded:
					r.fold = run > 0
				default:
					r.sums += (run - folded + 1) * j.groups
				}
				unit := &j.units[j.unitOf[at+run]]
				unit.rows = append(unit.rows, r)
			}
			if folded < runs {
				j.merges = append(j.merges, latentMerge{c.First + i, sums, runs - folded + 1})
			}
			if runs > 1 {
				sums += (runs - folded + 1) * j.groups
			}
		}
		at += (c.Past + c.Rows + runKeys - 1) / runKeys
	}
	extend(&j.sums, sums)
	extend(&j.space, sums*kernel.QueryLanes*kernel.RowWidth(j.h.C))
}

// extend is grow for what grows with every token: it makes space beforehand.
func extend[T any](s *[]T, n int) { *s = slices.Grow((*s)[:0], n)[:n] }

// folded is how many of a row's first runs one part computes, one after the other: it merges them itself.
func (j *pagedLatent) folded(units []int) int {
	for i := 1; i < len(units); i++ {
		u := &j.units[units[i]]
		if u.part < 0 || u.part != j.units[units[0]].part || units[i] <= units[i-1] {
			return i
		}
	}
	return len(units)
}

// Do computes a part.
func (j *pagedLatent) Do(worker, part int) {
	w, ws := &j.dev.workers[worker].latent, j.dev.workers[worker].ws
	for _, share := range j.shares[j.pieces[part][0]:j.pieces[part][1]] {
		unit := &j.units[share.unit]
		j.keys(w, unit)
		for pair := share.lo; pair < share.hi; pair++ {
			j.attend(w, ws, &unit.rows[pair/j.groups], pair%j.groups)
		}
	}
}

// attend computes a group of heads of a row over the run of keys that w has.
func (j *pagedLatent) attend(w *latentScratch, ws *kernel.Workspace, row *latentRow, group int) {
	j.queries(w, row.t, group)
	own, s := &w.sums, &w.sums
	space := w.space
	if row.sums >= 0 {
		own = &j.sums[row.sums+group]
	}
	if row.sums >= 0 && !row.fold {
		s, space = own, j.space[(row.sums+group)*len(w.space):][:len(w.space)]
	}
	s.Reset(j.prec, j.h.C, space)
	ws.Attend(s, &w.queries, &w.keys, j.h.Scale, row.keys, 0)
	if row.fold {
		own.Merge(s)
	}
	if row.last {
		j.out(own, row.t, group)
	}
}

// queries packs a group of heads of row t, if they aren't packed already: [qC | q_rope], as the pages' rows have them.
func (j *pagedLatent) queries(w *latentScratch, t, group int) {
	h, first, q := j.h, group*j.lanes, &w.queries
	if w.packed == [2]int{t, group} {
		return
	}
	w.packed = [2]int{t, group}
	q.Reset(j.prec, min(j.lanes, h.H-first), j.p.width())
	q.Set(0, h.C, j.qC.row(t)[first*h.C:], h.C)
	if h.R > 0 {
		q.Set(j.p.c, h.R, j.q.row(t)[first*(h.N+h.R)+h.N:], h.N+h.R)
	}
}

// keys gathers a unit's keys.
func (j *pagedLatent) keys(w *latentScratch, unit *latentUnit) {
	p, first, size := j.p, unit.run*runKeys%j.p.Rows, j.p.halvesRow()
	inPlace := kernel.KeysInPlace(j.prec)
	switch {
	case inPlace && p.Format == device.PagesBF16:
		w.keys.InPlace(j.prec, p.width(), p.C, p.halves, p.zero/2)
	case inPlace:
		clear(w.halves[runKeys*size:])
		w.keys.InPlace(j.prec, p.width(), p.C, w.halves, runKeys*size)
		w.keys.Place(0, 0, size, unit.keys)
	}
	for i, page := 0, 0; i < unit.keys; page++ {
		n := min(unit.keys-i, p.Rows-first)
		at := p.at(j.layer, unit.table[page], first)
		switch {
		case inPlace && p.Format == device.PagesBF16:
			w.keys.Place(at/2, at/2, p.row/2, n)
		case inPlace:
			for r := range n {
				p.narrow(w.halves[(i+r)*size:][:size], at+r*p.row)
			}
		default:
			for r := range n {
				p.widen(w.floats[(i+r)*p.width():], at+r*p.row, w.halves)
			}
		}
		i, first = i+n, 0
	}
	if !inPlace {
		w.keys.Pack(j.prec, unit.keys, p.width(), p.C, w.floats, p.width(), w.floats, p.width())
	}
}

// out writes a group's outputs of row t.
func (j *pagedLatent) out(s *kernel.Sums, t, group int) {
	first := group * j.lanes
	for i := range min(j.lanes, j.h.H-first) {
		s.Value(j.oC.row(t)[(first+i)*j.h.C:][:j.h.C], i)
	}
}

// latentMergeJob merges runs: a part is some (row, group of heads) pairs.
type latentMergeJob struct {
	span
	*pagedLatent
}

// Do does one part's pairs.
func (j *latentMergeJob) Do(_, part int) {
	lo, hi := j.of(part)
	for pair := lo; pair < hi; pair++ {
		m, group := j.merges[pair/j.groups], pair%j.groups
		s := &j.sums[m.first+group]
		for run := 1; run < m.runs; run++ {
			s.Merge(&j.sums[m.first+run*j.groups+group])
		}
		j.out(s, m.t, group)
	}
}
