#!/usr/bin/env bash
# Writes docs/BENCH.md: every figure there comes from here. Wants a quiet machine; half an hour.
#   bash runs/bench.sh
# The comparisons need things outside the module, and are left out without them: gcc and Debian's libopenblas-dev; a Python
# with train/_torch/requirements.txt, named by PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)

build_start=$(date +%s.%N)
GOCACHE=$tmp/cache go build -buildvcs=true -o "$tmp/sprat" ./cmd/sprat
build=$(echo "$(date +%s.%N) - $build_start" | bc)

{
	echo "# Figures"
	echo
	echo "Written by \`bash runs/bench.sh\` on $(date -u +%Y-%m-%d), commit $(git rev-parse --short=12 HEAD), $cpu, $(nproc) cores."
	echo "docs/LOG.md says what they mean and which targets they miss."
	echo
	echo "## Kernels"
	echo
	echo "\`sprat bench kernels\`. Shares are of ceilings measured in the same run."
	echo
	"$tmp/sprat" bench kernels
	echo
	echo "## Beside OpenBLAS, one core"
	echo
	echo "\`bash kernel/_openblas/compare.sh\`: in turns on one core, the best of three runs each. OpenBLAS reads its weights as they are;"
	echo "\"packed\" rows of ours have no counterpart there."
	echo
	bash kernel/_openblas/compare.sh 2>/dev/null || echo "(not run: no gcc or libopenblas-dev)"
	echo
	echo "## A training step"
	echo
	echo "\`sprat bench train --config runs/s.json\`: forward, backward, clipping, AdamW, biases. FLOPs by cost.TrainingFLOPs; the peak is that"
	echo "of float32 multiply-adds on both cores in the same run. Workspace is the memory beyond weights, gradients and moments."
	echo
	for precision in fp32 bf16 fp8; do
		"$tmp/sprat" bench train --config runs/s.json --precision "$precision" --time 30s | sed 's/^/    /'
		echo
	done
	echo "## A training step beside PyTorch"
	echo
	echo "\`bash train/_torch/compare.sh\`: the same model, batch and threads, in turns, the best step of each."
	echo
	bash train/_torch/compare.sh "${PYTHON:-python3}" 2>/dev/null || echo "(not run: no Python with train/_torch/requirements.txt)"
	echo
	echo "## A checkpoint"
	echo
	echo "\`go test ./train -run xxx -bench Checkpoint\`, of runs/s.json: the pause of the training loop, until it is on the disk, and a step."
	echo
	go test ./train -run xxx -bench Checkpoint -benchtime 5x | sed -n 's/^BenchmarkCheckpoint/    Checkpoint/p'
	echo
	echo "## Quantised weights"
	echo
	echo "\`bash runs/quantize.sh\` on the built-in model: the linear layers in groups of 32, the head in 8 bits; embedding, gates, norms and kv_b_proj"
	echo "as they were, which are much of so small a model. By the storybooks that runs/nano.toml names; the last eighth is measured, 8,192 tokens."
	echo "KL in nats a token, to the original in float32; as it runs: activations in 8 bits, kv_b_proj too, cache in bfloat16."
	echo
	bash runs/quantize.sh 2>/dev/null || echo "(not run: no text)"
	echo
	echo "## Running a model, beside llama.cpp and ik_llama.cpp"
	echo
	echo "\`bash runs/peers.sh\`: runs/m.json (2 B parameters, 0.44 B activated) and runs/s.json with random weights, two threads, in turns."
	echo
	bash runs/peers.sh
	echo
	echo "## Tokenizer"
	echo
	echo "\`go test ./tokenizer -run xxx -bench . -benchtime 1x -count 3\`: encoding cold on one core, training 100 MB at vocabulary 32k."
	echo
	go test ./tokenizer -run xxx -bench . -benchtime 1x -count 3 | sed -n 's/^Benchmark/    /p'
	echo
	echo "## Building"
	echo
	echo "\`go build ./cmd/sprat\` from an empty build cache: $build s. The binary: $(stat -c %s "$tmp/sprat") bytes."
} >"$tmp/BENCH.md"
mv "$tmp/BENCH.md" docs/BENCH.md
