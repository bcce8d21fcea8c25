package main

import (
	"path/filepath"
	"testing"

	"sprat/config"
	"sprat/device/cpu"
)

const tinyConfig = `{"model_type": "deepseek_v3", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "first_k_dense_replace": 1,
"intermediate_size": 64, "num_attention_heads": 2, "q_lora_rank": null, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
"v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16}`

func TestBenchTrain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, tinyConfig)
	for _, precision := range []string{"fp32", "bf16", "fp8"} {
		var r trainReport
		decode(t, must(t, "", "bench", "train", "--config", file, "--precision", precision, "--batch", "2", "--sequence", "16", "--time", "1ms", "--json"), &r)
		if r.Steps < 3 || r.TokensPerSecond <= 0 || r.GFLOPS <= 0 || r.PeakGFLOPS <= 0 || r.WorkspaceBytes <= 0 || len(r.Operations) == 0 {
			t.Errorf("%s: %+v", precision, r)
		}
		sum := 0.0
		for _, o := range r.Operations {
			sum += o.Share
		}
		if sum < 0.999 || sum > 1.001 {
			t.Errorf("%s: operations' shares add up to %v", precision, sum)
		}
	}
}

// TestTrainingStepAllocatesNothing: a step after the first finds all its space in place.
func TestTrainingStepAllocatesNothing(t *testing.T) {
	cfg, err := config.Parse([]byte(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(2)
	defer dev.Close()
	c := benchTrainCmd{Precision: "bf16", Batch: 2, Sequence: 16}
	step := c.newStep(cfg, dev)
	step()
	if n := testing.AllocsPerRun(5, step); n != 0 {
		t.Errorf("%v allocations in a step", n)
	}
}
