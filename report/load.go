package report

import (
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
)

// Limits of the picture of loads: its columns, its rows, and the rows of a layer where not every expert can have one.
const (
	loadColumns = 120
	loadRows    = 600
	loadRanks   = 8
	loadLayers  = 64
)

// loadImage draws r's loads, nil where there are none. An expert is a row; where they are too many, a layer is loadRanks rows, its
// experts in order of load at each time.
func (r *Run) loadImage(a axis) *loadImage {
	if len(r.Loads) == 0 {
		return nil
	}
	last := r.Loads[len(r.Loads)-1]
	layers := min(len(last.Layers), loadLayers)
	heights, rows := make([]int, layers), 0
	for i := range heights {
		heights[i] = len(last.Layers[i])
		rows += heights[i] + 1
	}
	ranked, what := rows > loadRows, "a row an expert"
	if ranked {
		rows, what = 0, "of each layer the most loaded expert on top, the least below"
		for i := range heights {
			heights[i] = min(heights[i], loadRanks)
			rows += heights[i] + 1
		}
	}
	if rows -= 1; rows < 1 {
		return nil
	}
	places := r.loadPlaces(a)
	m := &loadImage{rows: what, right: places[len(places)-1]}
	width := min(len(r.Loads), loadColumns)
	m.pixels = image.NewNRGBA(image.Rect(0, 0, width, rows))
	for x := range width {
		at := m.right * float64(x+1) / float64(width) // the last load known at the column's end
		i, found := slices.BinarySearch(places, at)
		if !found {
			i = max(i-1, 0)
		}
		r.Loads[i].column(m.pixels, x, heights, ranked)
	}
	y := rows
	every := (layers + 7) / 8
	for i, h := range heights {
		if i%every == 0 {
			m.layers = append(m.layers, plot.Tick{Value: float64(y) - float64(h)/2, Label: "layer " + strconv.Itoa(i+1)})
		}
		y -= h + 1
	}
	return m
}

// loadPlaces are the loads' places on an axis. A Load has but a step, so tokens and time are those of the steps beside it.
func (r *Run) loadPlaces(a axis) []float64 {
	places := make([]float64, len(r.Loads))
	for i, l := range r.Loads {
		at, _ := slices.BinarySearchFunc(r.Steps, l.Step, func(s Step, step int) int { return s.Step - step })
		var s Step
		if at = min(at, len(r.Steps)-1); at >= 0 {
			s = r.Steps[at]
		}
		places[i] = r.at(a, l.Step, s.Tokens, s.Seconds)
		if i > 0 {
			places[i] = max(places[i], places[i-1])
		}
	}
	if places[len(places)-1] <= 0 {
		places[len(places)-1] = 1
	}
	return places
}

// column paints l at x, layers from the top with an empty row between.
func (l Load) column(pixels *image.NRGBA, x int, heights []int, ranked bool) {
	y := 0
	for i, h := range heights {
		var layer Floats
		if i < len(l.Layers) {
			layer = l.Layers[i]
		}
		if ranked {
			layer = slices.Clone(layer)
			slices.Sort(layer)
			slices.Reverse(layer)
		}
		for row := range h {
			at := row
			if ranked && h > 1 {
				at = row * (len(layer) - 1) / (h - 1)
			}
			v := math.NaN()
			if at >= 0 && at < len(layer) {
				v = layer[at]
			}
			pixels.SetNRGBA(x, y+row, loadColor(v))
		}
		y += h + 1
	}
}

// loadColor is nothing for an even load of 1, and denser the further from it: orange over, blue under, full at four times and at
// a quarter. Being see-through where it is even, it suits a dark page and a light one.
func loadColor(v float64) color.NRGBA {
	c := color.NRGBA{R: 0xe8, G: 0x6a, B: 0x17}
	d := math.Log2(max(v, 0)) / 2
	switch {
	case math.IsNaN(d):
		return color.NRGBA{R: 0x80, G: 0x80, B: 0x80, A: 0x60}
	case d < 0:
		c = color.NRGBA{R: 0x2a, G: 0x7d, B: 0xe1}
	}
	c.A = uint8(255 * min(math.Abs(d), 1))
	return c
}
