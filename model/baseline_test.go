package model

import (
	"encoding/json"
	"testing"

	"sprat/config"
)

// changed is the tiny model's config with other keys, null taking one away.
func changed(t *testing.T, keys string) *config.Config {
	t.Helper()
	text, err := tiny(t).JSON()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, part := range [][]byte{text, []byte(keys)} {
		if err := json.Unmarshal(part, &all); err != nil {
			t.Fatal(err)
		}
	}
	for key, value := range all {
		if value == nil {
			delete(all, key)
		}
	}
	if text, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// descend takes steps of plain gradient descent on one batch.
func descend(m *Model, o Objective, b Batch, steps int, lr float32) (first, last Loss, vio [2]float64) {
	s := m.NewState(len(b.IDs), true)
	for i := range steps {
		m.ZeroGradients()
		last = m.Gradients(s, b, o)
		v := m.UpdateBiases(0).MaxVio
		if i == 0 {
			first, vio[0] = last, v
		}
		vio[1] = v
		for p := range m.Params() {
			if !p.Frozen {
				m.dev.Mix(p.W, p.G, 1, -lr)
			}
		}
	}
	return first, last, vio
}

// The models that docs/BASELINES.md describes learn.
func TestBaselinesLearn(t *testing.T) {
	const gqa = `"model_type": "sprat_gqa", "architectures": null, "q_lora_rank": null, "kv_lora_rank": null, "qk_nope_head_dim": null,
		"qk_rope_head_dim": null, "v_head_dim": null, "num_attention_heads": 4, "head_dim": 6, "num_key_value_heads": `
	for name, keys := range map[string]string{
		"ours":                 `{}`,
		"dense":                `{"first_k_dense_replace": 2, "num_nextn_predict_layers": 0}`,
		"dense, no experts":    `{"n_routed_experts": null}`,
		"grouped queries":      `{` + gqa + `2}`,
		"multi-head, MHA":      `{` + gqa + `4}`,
		"grouped, dense":       `{"n_routed_experts": null, ` + gqa + `1}`,
		"coarse experts":       `{"n_routed_experts": 2, "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 36, "n_shared_experts": null}`,
		"one token prediction": `{"num_nextn_predict_layers": 0}`,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := changed(t, keys)
			m := New(cfg, newDevice(t, 2), Options{Train: true})
			m.Init(7, 0.2)
			first, last, _ := descend(m, Objective{MTPWeight: 0.3}, randomBatch(cfg.VocabSize, 9, 7), 30, 0.3)
			if !(last.Main < first.Main-0.5) {
				t.Errorf("the loss went from %.3f to %.3f", first.Main, last.Main)
			}
			for _, l := range m.Blocks {
				if dense := !cfg.HasMoE(); dense && l.MoE != nil {
					t.Error("a dense model has experts")
				}
			}
		})
	}
}

// With bias speed 0 and the balance loss's factor raised, the loss alone balances the experts; without it nothing does. There is no
// other loss, which might do so by chance.
func TestAuxiliaryLossBalances(t *testing.T) {
	for _, balance := range []float64{0, 1} {
		m := tinyModel(t, newDevice(t, 2), true)
		for i := range m.Embedding.W.Host() {
			m.Embedding.W.Host()[i] += 0.5 // what tokens have in common sends them to the same experts
		}
		b := randomBatch(m.Config.VocabSize, 40, 40)
		for i := range b.Targets {
			b.Targets[i] = -1
		}
		_, _, vio := descend(m, Objective{Balance: balance}, b, 60, 1)
		if balanced := vio[1] < vio[0]/2; balanced != (balance > 0) {
			t.Errorf("factor %g: MaxVio went from %.3f to %.3f", balance, vio[0], vio[1])
		}
		for _, l := range m.layers {
			if l.MoE != nil && m.dev.SumSquares(l.MoE.Gate.Bias) != 0 {
				t.Error("the bias moved")
			}
		}
	}
}
