package quantize

import (
	"context"
	"fmt"
	"strings"

	"sprat/config"
	"sprat/device"
	"sprat/model"
	"sprat/quant"
	"sprat/tensor"
)

// Calibration runs the model over the text a layer at a time. A layer's pass gives the second moments of what each of its linear
// layers reads; they are rounded by those (quant.Calibrated); and then the layer runs again as it is now, so that the next one is
// rounded by what it will read: its rounding makes up for some of the errors before it.
//
// An expert is rounded by the tokens that chose it. Where those are fewer than its inputs' width, its moments are mostly what has
// been added to their diagonal, which is close to rounding to nearest; under minTokens it is rounded to nearest.

// minTokens is the fewest tokens that an expert is rounded by.
const minTokens = 32

// maxCalibrate bounds the tokens to calibrate by.
const maxCalibrate = 1 << 16

type calibrator struct {
	m      *model.Model
	dev    *listener
	state  *model.State
	text   [][]int32
	x, y   []tensor.Mat // [T, D] of each sequence: the layer's input, and space for its output
	params map[string]*tensor.Param
	layer  int // whose input x is
	factor map[*moment]*quant.Moments
}

// newCalibrator loads the model of j.
func (j *job) newCalibrator() (*calibrator, error) {
	c := &calibrator{dev: &listener{Device: j.dev}, params: map[string]*tensor.Param{}, layer: -1}
	err := fits(j.cfg)
	if err == nil {
		c.m, err = load(j.from, c.dev)
	}
	if err != nil {
		return nil, err
	}
	c.text = sequences(j.cfg, j.o.Text.Calibrate, maxCalibrate)
	if len(c.text) == 0 {
		return nil, fmt.Errorf("a text of %d tokens is too short to calibrate by", len(j.o.Text.Calibrate))
	}
	for p := range c.m.Params() {
		c.params[p.Name] = p
	}
	n := len(c.text[0]) - 1
	c.state = c.m.NewState(n, false)
	for range c.text {
		c.x = append(c.x, j.dev.Alloc(n, j.cfg.HiddenSize, tensor.F32))
		c.y = append(c.y, j.dev.Alloc(n, j.cfg.HiddenSize, tensor.F32))
	}
	return c, nil
}

// tokens is the length of the text.
func (c *calibrator) tokens() int { return len(c.text) * (len(c.text[0]) - 1) }

// batch is a sequence without its last token, which nothing is predicted from.
func batch(seq []int32) model.Batch {
	n := len(seq) - 1
	return model.Batch{IDs: seq[:n], Starts: []int32{0, int32(n)}}
}

// enter goes on to a layer, the next after the last one, and listens to it.
func (c *calibrator) enter(ctx context.Context, layer int, names []string) error {
	for i, seq := range c.text {
		if err := ctx.Err(); err != nil {
			return err
		}
		if layer == 0 {
			c.m.Embed(c.state, batch(seq), c.x[i])
		} else {
			c.m.ForwardLayer(c.state, batch(seq), layer-1, c.y[i], c.x[i]) // as it is now
		}
	}
	if layer > 0 {
		c.x, c.y = c.y, c.x
	}
	c.layer, c.factor = layer, map[*moment]*quant.Moments{}
	c.dev.begin(c.params, names)
	defer c.dev.end()
	for i, seq := range c.text {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.m.ForwardLayer(c.state, batch(seq), layer, c.y[i], c.x[i])
	}
	return nil
}

// round rounds a weight of the layer. ok is false where too few tokens have reached it.
func (c *calibrator) round(e entry, x []float32, group int) (m *quant.Ints, ok bool, err error) {
	heard := c.dev.heard[e.name]
	if heard == nil || heard.tokens < minTokens {
		return nil, false, nil
	}
	f, ok := c.factor[heard]
	if !ok {
		h := make([]float32, heard.h.Rows*heard.h.Cols)
		c.dev.Read(h, heard.h)
		if f, err = quant.NewMoments(h, heard.h.Cols); err != nil {
			return nil, false, nil
		}
		c.factor[heard] = f
	}
	if m, err = quant.Calibrated(x, e.shape[0], e.shape[1], e.bits, group, f); err != nil {
		return nil, false, err
	}
	m.Float32(x)
	c.dev.Upload(c.params[e.name].W, x)
	return m, true, nil
}

// layerOf is the decoder layer that a tensor belongs to; ok is false for others, and for MTP modules.
func layerOf(cfg *config.Config, name string) (layer int, ok bool) {
	_, err := fmt.Sscanf(name, "model.layers.%d.", &layer)
	return layer, err == nil && layer < cfg.NumHiddenLayers && strings.HasPrefix(name, "model.layers.")
}

// moment is Σ x·xᵀ over the inputs x of a linear layer.
type moment struct {
	h      tensor.Mat // [k, k]
	tokens int
}

// listener is a Device that adds up the second moments of what some weights are multiplied with.
type listener struct {
	device.Device
	weights map[weightAt]*moment
	heard   map[string]*moment // by the parameter's name; those that lie in one matrix share it
	wanted  []*tensor.Param
}

// weightAt is where a matrix begins.
type weightAt struct {
	mem tensor.Memory
	off int
}

// begin listens for the named parameters.
func (l *listener) begin(params map[string]*tensor.Param, names []string) {
	l.weights, l.heard, l.wanted = map[weightAt]*moment{}, map[string]*moment{}, nil
	for _, name := range names {
		l.wanted = append(l.wanted, params[name])
	}
}

// end stops listening; what was heard stays.
func (l *listener) end() { l.weights = nil }

// add adds rows x that were multiplied with w, if w is or holds something wanted.
func (l *listener) add(w, x tensor.Mat) {
	if l.weights == nil || x.Rows == 0 {
		return
	}
	at := weightAt{w.Mem, w.Off}
	m, known := l.weights[at]
	if !known {
		for _, p := range l.wanted {
			if p.W.Mem == w.Mem && p.W.Off >= w.Off && p.W.Off < w.Off+w.Rows*w.Stride {
				if m == nil {
					m = &moment{h: l.Alloc(x.Cols, x.Cols, tensor.F32)}
				}
				l.heard[p.Name] = m
			}
		}
		l.weights[at] = m
	}
	if m != nil {
		m.tokens += x.Rows
		l.LinearBackward(tensor.Mat{}, m.h, x, x, m.h, device.F32) // h += xᵀ·x
	}
}

// Linear implements device.Device.
func (l *listener) Linear(y, x, w tensor.Mat, p device.Precision, add bool) {
	l.add(w, x)
	l.Device.Linear(y, x, w, p, add)
}

// Experts implements device.Device.
func (l *listener) Experts(y, x, gateUp, down tensor.Mat, r device.Routing, s device.ExpertsSaved, p device.Precision) {
	l.Device.Experts(y, x, gateUp, down, r, s, p)
	if l.weights == nil {
		return
	}
	n := r.Start.Cols - 1
	start := make([]int32, n+1)
	l.ReadInts(start, r.Start)
	for e := range n {
		lo, hi := int(start[e]), int(start[e+1])
		l.add(gateUp.RowSlice(e*gateUp.Rows/n, (e+1)*gateUp.Rows/n), s.X.RowSlice(lo, hi))
		l.add(down.RowSlice(e*down.Rows/n, (e+1)*down.Rows/n), s.Act.RowSlice(lo, hi))
	}
}
