package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sprat/config"
	"sprat/cost"
	"sprat/engine"
	"sprat/quant"
	"sprat/safetensors"
)

type inspectCmd struct {
	Model string `arg:"" name:"model" help:"A model's directory, a config.json alone, or nano, the model inside this program." default:"nano"`
	JSON  bool   `help:"Print one JSON object."`
}

// inspection is what inspect prints.
type inspection struct {
	Architecture string `json:"architecture"`
	Layers       int    `json:"layers"`
	DenseLayers  int    `json:"dense_layers"`
	Hidden       int    `json:"hidden_size"`
	Heads        int    `json:"attention_heads"`
	Latent       int    `json:"kv_lora_rank"`
	KVHeads      int    `json:"key_value_heads,omitempty"`
	Experts      int    `json:"routed_experts"`
	Chosen       int    `json:"experts_per_token"`
	Shared       int    `json:"shared_experts"`
	Vocabulary   int    `json:"vocabulary"`
	Context      int    `json:"context"`

	Parameters         cost.Parameters `json:"parameters"`
	Activated          int64           `json:"activated"`
	ActivatedNoEmbed   int64           `json:"activated_without_embedding"`
	CacheBytesPerToken int64           `json:"cache_bytes_per_token"`
	ForwardFLOPs4096   float64         `json:"forward_flops_per_token_at_4096"`
	Quantization       string          `json:"quantization,omitempty"`
	StoredBytes        int64           `json:"stored_bytes,omitempty"` // of all tensors in the files
	Tensors            []tensorLine    `json:"tensors,omitempty"`
}

// tensorLine is a tensor as it is stored.
type tensorLine struct {
	Name  string            `json:"name"`
	DType safetensors.DType `json:"dtype"`
	Shape []int             `json:"shape"`
}

func (c *inspectCmd) Run(e *env) error {
	cfg, files, weights, err := c.open()
	if err != nil {
		return err
	}
	var (
		mismatch error
		tensors  []tensorLine
		stored   int64
	)
	if weights != nil {
		defer files.Close()
		if mismatch = engine.CheckWeights(cfg, weights); mismatch != nil {
			mismatch = fmt.Errorf("model %s: %w", c.Model, mismatch)
		}
		for _, name := range weights.Names() {
			info, _ := weights.Info(name)
			tensors = append(tensors, tensorLine{Name: name, DType: info.DType, Shape: info.Shape})
			stored += weights.Stored(name)
		}
	}
	i := inspect(cfg)
	i.Tensors, i.StoredBytes = tensors, stored
	if err := i.write(e.stdout, c.JSON); err != nil {
		return err
	}
	return mismatch // after all that there is to see
}

func (i inspection) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(i)
	}
	b := bufio.NewWriter(w)
	i.print(b)
	return b.Flush()
}

// open returns the config, and where there are any the weights, with the files that they are in.
func (c *inspectCmd) open() (*config.Config, *safetensors.Reader, *quant.Weights, error) {
	if info, err := os.Stat(c.Model); err == nil && !info.IsDir() {
		cfg, err := config.Load(c.Model)
		return cfg, nil, nil, err
	}
	dir, err := modelFS(c.Model)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg, err := config.LoadFS(dir)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("model %s: %w", c.Model, err)
	}
	if names, err := fs.Glob(dir, "*.safetensors*"); err != nil || len(names) == 0 {
		return cfg, nil, nil, err
	}
	files, err := safetensors.OpenFS(dir)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("model %s: %w", c.Model, err)
	}
	weights, err := quant.Open(cfg, files)
	if err != nil {
		files.Close()
		return nil, nil, nil, fmt.Errorf("model %s: %w", c.Model, err)
	}
	return cfg, files, weights, nil
}

func inspect(cfg *config.Config) inspection {
	p := cost.Count(cfg)
	i := inspection{
		Architecture: cfg.ModelType, Layers: cfg.NumHiddenLayers, DenseLayers: cfg.NumHiddenLayers, Hidden: cfg.HiddenSize,
		Heads: cfg.NumAttentionHeads, Latent: cfg.KVLoRARank, KVHeads: cfg.NumKeyValueHeads, Vocabulary: cfg.VocabSize, Context: cfg.MaxPositionEmbeddings,
		Parameters: p, Activated: p.Activated(), ActivatedNoEmbed: p.ActivatedWithoutEmbedding(),
		CacheBytesPerToken: cost.CacheBytes(cfg), ForwardFLOPs4096: cost.ForwardFLOPs(cfg, 4096),
	}
	if cfg.QuantizationConfig != nil {
		i.Quantization = cfg.QuantizationConfig.String()
	}
	if cfg.NRoutedExperts > 0 {
		i.DenseLayers = min(cfg.FirstKDenseReplace, cfg.NumHiddenLayers)
		i.Experts, i.Chosen, i.Shared = cfg.NRoutedExperts, cfg.NumExpertsPerTok, cfg.NSharedExperts
	}
	return i
}

func (i inspection) print(w io.Writer) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-28s %s\n", what, fmt.Sprintf(format, args...))
	}
	attention := fmt.Sprintf("latent %d", i.Latent)
	if i.KVHeads > 0 {
		attention = fmt.Sprintf("%d for keys and values", i.KVHeads)
	}
	line("architecture", "%s, %d layers of %d, %d heads, %s", i.Architecture, i.Layers, i.Hidden, i.Heads, attention)
	if i.Experts > 0 {
		line("experts", "%d routed, %d chosen, %d shared; dense layers: %d", i.Experts, i.Chosen, i.Shared, i.DenseLayers)
	}
	line("vocabulary, context", "%s, %s", commas(int64(i.Vocabulary)), commas(int64(i.Context)))
	line("parameters", "%s", commas(i.Parameters.Total))
	for _, g := range []struct {
		name string
		n    int64
	}{
		{"embedding", i.Parameters.Embedding}, {"attention", i.Parameters.Attention}, {"dense MLPs", i.Parameters.Dense},
		{"routed experts", i.Parameters.Routed}, {"shared experts", i.Parameters.Shared}, {"gates", i.Parameters.Gate},
		{"norms", i.Parameters.Norms}, {"head", i.Parameters.Head},
	} {
		if g.n > 0 {
			line("  "+g.name, "%s", commas(g.n))
		}
	}
	if i.Parameters.MTP > 0 {
		line("  and in MTP modules", "%s", commas(i.Parameters.MTP))
	}
	line("activated a token", "%s", commas(i.Activated))
	line("  without the embedding", "%s", commas(i.ActivatedNoEmbed))
	line("cache bytes a token (bf16)", "%s", commas(i.CacheBytesPerToken))
	line("forward MFLOP a token, 4096", "%.1f", i.ForwardFLOPs4096/1e6)
	if i.Quantization != "" {
		line("quantisation", "%s", i.Quantization)
	}
	if len(i.Tensors) > 0 {
		line("stored", "%s bytes, %.2f bits a weight", commas(i.StoredBytes), float64(8*i.StoredBytes)/float64(i.Parameters.Total+i.Parameters.MTP))
		line("tensors", "%s", commas(int64(len(i.Tensors))))
	}
	for _, t := range i.Tensors {
		fmt.Fprintf(w, "  %-8s %-20s %s\n", t.DType, fmt.Sprint(t.Shape), t.Name)
	}
}

// commas writes n with a comma before every three digits.
func commas(n int64) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
