package model

import (
	"os"
	"testing"

	"sprat/config"
	"sprat/cost"
	"sprat/device/cpu"
)

// BenchmarkStep is a training step of the shape of runs/stories.toml, optimizer apart, on all cores.
func BenchmarkStep(b *testing.B) {
	text, err := os.ReadFile("testdata/stories.json")
	if err != nil {
		b.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	dev := cpu.New(0)
	defer dev.Close()
	const rows, length = 16, 256
	m := New(cfg, dev, Options{Train: true, Positions: length})
	m.Init(1, InitStd(cfg.HiddenSize))
	lengths := make([]int, rows)
	for i := range lengths {
		lengths[i] = length
	}
	batch := randomBatch(cfg.VocabSize, lengths...)
	s := m.NewState(rows*length, true)
	for b.Loop() {
		m.Gradients(s, batch, Objective{MTPWeight: 0.3, Balance: 1e-4})
		m.UpdateBiases(1e-3)
	}
	tokens := float64(rows * length * b.N)
	b.ReportMetric(tokens/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(tokens*cost.TrainingFLOPs(cfg, length)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
