package optim

import (
	"math"
	"slices"
	"testing"

	"sprat/device/cpu"
)

func TestAverage(t *testing.T) {
	dev := cpu.New(2)
	defer dev.Close()
	params := testParams(dev)
	const decay = 0.9
	a := NewAverage(dev, slices.Values(params), decay)
	var want [][]float64
	for _, p := range params {
		var w []float64
		for _, x := range p.W.Host() {
			w = append(w, float64(x))
		}
		want = append(want, w)
	}
	for step := range 10 {
		for i, p := range params {
			for j := range p.W.Host() {
				p.W.Host()[j] += float32(step+j) / 7
				want[i][j] = decay*want[i][j] + (1-decay)*float64(p.W.Host()[j])
			}
		}
		a.Update()
	}
	var weights [][]float32
	for _, p := range params {
		weights = append(weights, slices.Clone(p.W.Host()))
	}
	a.Swap()
	for i, p := range params {
		for j, x := range p.W.Host() { // ten roundings of 6e-8, and that of 1 - 0.9
			if math.Abs(float64(x)-want[i][j]) > 1e-6*(1+math.Abs(want[i][j])) {
				t.Fatalf("%s[%d]: the average is %v, want %v", p.Name, j, x, want[i][j])
			}
		}
	}
	a.Swap()
	for i, p := range params {
		if !slices.Equal(p.W.Host(), weights[i]) {
			t.Errorf("%s: swapped twice, the weights differ", p.Name)
		}
	}
}

func TestAverageStateGoesOn(t *testing.T) {
	dev := cpu.New(1)
	defer dev.Close()
	params := testParams(dev)
	a := NewAverage(dev, slices.Values(params), 0.75)
	params[0].W.Host()[0] += 3
	a.Update()
	b := NewAverage(dev, slices.Values(params), 0.75)
	held := map[string][]float32{}
	for name, m := range a.State() {
		held[name] = slices.Clone(m.Host())
	}
	if len(held) != len(params) {
		t.Errorf("%d matrices for %d parameters", len(held), len(params))
	}
	for name, m := range b.State() {
		dev.Upload(m, held[name])
	}
	params[0].W.Host()[0] -= 5
	a.Update()
	b.Update()
	for name, m := range b.State() {
		for n, x := range a.State() {
			if n == name && !slices.Equal(m.Host(), x.Host()) {
				t.Errorf("%s differs", name)
			}
		}
	}
}
