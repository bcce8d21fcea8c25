package quantize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"sprat/atomicfile"
)

// writeCard writes the model's README.md: the original's, and how this one was made of it.
func (j *job) writeCard(context.Context) error {
	card, err := fs.ReadFile(j.from, "README.md")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := strings.TrimRight(string(card), "\n")
	if text != "" {
		text += "\n\n"
	}
	return atomicfile.Write(filepath.Join(j.stage, "README.md"), []byte(text+j.section()))
}

// section is the part of the card that tells about the quantisation.
func (j *job) section() string {
	r := j.report
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("## Quantised\n")
	line("Made of %s by `sprat quantize --bits %d --method %s --group %d`, in compressed-tensors' format pack-quantized.", j.o.Name, r.Bits, r.Method, r.Group)
	line("The linear layers are integers of %d bits, the output head of %d; embedding, norms, gates and kv_b_proj are as they were.\n", r.Bits, headBits)
	if j.o.Calibrate {
		line("Of %d tensors of integers %d are rounded so that their outputs on a text of %d tokens change least (GPTQ); the others to nearest.\n",
			r.Packed, r.Calibrated, j.calibrator.tokens())
	}
	line("| | |\n|---|---|")
	line("| bits a weight | %.2f, in groups of %d |", r.BitsPerWeight, r.Group)
	line("| bytes | %d |", r.Bytes)
	if f := r.Figures; f != nil {
		line("| perplexity on %d tokens | %.3f; the original's is %.3f |", f.Tokens, f.Weights.Perplexity, f.Original)
		line("| KL to the original | %.5f nats a token |", f.Weights.KL)
		line("| the same likeliest token | %.2f %% |", 100*f.Weights.SameTop)
		line("| KL as sprat runs it, activations in 8 bits | %.5f |", f.Run.KL)
	}
	return b.String()
}
