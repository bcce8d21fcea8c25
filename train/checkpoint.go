package train

import (
	"sprat/checkpoint"
	"sprat/optim"
)

// progressState is where a run is: what a checkpoint holds beside matrices.
type progressState struct {
	checkpoint.Origin
	Step    int     `json:"step"`
	Rows    int64   `json:"rows"`    // dealt from the data, those of skipped steps too
	Tokens  int64   `json:"tokens"`  // trained on: the run's position in its schedule
	Seconds float64 `json:"seconds"` // spent, all sessions together
	Updates int     `json:"updates"` // steps of the optimizer

	Spike *optim.Spike `json:"spike"`
	Data  string       `json:"data"` // fingerprint of the token shards
}
