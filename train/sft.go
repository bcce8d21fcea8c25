package train

import (
	"context"
	"errors"
	"io"

	"sprat/data"
)

// SFT fine-tunes: it is Pretrain for a run file of chats and problems of which the assistant's part alone is learned.
func SFT(ctx context.Context, c *Config, opt Options, w io.Writer) error {
	if c.Data.Loss != data.Assistant {
		return errors.New("data.loss is not \"assistant\": fine-tuning learns what the assistant says; to learn all of a text there is pretrain")
	}
	return Pretrain(ctx, c, opt, w)
}

// SFTDefaults are Defaults, but for what R1's report has otherwise for fine-tuning (section B.4.2): a cosine from the peak to a tenth of
// it, full batches from the beginning, and samples that are whole and don't see each other.
func SFTDefaults() Config {
	c := Defaults()
	c.Data.Loss, c.Data.Pack = data.Assistant, data.Whole
	s := &c.Schedule
	s.LR, s.DecayFrom, s.DecayTo, s.Floor, s.Last, s.LastFrom = 1e-4, s.Warmup, 1, 0.1, 0.1, 1
	s.BatchFrom, s.BatchRamp = 1, 0
	return c
}
