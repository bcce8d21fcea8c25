package quantize

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/engine"
	"sprat/kernel"
	"sprat/model"
	"sprat/quant"
	"sprat/safetensors"
	"sprat/tensor"
)

// Figures say what a quantised model lost on a text.
type Figures struct {
	Tokens   int     `json:"tokens"`
	Original float64 `json:"original_perplexity"`
	Weights  Loss    `json:"weights"` // the weights alone: all products in float32
	Run      Loss    `json:"run"`     // as it is run: also activations in integers, and a context cache in bfloat16
}

// Loss is the distance of a model from its original.
type Loss struct {
	Perplexity float64 `json:"perplexity"`
	KL         float64 `json:"kl"`         // mean over the tokens of KL(original ‖ quantised), in nats
	SameTop    float64 `json:"same_top"`   // share of the tokens before which both hold the same one for the likeliest
	LogProb    float64 `json:"d_log_prob"` // mean |Δ log p| of the tokens
}

// maxLogits bounds the memory for the original's logits, in numbers.
const maxLogits = 1 << 26

// maxFigureTokens bounds the text that Compare takes.
const maxFigureTokens = 1 << 13

// Compare runs both models over the first tokens of a text, 8,192 or as many as 2^26 logits are, in sequences of a quarter of the
// context and at most 512.
func Compare(ctx context.Context, dev device.Inference, original, quantised fs.FS, text []int32, progress func(what string, done, total int64)) (Figures, error) {
	var f Figures
	m, err := load(original, dev)
	if err != nil {
		return f, fmt.Errorf("the original: %w", err)
	}
	vocab := m.Config.VocabSize
	seqs := sequences(m.Config, text, min(maxFigureTokens, maxLogits/vocab))
	if len(seqs) == 0 {
		return f, fmt.Errorf("a text of %d tokens is too short to measure by", len(text))
	}
	if top := slices.Max(text); int(top) >= vocab || slices.Min(text) < 0 {
		return f, fmt.Errorf("the text has tokens that the model's vocabulary of %d has not: tokenizer and model are of different models", vocab)
	}
	n := len(seqs) * (len(seqs[0]) - 1)
	done := int64(0)
	tell := func() {
		done++
		progress("measuring", done, int64(3*n))
	}
	logits, sum := make([]float32, 0, n*vocab), 0.0
	err = eachLogits(ctx, m, seqs, func(next int32, row []float32) {
		logits = append(logits, row...)
		sum += logSum(row) - float64(row[next])
		tell()
	})
	if err != nil {
		return f, err
	}
	f.Tokens, f.Original = n, math.Exp(sum/float64(n))
	beside := func(l *Loss) func(next int32, row []float32) {
		at := 0
		return func(next int32, row []float32) {
			l.add(logits[at*vocab:(at+1)*vocab], row, next)
			at++
			tell()
		}
	}
	if m, err = load(quantised, dev); err != nil {
		return f, fmt.Errorf("the quantised model: %w", err)
	}
	if err := eachLogits(ctx, m, seqs, beside(&f.Weights)); err != nil {
		return f, err
	}
	if err := eachRunLogits(ctx, dev, quantised, seqs, beside(&f.Run)); err != nil {
		return f, err
	}
	f.Weights.finish(n)
	f.Run.finish(n)
	return f, nil
}

// add counts one position, of which next is the token that follows.
func (l *Loss) add(original, quantised []float32, next int32) {
	zp, zq := logSum(original), logSum(quantised)
	topP, topQ := 0, 0
	for i, v := range original {
		p := float64(v) - zp
		l.KL += math.Exp(p) * (p - float64(quantised[i]) + zq)
		if v > original[topP] {
			topP = i
		}
		if quantised[i] > quantised[topQ] {
			topQ = i
		}
	}
	p, q := float64(original[next])-zp, float64(quantised[next])-zq
	l.Perplexity -= q
	l.LogProb += math.Abs(p - q)
	if topP == topQ {
		l.SameTop++
	}
}

// finish makes means of sums over n tokens.
func (l *Loss) finish(n int) {
	l.KL, l.SameTop, l.LogProb = l.KL/float64(n), l.SameTop/float64(n), l.LogProb/float64(n)
	l.Perplexity = math.Exp(l.Perplexity / float64(n))
}

