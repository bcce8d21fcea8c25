#!/usr/bin/env bash
# One core of sprat's products beside OpenBLAS's, in turns on the same core, as a Markdown table. Needs gcc and Debian's
# libopenblas-dev, which are no part of the module. OpenBLAS runs with the kernels of its own choice and with its AVX2 ones, which
# are faster on some processors with AVX-512; the better figure counts.
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
gcc -O2 -o "$tmp/sgemm" kernel/_openblas/sgemm.c -lopenblas || { echo "compare.sh: install gcc and libopenblas-dev" >&2; exit 1; }
CGO_ENABLED=0 go build -buildvcs=true -o "$tmp/sprat" ./cmd/sprat
export OPENBLAS_NUM_THREADS=1
for _ in 1 2 3; do
	for core in "" Haswell; do
		OPENBLAS_CORETYPE=$core taskset -c 0 "$tmp/sgemm" 0.4 >>"$tmp/theirs" 2>"$tmp/core$core"
	done
	taskset -c 0 "$tmp/sprat" bench kernels --time 400ms --threads 1 --json |
		sed 's/{"name"/\n{"name"/g' | sed -n 's/^{"name":"\([^"]*\)","value":\([0-9.]*\),"unit":"\([^"]*\)".*/\1\t\2\t\3/p' >>"$tmp/ours"
done
echo "$(cat "$tmp/core"), and for Haswell."
echo
awk -F'\t' '
	NR == FNR { if ($2 > theirs[$1]) theirs[$1] = $2; next }
	$1 in theirs { v = $3 == "GB/s" ? $2 / 2 : $2; if (!($1 in ours)) order[++n] = $1; if (v > ours[$1]) ours[$1] = v }
	END {
		print "| product | sprat GFLOP/s | OpenBLAS GFLOP/s | ratio |\n|---|---|---|---|"
		for (i = 1; i <= n; i++) printf "| %s | %.1f | %.1f | %.2f |\n", order[i], ours[order[i]], theirs[order[i]], ours[order[i]] / theirs[order[i]]
	}' "$tmp/theirs" "$tmp/ours"
