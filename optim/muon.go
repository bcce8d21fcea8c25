package optim

import (
	"iter"
	"math"
	"strings"

	"sprat/device"
	"sprat/tensor"
)

// muon is the matrices of one shape and their momenta, in lists that the device steps together: of experts there are many.
type muon struct {
	names   []string
	w, m, g []tensor.Mat
}

// NewMuon makes an optimizer that moves matrices by Muon, each along its momentum made orthogonal, and by AdamW what is no map
// from vectors to vectors: embedding, head, and vectors. It follows Moonlight (arXiv 2502.16982), Kimi K2 and V4: a matrix is a
// parameter of the checkpoint, gate included, so that an expert's gate and up are two; and the update is scaled to the root mean
// square that AdamW's has, 0.2, so that learning rate and weight decay carry over. It allocates one number for each weight of a
// matrix. precision is that of the products that make matrices orthogonal; published runs use bfloat16.
func NewMuon(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64, precision device.Precision) *Optimizer {
	o := newOptimizer(dev, params, weightDecay)
	o.precision = precision
	byShape := map[[2]int]*muon{}
	for _, p := range o.params {
		if !p.IsMatrix() || isTable(p.Name) {
			o.adamW = append(o.adamW, newAdamW(dev, p))
			continue
		}
		shape := [2]int{p.W.Rows, p.W.Cols}
		u := byShape[shape]
		if u == nil {
			u = &muon{}
			byShape[shape] = u
			o.muon = append(o.muon, u)
		}
		u.names = append(u.names, p.Name)
		u.w, u.g = append(u.w, p.W), append(u.g, p.G)
		u.m = append(u.m, dev.Alloc(p.W.Rows, p.W.Cols, tensor.F32))
	}
	return o
}

// isTable tells whether a parameter is the embedding or the head, whose rows are tokens' own.
func isTable(name string) bool {
	return strings.HasSuffix(name, "embed_tokens.weight") || name == "lm_head.weight"
}

const (
	muonMomentum = 0.95
	muonRMS      = 0.2 // of the update
)

// newtonSchulz is five iterations that bring singular values from 0.002 of the norm up to between 0.68 and 1.2.
var newtonSchulz = [][3]float32{quintic, quintic, quintic, quintic, quintic}

var quintic = [3]float32{3.4445, -4.7750, 2.0315}

// stepMuon scales by rms·sqrt(max(rows, cols)): an orthogonal matrix has a mean square of 1/max(rows, cols).
func (o *Optimizer) stepMuon(lr, scale float64) {
	for _, u := range o.muon {
		o.dev.Muon(u.w, u.m, u.g, device.MuonStep{
			LR: float32(lr), Momentum: muonMomentum, WeightDecay: float32(o.WeightDecay),
			GradScale:   float32(scale),
			Scale:       float32(muonRMS * math.Sqrt(float64(max(u.w[0].Rows, u.w[0].Cols)))),
			Polynomials: newtonSchulz, Precision: o.precision,
		})
	}
}
