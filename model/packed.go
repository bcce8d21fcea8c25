package model

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"sprat/config"
	"sprat/device"
	"sprat/nn"
	"sprat/tensor"
)

// Packed is a model's weights in the form that inference reads: laid out for the device's kernels, in the formats chosen for them,
// and without gradients. What one product can compute lies in one Weight. Pack makes it from a checkpoint or from the Model that
// a trainer holds; Fill does it again after an update.
type Packed struct {
	Config  *config.Config
	Version int // counts the calls of Fill

	dev       device.Inference
	embedding device.Weight // [vocab, D]
	layers    []packedLayer
	norm      nn.RMSNorm
	head      device.Weight // [vocab, D]; the embedding where the config ties them
	rope      nn.RoPE
	heads     device.Heads
	formats   Formats
	builder   nn.Builder
	pieces    []piece
	bytes     int64
}

// packedLayer is a Block. One of attn and gqa, and one of mlp and moe, is not nil.
type packedLayer struct {
	inputNorm, postNorm nn.RMSNorm
	attn                *packedMLA
	gqa                 *packedGQA
	mlp                 *packedMLP
	moe                 *packedMoE
}

type packedMLA struct {
	down              device.Weight // [W_DQ; W_DKV; W_KR], [Q+C+R, D]; without a query latent [W_UQ and W_QR; W_DKV; W_KR]
	qNorm, kvNorm     nn.RMSNorm
	up                device.Weight // W_UQ and W_QR, [H·(N+R), Q]; nil without a query latent
	wUK, wUV, outProj device.Weight // H parts [C, N], W_UKᵀ; H parts [V, C]; W_O [D, H·V]
}

type packedGQA struct {
	qkv     device.Weight // [W_Q; W_K; W_V]
	outProj device.Weight
}

type packedMLP struct {
	gateUp, down device.Weight // [2F, D] [D, F]
}

type packedMoE struct {
	gate                     device.Weight // e_i, [E, D], in float32
	bias                     tensor.Mat    // as Gate's
	spec                     device.RouteSpec
	gateUp, down             device.Weight // E parts [2F, D]; E parts [D, F]
	sharedGateUp, sharedDown device.Weight // nil where there is none
}

// piece says where a tensor of the checkpoint goes.
type piece struct {
	name      string
	w         device.Weight
	part, row int
	heads     bool // kv_b_proj: each head's rows [W_UK | W_UV] go to w, turned, and to uv
	uv        device.Weight
}

// PackedSource is where Pack reads from, several tensors at once.
type PackedSource interface {
	ReadFloat32(name string, dst []float32) error
	// Values sets v to the tensor as it is stored, quantised where it is, otherwise as float32, in the space that v has. Format is the
	// format that keeps it so.
	Values(name string, v *device.Values) error
	Format(name string) device.Format
}

// Formats chooses the format of a weight by its Hugging Face key. Tensors that share a Weight (gate_proj and up_proj; all experts
// of a layer; q_a_proj and kv_a_proj_with_mqa) get the format of the first. Norms and the gate stay float32.
type Formats func(name string) device.Format

// Pack allocates the form of cfg and fills it from w, which CheckWeights has passed. Precision is that of attention's products.
func Pack(cfg *config.Config, dev device.Inference, positions int, precision device.Precision, formats Formats, w PackedSource) (*Packed, error) {
	p := &Packed{Config: cfg, dev: dev, formats: formats, builder: nn.Builder{Dev: dev}}
	p.rope = nn.NewRoPE(dev, cfg.RoPEFrequencies(), cfg.RoPEMagnitude(), positions)
	p.embedding = p.stack(1, cfg.VocabSize, cfg.HiddenSize, at("model.embed_tokens.weight", 0, 0))
	for i := range cfg.NumHiddenLayers {
		p.layers = append(p.layers, p.layer(i, precision))
	}
	p.norm = p.builder.RMSNorm("model.norm.weight", cfg.HiddenSize, cfg.RMSNormEps)
	if p.head = p.embedding; !cfg.TieWordEmbeddings {
		p.head = p.stack(1, cfg.VocabSize, cfg.HiddenSize, at("lm_head.weight", 0, 0))
	}
	return p, p.Fill(w)
}

func at(name string, part, row int) piece { return piece{name: name, part: part, row: row} }

// stack allocates a weight for the pieces.
func (p *Packed) stack(parts, n, k int, pieces ...piece) device.Weight {
	return p.stackOf(p.formats(pieces[0].name), parts, n, k, pieces...)
}

func (p *Packed) stackOf(f device.Format, parts, n, k int, pieces ...piece) device.Weight {
	w := p.dev.NewWeight(parts, n, k, f)
	p.bytes += w.Bytes()
	for _, x := range pieces {
		x.w = w
		p.pieces = append(p.pieces, x)
	}
	return w
}

