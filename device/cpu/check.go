package cpu

import (
	"fmt"
	"slices"

	"sprat/device"
	"sprat/tensor"
)

// want panics unless m is a rows x cols matrix of float32.
func want(op, name string, m tensor.Mat, rows, cols int) {
	wantType(op, name, m, rows, cols, tensor.F32)
}

// wantInts panics unless m is a rows x cols matrix of int32.
func wantInts(op, name string, m tensor.Mat, rows, cols int) {
	wantType(op, name, m, rows, cols, tensor.I32)
}

// optional is want for a matrix that may be left out.
func optional(op, name string, m tensor.Mat, rows, cols int) {
	if !m.IsZero() {
		want(op, name, m, rows, cols)
	}
}

func wantType(op, name string, m tensor.Mat, rows, cols int, t tensor.DType) {
	switch {
	case m.IsZero():
		panic(fmt.Sprintf("cpu: %s: %s is missing, want %d x %d", op, name, rows, cols))
	case m.Rows != rows || m.Cols != cols:
		panic(fmt.Sprintf("cpu: %s: %s is %d x %d, want %d x %d", op, name, m.Rows, m.Cols, rows, cols))
	case m.DType != t:
		panic(fmt.Sprintf("cpu: %s: %s [%d x %d] has elements of type %d, want %d", op, name, rows, cols, m.DType, t))
	case m.Rows > 1 && m.Stride < m.Cols:
		panic(fmt.Sprintf("cpu: %s: %s [%d x %d] has stride %d", op, name, rows, cols, m.Stride))
	}
}

// wantBelow panics unless the ints of a column are in [0, n).
func wantBelow(op, name string, m ints, rows, n int) {
	for t := range rows {
		if i := m.at(t, 0); i < 0 || i >= n {
			panic(fmt.Sprintf("cpu: %s: %s[%d] = %d, want it in [0, %d)", op, name, t, i, n))
		}
	}
}

// wantStarts panics unless starts cuts [0, rows) into sequences.
func wantStarts(op string, starts []int32, rows int) {
	if len(starts) == 0 || starts[0] != 0 || int(starts[len(starts)-1]) != rows {
		panic(fmt.Sprintf("cpu: %s: starts %v, want 0 … %d", op, starts, rows))
	}
	for b := 1; b < len(starts); b++ {
		if starts[b] < starts[b-1] {
			panic(fmt.Sprintf("cpu: %s: starts %v descend", op, starts))
		}
	}
}

func wantRouting(op string, r device.Routing, t, e, k int) {
	want(op, "score", r.Score, t, e)
	wantInts(op, "index", r.Index, t, k)
	want(op, "weight", r.Weight, t, k)
	wantInts(op, "start", r.Start, 1, e+1)
	wantInts(op, "slot", r.Slot, t, k)
	wantInts(op, "token", r.Token, t*k, 1)
}

// wantSpec panics where spec cannot choose TopK experts.
func wantSpec(op string, s device.RouteSpec) {
	allowed := s.Experts
	if limited(s) {
		if s.TopGroups < 1 || s.Experts%s.Groups != 0 {
			panic(fmt.Sprintf("cpu: %s: %d of %d groups of %d experts", op, s.TopGroups, s.Groups, s.Experts))
		}
		allowed = s.Experts / s.Groups * s.TopGroups
	}
	if s.TopK < 1 || s.TopK > allowed {
		panic(fmt.Sprintf("cpu: %s: %d experts chosen of %d", op, s.TopK, allowed))
	}
}

// wantChosen panics unless every row that does not begin with a negative number has experts in [0, n), no one twice.
func wantChosen(op string, index ints, rows, n int) {
	for t := range rows {
		row := index.row(t)
		if row[0] < 0 {
			continue
		}
		for k, e := range row {
			if e < 0 || int(e) >= n || slices.Contains(row[:k], e) {
				panic(fmt.Sprintf("cpu: %s: index[%d] = %v, want experts in [0, %d), none twice", op, t, row, n))
			}
		}
	}
}
