package quantize

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"sprat/config"
	"sprat/device"
	"sprat/kernel"
	"sprat/model"
	"sprat/quant"
	"sprat/safetensors"
	"sprat/tensor"
)

// Figures say what a quantised model lost on a text.
type Figures struct {
	Tokens     int     `json:"tokens"`
	Perplexity float64 `json:"perplexity"`
	Original   float64 `json:"original_perplexity"`
	KL         float64 `json:"kl"`         // mean over the tokens of KL(original ‖ quantised), in nats
	SameTop    float64 `json:"same_top"`   // share of the tokens before which both hold the same one for the likeliest
	LogProb    float64 `json:"d_log_prob"` // mean |Δ log p| of the tokens
}

// maxLogits bounds the memory for the original's logits, in numbers.
const maxLogits = 1 << 26

// maxFigureTokens bounds the text that Compare takes.
const maxFigureTokens = 1 << 13

// Compare runs both models over the first tokens of a text, 8,192 or as many as 2^26 logits are, in sequences of a quarter of the
// context and at most 512. Their products are in float32, so that the difference is the weights' alone.
func Compare(ctx context.Context, dev device.Device, original, quantised fs.FS, text []int32, progress func(what string, done, total int64)) (Figures, error) {
	var f Figures
	a, err := load(original, dev)
	if err != nil {
		return f, fmt.Errorf("the original: %w", err)
	}
	vocab := a.Config.VocabSize
	seqs := sequences(a.Config, text, min(maxFigureTokens, maxLogits/vocab))
	if len(seqs) == 0 {
		return f, fmt.Errorf("a text of %d tokens is too short to measure by", len(text))
	}
	if top := slices.Max(text); int(top) >= vocab || slices.Min(text) < 0 {
		return f, fmt.Errorf("the text has tokens that the model's vocabulary of %d has not: tokenizer and model are of different models", vocab)
	}
	n := len(seqs) * (len(seqs[0]) - 1)
	logits := make([]float32, 0, n*vocab)
	err = eachLogits(ctx, a, seqs, func(_ int32, row []float32) {
		logits = append(logits, row...)
		progress("measuring", int64(len(logits)/vocab), int64(2*n))
	})
	if err != nil {
		return f, err
	}
	a = nil // its memory is b's
	b, err := load(quantised, dev)
	if err != nil {
		return f, fmt.Errorf("the quantised model: %w", err)
	}
	err = eachLogits(ctx, b, seqs, func(next int32, row []float32) {
		f.add(logits[f.Tokens*vocab:(f.Tokens+1)*vocab], row, next)
		progress("measuring", int64(n+f.Tokens), int64(2*n))
	})
	f.finish()
	return f, err
}

// add counts one position, of which next is the token that follows.
func (f *Figures) add(original, quantised []float32, next int32) {
	zp, zq := logSum(original), logSum(quantised)
	kl, topP, topQ := 0.0, 0, 0
	for i, l := range original {
		p := float64(l) - zp
		kl += math.Exp(p) * (p - float64(quantised[i]) + zq)
		if l > original[topP] {
			topP = i
		}
		if quantised[i] > quantised[topQ] {
			topQ = i
		}
	}
	p, q := float64(original[next])-zp, float64(quantised[next])-zq
	f.Tokens++
	f.KL += kl
	f.Original -= p
	f.Perplexity -= q
	f.LogProb += math.Abs(p - q)
	if topP == topQ {
		f.SameTop++
	}
}

// finish makes means of sums.
func (f *Figures) finish() {
	n := float64(max(f.Tokens, 1))
	f.KL, f.SameTop, f.LogProb = f.KL/n, f.SameTop/n, f.LogProb/n
	f.Original, f.Perplexity = math.Exp(f.Original/n), math.Exp(f.Perplexity/n)
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

// load makes a model of a directory, in float32 and without its MTP modules.
func load(dir fs.FS, dev device.Device) (*model.Model, error) {
	cfg, err := config.LoadFS(dir)
	if err != nil {
		return nil, err
	}
	cfg.NumNextNPredictLayers = 0
	files, err := safetensors.OpenFS(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	w, err := quant.Open(cfg, files)
	if err != nil {
		return nil, err
	}
	if err := model.CheckWeights(cfg, w); err != nil {
		return nil, err
	}
	m := model.New(cfg, dev, model.Options{Positions: min(cfg.MaxPositionEmbeddings, maxSequence)})
	return m, m.Load(w)
}

// maxSequence bounds a sequence of a text.
const maxSequence = 512
