#!/usr/bin/env bash
# Prints, as a Markdown table, what a model loses in 8 and 4 bits, rounded to nearest and by a text.
#   bash runs/quantize.sh [MODEL [TEXT]]
# The text is calibrated by, and measured on its last eighth: see sprat quantize --help.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:-nano}
text=${2:-out/corpus/storybooks_ccby.train.jsonl.zst}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
CGO_ENABLED=0 go build -o "$tmp/sprat" ./cmd/sprat

# field of the report of the last run
of() { grep -o "\"$1\":[0-9.e+-]*" "$tmp/report" | sed -n "${2:-1}s/.*://p"; }

echo "| bits | rounded | bits a weight | perplexity (original) | KL, weights alone | KL, as it runs | same likeliest token, as it runs |"
echo "|---|---|---|---|---|---|---|"
for bits in 8 4; do
	for method in nearest calibrated; do
		rm -rf "$tmp/model"
		"$tmp/sprat" quantize "$model" "$tmp/model" --bits "$bits" --method "$method" --data "$text" --json >"$tmp/report" 2>/dev/null
		printf '| %d | %s | %.2f | %.3f (%.3f) | %.5f | %.5f | %.2f %% |\n' "$bits" "$method" "$(of bits_per_weight)" \
			"$(of perplexity)" "$(of original_perplexity)" "$(of kl)" "$(of kl 2)" "$(echo "100 * $(of same_top 2)" | bc -l)"
	done
done
