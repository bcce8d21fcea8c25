package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"sprat/model"
	"sprat/tensor"
)

type logitsCmd struct {
	modelFlags
	IDs []int32 `help:"Token ids, with commas between." required:"" name:"ids" placeholder:"1,2,3"`
	MTP bool    `help:"Also the logits of the multi-token prediction modules." name:"mtp"`
}

// position is one line of logits. MTPLogits has one row for each depth k, predicting the token k after the next; a depth
// whose input tokens run past the end is left out.
type position struct {
	Pos       int         `json:"pos"`
	Logits    []float32   `json:"logits"`
	MTPLogits [][]float32 `json:"mtp_logits,omitempty"`
}

func (c *logitsCmd) Run(e *env) error {
	dir, dev, done, err := c.open()
	if err != nil {
		return err
	}
	defer done()
	m, err := dir.Model(dev)
	if err != nil {
		return fmt.Errorf("model %s: %w", c.Model, err)
	}
	if c.MTP && len(m.MTP) == 0 {
		return errors.New("--mtp: this model has no multi-token prediction modules")
	}
	lines, err := logits(m, c.IDs, c.MTP)
	if err != nil {
		return fmt.Errorf("--ids: %w", err)
	}
	enc := json.NewEncoder(e.stdout)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func logits(m *model.Model, ids []int32, mtp bool) ([]position, error) {
	n, vocab := len(ids), m.Config.VocabSize
	// The token after position i is i+1's; of the last it is not known.
	targets := append(append([]int32{}, ids[min(1, n):]...), -1)[:n]
	batch := model.Batch{IDs: ids, Targets: targets, Starts: []int32{0, int32(n)}}
	if err := batch.Check(vocab, m.Positions()); err != nil {
		return nil, err
	}
	dev := m.Device()
	out := dev.Alloc(n, vocab, tensor.F32)
	var deeper []tensor.Mat
	if mtp {
		for range m.MTP {
			deeper = append(deeper, dev.Alloc(n, vocab, tensor.F32))
		}
	}
	m.Logits(m.NewState(n, false), batch, out, deeper)
	lines := make([]position, n)
	for i := range lines {
		lines[i] = position{Pos: i, Logits: make([]float32, vocab)}
		dev.Read(lines[i].Logits, out.RowSlice(i, i+1))
		for k, d := range deeper {
			if i+k+1 >= n {
				break
			}
			row := make([]float32, vocab)
			dev.Read(row, d.RowSlice(i, i+1))
			lines[i].MTPLogits = append(lines[i].MTPLogits, row)
		}
	}
	return lines, nil
}
