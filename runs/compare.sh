#!/usr/bin/env bash
# Runs that settle a choice, each with one thing changed, and their pages: out/fp8.html and out/moe.html. An hour on two cores of a 2023 server,
# to itself, as wall clocks are compared. Wants the text that runs/small.toml and runs/nano.toml name, and nano's tokenizer.
#   bash runs/compare.sh
set -euo pipefail
cd "$(dirname "$0")/.."
CGO_ENABLED=0 go build -o out/sprat ./cmd/sprat
run() { out/sprat pretrain "$1" --resume --set "out=$2" "${@:3}"; }

# V3's FP8 recipe beside bf16: the same rows, 3,000 steps.
for precision in bf16 fp8; do
	run runs/small.toml out/small-$precision --set train.precision=$precision
done
out/sprat compare out/small-bf16 out/small-fp8 --out out/fp8.html

# A mixture of experts beside a dense model of as many activated parameters (6.50 M and 6.49 M with the embedding), both in nano's shape without MTP.
shape=(--set model.num_nextn_predict_layers=0 --set train.optimizer=adamw --set train.clip_qk=0
	--set train.batch=8 --set train.micro=8 --set train.steps="${STEPS:-300}" --set train.evaluations=8 --set train.valid_tokens=20000)
run runs/nano.toml out/moe "${shape[@]}"
run runs/nano.toml out/dense "${shape[@]}" --set model.first_k_dense_replace=6 --set model.intermediate_size=560
out/sprat compare out/moe out/dense --out out/moe.html
