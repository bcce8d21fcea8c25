#!/usr/bin/env bash
# A training step of sprat beside PyTorch's, on the model of runs/s.json, as a Markdown table: tokens a second of the best step, in turns.
#   bash train/_torch/compare.sh [python]
# Wants a quiet machine and a Python that has train/_torch/requirements.txt, which are no part of the module; ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python3}
config=runs/s.json batch=8 sequence=512 seconds=${SECONDS_EACH:-15}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
CGO_ENABLED=0 go build -buildvcs=true -o "$tmp/sprat" ./cmd/sprat

# best NAME COMMAND...: notes the shortest step of a run, in seconds.
best() {
	name=$1
	shift
	if "$@" >"$tmp/out" 2>"$tmp/err"; then
		sed -n 's/.*"best_step_seconds": *\([0-9.e-]*\).*/\1/p' "$tmp/out" | sed "s/^/$name\t/" >>"$tmp/steps"
	else
		printf '%s\tfailed: %s\n' "$name" "$(tail -1 "$tmp/err" | cut -c1-100)" >>"$tmp/steps"
	fi
}
ours() { best "sprat, $1" "$tmp/sprat" bench train --config $config --precision "$1" --batch $batch --sequence $sequence --time "${seconds}s" --json; }
theirs() { best "$1" "$python" train/_torch/step.py $config --batch $batch --sequence $sequence --seconds "$seconds" "${@:2}"; }

for _ in 1 2; do
	ours fp32
	theirs "PyTorch, fp32" --precision fp32
	theirs "PyTorch, fp32, compiled" --precision fp32 --compile
	theirs "transformers, fp32" --precision fp32 --transformers
	ours bf16
	theirs "PyTorch, bf16 weights" --precision bf16
	theirs "PyTorch, bf16 weights, compiled" --precision bf16 --compile
	theirs "PyTorch, bf16 weights, grouped experts" --precision bf16 --experts grouped
	theirs "PyTorch, bf16 autocast" --precision autocast
	theirs "PyTorch, bf16 autocast, compiled" --precision autocast --compile
	theirs "transformers, bf16 autocast" --precision autocast --transformers
done
"$python" -c 'import torch, transformers; print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {torch.get_num_threads()} threads.")'
echo
awk -F'\t' -v tokens=$((batch * sequence)) '
	!($1 in best) { order[++n] = $1; best[$1] = $2; next }
	$2 + 0 > 0 && (best[$1] + 0 == 0 || $2 < best[$1]) { best[$1] = $2 }
	END {
		print "| step of 8 x 512 tokens | seconds | tokens/s |\n|---|---|---|"
		for (i = 1; i <= n; i++) {
			s = best[order[i]]
			if (s + 0 > 0) printf "| %s | %.2f | %.0f |\n", order[i], s, tokens / s
			else printf "| %s | %s | |\n", order[i], s
		}
	}' "$tmp/steps"