func (p *Packed) layer(i int, precision device.Precision) packedLayer {
	cfg, prefix := p.Config, fmt.Sprintf("model.layers.%d", i)
	l := packedLayer{
		inputNorm: p.builder.RMSNorm(prefix+".input_layernorm.weight", cfg.HiddenSize, cfg.RMSNormEps),
		postNorm:  p.builder.RMSNorm(prefix+".post_attention_layernorm.weight", cfg.HiddenSize, cfg.RMSNormEps),
	}
	if cfg.IsGQA() {
		l.gqa = p.packGQA(prefix+".self_attn", precision)
	} else {
		l.attn = p.packMLA(prefix+".self_attn", precision)
	}
	if cfg.IsMoE(i) {
		l.moe = p.packMoE(prefix + ".mlp")
	} else {
		l.mlp = p.packMLP(prefix+".mlp", cfg.IntermediateSize)
	}
	return l
}

func (p *Packed) packMLA(prefix string, precision device.Precision) *packedMLA {
	cfg, h := p.Config, headsOf(p.Config)
	h.Precision = precision
	p.heads = h
	d, q, width := cfg.HiddenSize, cfg.QLoRARank, h.H*(h.N+h.R)
	a := &packedMLA{kvNorm: p.builder.RMSNorm(prefix+".kv_a_layernorm.weight", h.C, latentNormEps)}
	first, rows := at(prefix+".q_proj.weight", 0, 0), width
	if q > 0 {
		first, rows = at(prefix+".q_a_proj.weight", 0, 0), q
		a.qNorm = p.builder.RMSNorm(prefix+".q_a_layernorm.weight", q, latentNormEps)
		a.up = p.stack(1, width, q, at(prefix+".q_b_proj.weight", 0, 0))
	}
	a.down = p.stack(1, rows+h.C+h.R, d, first, at(prefix+".kv_a_proj_with_mqa.weight", 0, rows))
	kvB := piece{name: prefix + ".kv_b_proj.weight", heads: true}
	a.wUV = p.dev.NewWeight(h.H, h.V, h.C, p.formats(kvB.name))
	p.bytes += a.wUV.Bytes()
	kvB.uv = a.wUV
	a.wUK = p.stack(h.H, h.C, h.N, kvB)
	a.outProj = p.stack(1, d, h.H*h.V, at(prefix+".o_proj.weight", 0, 0))
	return a
}

func (p *Packed) packGQA(prefix string, precision device.Precision) *packedGQA {
	cfg := p.Config
	d, h, g, width := cfg.HiddenSize, cfg.NumAttentionHeads, cfg.NumKeyValueHeads, cfg.HeadDim
	p.heads = device.Heads{H: h, N: width, V: width, C: 2 * width, Scale: float32(cfg.SoftmaxScale()), Precision: precision}
	return &packedGQA{
		qkv: p.stack(1, (h+2*g)*width, d, at(prefix+".q_proj.weight", 0, 0),
			at(prefix+".k_proj.weight", 0, h*width), at(prefix+".v_proj.weight", 0, (h+g)*width)),
		outProj: p.stack(1, d, h*width, at(prefix+".o_proj.weight", 0, 0)),
	}
}

func (p *Packed) packMLP(prefix string, f int) *packedMLP {
	d := p.Config.HiddenSize
	return &packedMLP{
		gateUp: p.stack(1, 2*f, d, at(prefix+".gate_proj.weight", 0, 0), at(prefix+".up_proj.weight", 0, f)),
		down:   p.stack(1, d, f, at(prefix+".down_proj.weight", 0, 0)),
	}
}

func (p *Packed) packMoE(prefix string) *packedMoE {
	cfg := p.Config
	e, d, f := cfg.NRoutedExperts, cfg.HiddenSize, cfg.MoEIntermediateSize
	m := &packedMoE{gate: p.stackOf(device.FormatF32, 1, e, d, at(prefix+".gate.weight", 0, 0)), spec: routeSpec(cfg)}
	if cfg.TopKMethod == "noaux_tc" {
		m.bias = p.builder.Buffer(prefix+".gate.e_score_correction_bias", e)
	}
	var gateUp, down []piece
	for j := range e {
		expert := fmt.Sprintf("%s.experts.%d", prefix, j)
		gateUp = append(gateUp, at(expert+".gate_proj.weight", j, 0), at(expert+".up_proj.weight", j, f))
		down = append(down, at(expert+".down_proj.weight", j, 0))
	}
	m.gateUp, m.down = p.stack(e, 2*f, d, gateUp...), p.stack(e, d, f, down...)
	if cfg.NSharedExperts > 0 {
		shared := p.packMLP(prefix+".shared_experts", cfg.NSharedExperts*f)
		m.sharedGateUp, m.sharedDown = shared.gateUp, shared.down
	}
	return m
}

// Fill sets every weight from w. Passes made before it see the new weights; no pass may run meanwhile.
func (p *Packed) Fill(w PackedSource) error {
	p.Version++
	for _, param := range p.builder.Params {
		values := make([]float32, param.W.Rows*param.W.Cols)
		if err := w.ReadFloat32(param.Name, values); err != nil {
			return err
		}
		p.dev.Upload(param.W, values)
	}
	return p.fillPieces(w)
}

