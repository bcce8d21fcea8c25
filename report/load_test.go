package report

import (
	"image/color"
	"math"
	"strings"
	"testing"
)

func TestLoadColor(t *testing.T) {
	over, under := color.NRGBA{0xe8, 0x6a, 0x17, 0}, color.NRGBA{0x2a, 0x7d, 0xe1, 0}
	dense := func(c color.NRGBA, a uint8) color.NRGBA { c.A = a; return c }
	for v, want := range map[float64]color.NRGBA{
		1: over, 2: dense(over, 127), 4: dense(over, 255), 100: dense(over, 255), 0.5: dense(under, 127), 0.25: dense(under, 255), 0: dense(under, 255),
		-1: dense(under, 255), math.NaN(): {0x80, 0x80, 0x80, 0x60},
	} {
		if got := loadColor(v); got != want {
			t.Errorf("a load of %v is %v, want %v", v, got, want)
		}
	}
}

// TestLoadImage looks at each pixel of a small picture: layers from the top, an empty row between, time from the left.
func TestLoadImage(t *testing.T) {
	r := &Run{
		Steps: []Step{{Step: 1, Tokens: 10}, {Step: 2, Tokens: 20}, {Step: 4, Tokens: 40}},
		Loads: []Load{{Step: 2, Layers: []Floats{{4, 0}, {1}}}, {Step: 4, Layers: []Floats{{0, 4}, {2}}}},
	}
	m := r.loadImage(byTokens)
	if b := m.pixels.Bounds(); b.Dx() != 2 || b.Dy() != 4 || m.right != 40 || !strings.Contains(m.rows, "a row an expert") {
		t.Fatalf("the picture is %v up to %v: %s", b, m.right, m.rows)
	}
	for x, column := range [][]float64{{4, 0, -1, 1}, {0, 4, -1, 2}} {
		for y, v := range column {
			want := loadColor(v)
			if v < 0 {
				want = color.NRGBA{} // between layers
			}
			if got := m.pixels.NRGBAAt(x, y); got != want {
				t.Errorf("at %d, %d: %v, want %v", x, y, got, want)
			}
		}
	}
	if len(m.layers) != 2 || m.layers[0].Label != "layer 1" || m.layers[0].Value != 3 || m.layers[1].Value != 0.5 {
		t.Errorf("labels are %v", m.layers)
	}
	if (&Run{}).loadImage(byTokens) != nil || (&Run{Loads: []Load{{}}}).loadImage(byTokens) != nil {
		t.Error("a picture of nothing")
	}
}

// TestManyExperts has more than there are rows: layers are told apart, and their extremes stay. The
// earlier load lacks most of the layers.
func TestManyExperts(t *testing.T) {
	l := Load{Step: 2}
	for range 100 {
		layer := make(Floats, 256)
		for i := range layer {
			layer[i] = 1
		}
		layer[77], layer[200] = 4, 0
		l.Layers = append(l.Layers, layer)
	}
	r := &Run{Steps: []Step{{Step: 1, Tokens: 10}, {Step: 2, Tokens: 20}}, Loads: []Load{{Step: 1, Layers: l.Layers[:3]}, l}}
	m := r.loadImage(byTokens)
	if rows := m.pixels.Bounds().Dy(); rows != loadLayers*(loadRanks+1)-1 || len(m.layers) > 8 || !strings.Contains(m.rows, "the most loaded") {
		t.Fatalf("%d rows, %d labels: %s", rows, len(m.layers), m.rows)
	}
	last := m.pixels.Bounds().Dx() - 1
	for layer := range loadLayers {
		top, below := layer*(loadRanks+1), layer*(loadRanks+1)+loadRanks-1
		if m.pixels.NRGBAAt(last, top) != loadColor(4) || m.pixels.NRGBAAt(last, below) != loadColor(0) || m.pixels.NRGBAAt(last, top+1) != loadColor(1) {
			t.Fatalf("layer %d lost its extremes", layer+1)
		}
	}
	if l.Layers[0][77] != 4 {
		t.Error("drawing sorted the record")
	}
}
