#!/usr/bin/env bash
# sprat beside llama.cpp and ik_llama.cpp on config M and runs/s.json, random weights, two threads, as a Markdown table.
#   GGUF=dir LLAMA_BENCH=prog IK_BENCH=prog bash runs/peers.sh
# Wants a quiet machine, jq and what is no part of the module, by absolute paths; a peer that isn't named is left out.
#   GGUF          a directory with {m,s}-{q8,q4}.gguf and m-bf16.gguf: architecture deepseek2, every matrix Q8_0, Q4_0 or BF16, kv_b
#                 in its two halves. ik_llama.cpp takes small latents in its older form only: {s}-{q8,q4}-ik.gguf, kv_b whole.
#   LLAMA_BENCH   llama-bench of llama.cpp
#   IK_BENCH      llama-bench of ik_llama.cpp, or for the rows at a depth a program that takes -d as well
#   LLAMA_BATCHED, IK_BATCHED   llama-batched-bench of each, for the rows of a batch. ik_llama.cpp's gives every sequence token 0, so
#                 that all want the same experts: let it draw tokens, as llama.cpp's does
#   LLAMA_FLAGS, IK_FLAGS, IK_BATCHED_FLAGS   other flags than the ones found best
#   DEPTHS        4096,16384 if not said; the peers compute a context anew, which at 16,384 tokens takes them minutes
#   TURNS         2: how often each is measured, in turns; the best figure counts
set -euo pipefail
cd "$(dirname "$0")/.."
threads=2 depths=${DEPTHS-4096,16384} turns=${TURNS:-2}
llama=${LLAMA_BENCH:-} ik=${IK_BENCH:-} llama_batched=${LLAMA_BATCHED:-} ik_batched=${IK_BATCHED:-}
read -ra llama_flags <<<"${LLAMA_FLAGS:--fa on -lm none}"
read -ra ik_flags <<<"${IK_FLAGS:--fa 1 -mla 3 -fmoe 1 -rtr 1 -mmp 0}"
read -ra ik_batched_flags <<<"${IK_BATCHED_FLAGS:--fa on -mla 3 -rtr --no-mmap}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
CGO_ENABLED=0 go build -buildvcs=true -o "$tmp/sprat" ./cmd/sprat
mkdir "$tmp/m" "$tmp/s"
cp runs/s.json "$tmp/s/config.json"
cp runs/m.json "$tmp/m/config.json"
cache=$((18 * 576 * 2)) # bytes of a token's latents in M

# note ENGINE MODEL BITS: takes lines "what depth batch figure" to the table.
note() { sed "s/^/$1 $2 $3 /" >>"$tmp/figures"; }

# watched COMMAND...: runs it, and leaves the most memory it had in $tmp/rss, in bytes.
watched() {
	"$@" 2>"$tmp/err" & # its output is the caller's
	local pid=$! kb=0 now
	while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
		kb=$now
		sleep 0.05
	done
	echo $((kb * 1024)) >"$tmp/rss"
	wait "$pid" || { echo "peers.sh: $*: $(tail -1 "$tmp/err")" >&2; return 1; }
}

# theirs ENGINE MODEL BITS PROGRAM FILE FLAGS...: a peer's llama-bench. With more than one repetition its best counts.
theirs() {
	local engine=$1 model=$2 bits=$3 program=$4 file=${GGUF:-}/$5
	rm -f "$tmp/rss"
	[ -n "$program" ] && [ -f "$file" ] || return 0
	watched "$program" -m "$file" -t $threads -o json "${@:6}" >"$tmp/json" || return 0
	jq -r '.[] | "\(if .n_gen > 0 then "decode" else "prompt" end) \(.n_depth // 0) 1 \(.samples_ts | max)"' "$tmp/json" | note "$engine" "$model" "$bits"
}

# spare ENGINE BITS FILE TOKENS: the memory of the last run beyond weights and cache, in MB.
spare() {
	[ -s "$tmp/rss" ] || return 0
	echo "memory 0 1 $((($(cat "$tmp/rss") - $(stat -c %s "$GGUF/$3") - $4 * cache) / 1000000))" | note "$1" m "$2"
}

# batched ENGINE PROGRAM FLAGS...: a peer's llama-batched-bench, 8 bits.
batched() {
	[ -n "$2" ] || return 0
	(cd "$tmp" && "$2" -m "$GGUF/m-q8.gguf" -t $threads -c 4096 -npp 1 -ntg 24 -npl 16,64 "${@:3}" 2>/dev/null) |
		awk -F'|' '$4 + 0 > 0 { print "decode", 0, $4 + 0, $9 + 0 }' | note "$1" m 8
}