// fillPieces reads tensors and lays them out on all cores, each as it comes.
func (p *Packed) fillPieces(w PackedSource) error {
	pieces := make(chan piece, len(p.pieces))
	for _, x := range p.pieces {
		pieces <- x
	}
	close(pieces)
	workers := runtime.GOMAXPROCS(0)
	errs := make(chan error, workers)
	for range workers {
		go func() {
			var err error
			var v device.Values
			for x := range pieces {
				if err == nil {
					err = p.fill(x, w, &v)
				}
			}
			errs <- err
		}()
	}
	var all error
	for range workers {
		all = cmp.Or(all, <-errs)
	}
	return all
}

// fill sets a piece from its tensor: as it is stored, if that is the format of the weight, otherwise by way of float32.
func (p *Packed) fill(x piece, w PackedSource, v *device.Values) error {
	if err := w.Values(x.name, v); err != nil {
		return err
	}
	if v.F32 == nil && (x.heads || w.Format(x.name) != x.w.Format()) {
		*v = device.Values{Rows: v.Rows, Cols: v.Cols, F32: make([]float32, v.Rows*v.Cols)}
		if err := w.ReadFloat32(x.name, v.F32); err != nil {
			return err
		}
	}
	if x.heads {
		p.fillHeads(x, v)
	} else {
		p.dev.FillWeight(x.w, x.part, x.row, *v)
	}
	return nil
}

// fillHeads parts kv_b_proj into W_UK, turned, and W_UV. Each is rounded for the axis that it is contracted over.
func (p *Packed) fillHeads(x piece, both *device.Values) {
	h := p.heads
	turned := make([]float32, h.C*h.N)
	for i := range h.H {
		uk := both.F32[i*(h.N+h.V)*h.C:]
		for n := range h.N {
			for c := range h.C {
				turned[c*h.N+n] = uk[n*h.C+c]
			}
		}
		p.dev.FillWeight(x.w, i, 0, device.Values{Rows: h.C, Cols: h.N, F32: turned})
		p.dev.FillWeight(x.uv, i, 0, device.Values{Rows: h.V, Cols: h.C, F32: uk[h.N*h.C:][:h.V*h.C]})
	}
}

// Bytes is the memory of the weights.
func (p *Packed) Bytes() int64 {
	n := p.bytes
	for _, param := range p.builder.Params {
		n += 4 * int64(param.W.Rows) * int64(param.W.Cols)
	}
	return n
}

// TokenBytes is how many bytes of weights a token's pass reads: of experts those chosen, of the embedding nothing that counts.
func (p *Packed) TokenBytes() int64 {
	n := p.Bytes() - p.embedding.Bytes()
	if p.head == p.embedding {
		n = p.Bytes()
	}
	for i := range p.layers {
		if m := p.layers[i].moe; m != nil {
			all := m.gateUp.Bytes() + m.down.Bytes()
			n -= all - all*int64(p.Config.NumExpertsPerTok)/int64(p.Config.NRoutedExperts)
		}
	}
	return n
}

// Mixtures is how many layers have experts.
func (p *Packed) Mixtures() (n int) {
	for i := range p.layers {
		if p.layers[i].moe != nil {
			n++
		}
	}
	return n
}

// Positions is the longest sequence.
func (p *Packed) Positions() int { return p.rope.Positions() }

// trained lets Pack read the Model that a trainer holds.
type trained struct {
	*Model
	byName map[string]*tensor.Param
}

// Source is m's weights as they are now, for Pack and Fill.
func (m *Model) Source() PackedSource {
	t := trained{m, map[string]*tensor.Param{}}
	for _, p := range m.params {
		t.byName[p.Name] = p
	}
	return t
}

func (t trained) ReadFloat32(name string, dst []float32) error {
	p, ok := t.byName[name]
	if !ok || len(dst) != p.W.Rows*p.W.Cols {
		return fmt.Errorf("the model has no parameter %s of %d numbers", name, len(dst))
	}
	t.dev.Read(dst, p.W)
	return nil
}

func (t trained) Format(string) device.Format { return device.FormatF32 }

func (t trained) Values(name string, v *device.Values) error {
	p, ok := t.byName[name]
	if !ok {
		return fmt.Errorf("the model has no parameter %s", name)
	}
	n := p.W.Rows * p.W.Cols
	*v = device.Values{Rows: p.W.Rows, Cols: p.W.Cols, F32: slices.Grow(v.F32[:0], n)[:n]}
	return t.ReadFloat32(name, v.F32)
}

// Uniform keeps every weight in f.
func Uniform(f device.Format) Formats { return func(string) device.Format { return f } }

// Quantized keeps weights in f, the embedding in bfloat16, and what is sensitive and small in 8 bits where f has fewer: the head and
// kv_b_proj, on which each key and value depends.
func Quantized(cfg *config.Config, f device.Format) Formats {
	head := []string{"lm_head.weight"}
	if cfg.TieWordEmbeddings {
		head = append(head, "model.embed_tokens.weight")
	}
	return func(name string) device.Format {
		switch {
		case slices.Contains(head, name) || strings.HasSuffix(name, ".kv_b_proj.weight"):
			return device.FormatInt8
		case name == "model.embed_tokens.weight":
			return device.FormatBF16
		}
		return f
	}
}
