package cpu

import (
	"slices"
	"testing"

	"sprat/device"
	"sprat/tensor"
)

// More matrices than Muon takes at a time come out as each on its own. Without iterations, for time's sake.
func TestMuonInRuns(t *testing.T) {
	d := New(2)
	defer d.Close()
	const n, rows, cols = 3, 1000, muonElements / 1000 / 2 // two at a time
	step := device.MuonStep{LR: 0.1, Momentum: 0.9, GradScale: 1, Scale: 1}
	var w, m, g []tensor.Mat
	for i := range n {
		w, m, g = append(w, d.Alloc(rows, cols, tensor.F32)), append(m, d.Alloc(rows, cols, tensor.F32)), append(g, d.Alloc(rows, cols, tensor.F32))
		for j := range g[i].Host() {
			g[i].Host()[j] = float32((j+i)%7) - 2
		}
	}
	d.Muon(w, m, g, step)
	for i := range n {
		alone, momentum := d.Alloc(rows, cols, tensor.F32), d.Alloc(rows, cols, tensor.F32)
		d.Muon([]tensor.Mat{alone}, []tensor.Mat{momentum}, g[i:i+1], step)
		if !slices.Equal(alone.Host(), w[i].Host()) || !slices.Equal(momentum.Host(), m[i].Host()) {
			t.Errorf("matrix %d is not what it is alone", i)
		}
	}
}