# ours MODEL BITS FLAGS...
ours() {
	local format=int$2
	[ "$2" = 16 ] && format=bf16
	"$tmp/sprat" bench --model "$tmp/$1" --threads $threads --weights $format --json "${@:3}" >"$tmp/json"
	jq -r '.rows[] | "\(.what) \(.depth) \(.batch) \(.tokens_per_second)"' "$tmp/json" | note sprat "$1" "$2"
	[ "$1" = s ] || jq -r '"memory 0 1 \(.resident_bytes_beyond_weights_and_cache / 1e6)"' "$tmp/json" | note sprat "$1" "$2"
}

short() { # of all engines, at no depth
	local bits=$1 name=$2 batch=1
	[ "$bits" = 8 ] && batch=1,16,64
	theirs llama m "$bits" "$llama" "m-$name.gguf" "${llama_flags[@]}" -p 512 -n 128 -r 3 && spare llama "$bits" "m-$name.gguf" 512
	theirs ik m "$bits" "$ik" "m-$name.gguf" "${ik_flags[@]}" -p 512 -n 128 -r 3 && spare ik "$bits" "m-$name.gguf" 512
	ours m "$bits" --prompt-tokens 512 --gen-tokens 128 --batch $batch --time 5s
}

deep() { # 8 bits, at a depth
	theirs llama m 8 "$llama" m-q8.gguf "${llama_flags[@]}" -p 512 -n 16 -d "$1" -r 1
	theirs ik m 8 "$ik" m-q8.gguf "${ik_flags[@]}" -p 512 -n 16 -d "$1" -r 2
	ours m 8 --prompt-tokens 512 --gen-tokens 16 --depth "$1" --time 10s
}

for turn in $(seq "$turns"); do
	short 8 q8
	short 4 q4
	short 16 bf16
	for format in 8:q8 4:q4; do
		theirs llama s "${format%:*}" "$llama" "s-${format#*:}.gguf" "${llama_flags[@]}" -p 0 -n 128 -r 5
		theirs ik s "${format%:*}" "$ik" "s-${format#*:}-ik.gguf" "${ik_flags[@]}" -p 0 -n 128 -r 5
		ours s "${format%:*}" --prompt-tokens 0 --gen-tokens 128 --time 3s
	done
	batched llama "$llama_batched" "${llama_flags[@]}"
	batched ik "$ik_batched" "${ik_batched_flags[@]}"
	[ "$turn" = 1 ] || continue
	for depth in ${depths//,/ }; do
		deep "$depth"
	done
done

awk '
	function put(title, key, less,    l, i, s, peer) { # less: the smaller is the better
		l = best["llama " key]; i = best["ik " key]; s = best["sprat " key]
		peer = l; if (i != "" && (peer == "" || (less ? i < peer : i > peer))) peer = i
		printf("| %s | %s | %s | %s | %s |\n", title, show(l), show(i), show(s), (peer > 0 && s > 0) ? sprintf("%.2f", s / peer) : "–")
	}
	function show(x) { return x == "" ? "–" : sprintf(x < 100 ? "%.1f" : "%.0f", x) }
	{
		key = $1 " " $2 " " $3 " " $4 " " $5 " " $6; x = $7 + 0
		if (!(key in best) || ($4 == "memory" ? x < best[key] : x > best[key])) best[key] = x
	}
	END {
		print "| two threads, tokens/s | llama.cpp | ik_llama.cpp | sprat | sprat over the better |\n|---|---|---|---|---|"
		put("M, decode, 8 bits", "m 8 decode 0 1"); put("M, decode, 4 bits", "m 4 decode 0 1"); put("M, decode, bf16", "m 16 decode 0 1")
		put("M, prompt of 512, 8 bits", "m 8 prompt 0 1"); put("M, prompt of 512, 4 bits", "m 4 prompt 0 1"); put("M, prompt of 512, bf16", "m 16 prompt 0 1")
		n = split(depths, d, ",")
		for (j = 1; j <= n; j++) put("M, decode at depth " d[j] ", 8 bits", "m 8 decode " d[j] " 1")
		for (j = 1; j <= n; j++) put("M, prompt of 512 at depth " d[j] ", 8 bits", "m 8 prompt " d[j] " 1")
		put("M, decode, 8 bits, batch 16", "m 8 decode 0 16"); put("M, decode, 8 bits, batch 64", "m 8 decode 0 64")
		put("S, decode, 8 bits", "s 8 decode 0 1"); put("S, decode, 4 bits", "s 4 decode 0 1")
		put("M, resident beyond weights and cache, 8 bits, MB", "m 8 memory 0 1", 1)
		put("M, resident beyond weights and cache, 4 bits, MB", "m 4 memory 0 1", 1)
	}' depths="$depths" "$tmp/figures"