// logSum is log Σ exp.
func logSum(x []float32) float64 {
	top := float64(kernel.Max(x))
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

// sequences cuts the text into sequences of equal length, up to most tokens in all; each has one more, which is only predicted.
func sequences(cfg *config.Config, text []int32, most int) [][]int32 {
	n := min(maxSequence, max(cfg.MaxPositionEmbeddings/4, 2), most, len(text)-1)
	var list [][]int32
	for i := 0; n > 0 && i+n < len(text) && (len(list)+1)*n <= most; i += n {
		list = append(list, text[i:i+n+1])
	}
	return list
}

// eachLogits calls visit with the logits of every position of the sequences, and the token that follows it.
func eachLogits(ctx context.Context, m *model.Model, seqs [][]int32, visit func(next int32, logits []float32)) error {
	n, vocab := len(seqs[0])-1, m.Config.VocabSize
	dev := m.Device()
	state, out, row := m.NewState(n, false), dev.Alloc(n, vocab, tensor.F32), make([]float32, vocab)
	for _, seq := range seqs {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.Logits(state, model.Batch{IDs: seq[:n], Starts: []int32{0, int32(n)}}, out, nil)
		for i := range n {
			dev.Read(row, out.RowSlice(i, i+1))
			visit(seq[i+1], row)
		}
	}
	return nil
}

// eachRunLogits is eachLogits for the model in a directory as an engine runs it.
func eachRunLogits(ctx context.Context, dev device.Inference, dir fs.FS, seqs [][]int32, visit func(next int32, logits []float32)) error {
	w, files, cfg, err := open(dir)
	if err != nil {
		return err
	}
	defer files.Close()
	n, vocab := len(seqs[0])-1, cfg.VocabSize
	p, err := engine.Pack(cfg, dev, engine.Stored, w, n)
	if err != nil {
		return err
	}
	const rows = engine.PageSize
	table := make([]int32, (n+rows-1)/rows)
	step := model.Step{Contexts: []device.Context{{Rows: n, Table: table}}}
	for i := range table {
		table[i] = int32(i)
	}
	for i := range n {
		step.Pos, step.Logits = append(step.Pos, int32(i)), append(step.Logits, int32(i))
	}
	pass, pages := p.NewPass(n, n), dev.NewPages(p.PagesShape(len(table), rows, device.PagesBF16))
	logits := make([]float32, n*vocab)
	for _, seq := range seqs {
		if err := ctx.Err(); err != nil {
			return err
		}
		step.IDs = seq[:n]
		p.Run(pass, pages, step, logits)
		for i := range n {
			visit(seq[i+1], logits[i*vocab:(i+1)*vocab])
		}
	}
	return nil
}

// fits says so where a model in float32, without its MTP modules, takes more memory than there is.
func fits(cfg *config.Config) error {
	free, ok := engine.AvailableMemory()
	if need := 4 * cost.Count(cfg).Total; ok && need > free {
		return fmt.Errorf("the model takes %.1f GB in float32, and %.1f GB of memory are free", float64(need)/1e9, float64(free)/1e9)
	}
	return nil
}

// load makes a model of a directory, in float32 and without its MTP modules.
func load(dir fs.FS, dev device.Device) (*model.Model, error) {
	w, files, cfg, err := open(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	m := model.New(cfg, dev, model.Options{Positions: min(cfg.MaxPositionEmbeddings, maxSequence)})
	return m, m.Load(w)
}

// open opens the weights of a directory, for a model without MTP modules. The caller closes the files.
func open(dir fs.FS) (*quant.Weights, *safetensors.Reader, *config.Config, error) {
	cfg, err := config.LoadFS(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg.NumNextNPredictLayers = 0
	files, err := safetensors.OpenFS(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	w, err := quant.Open(cfg, files)
	if err == nil {
		err = model.CheckWeights(cfg, w)
	}
	if err != nil {
		files.Close()
		return nil, nil, nil, err
	}
	return w, files, cfg, nil
}

// maxSequence bounds a sequence of a text.
const maxSequence = 512
