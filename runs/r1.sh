#!/usr/bin/env bash
# R1's pipeline at the size of a laptop, from text to docs/R1.md:
#
#   base -> R1-Zero (twice, and once with a reward for form alone)
#   base -> cold start -> RL -> rejection sampling + fine-tuning of the base -> RL -> a dense model of half the size
#   cold start -> fine-tuning continued, for as many operations as the first RL took
#   cold start -> a little fine-tuning on worked solutions of that RL's problems
#
#   bash runs/r1.sh            # all of it; what was cut off goes on, what is done is not done again
#   bash runs/r1.sh cold rl1   # these stages alone
#
# Hours of two cores: docs/R1.md has what each stage took. It needs runs/nano.toml's text (see there). What it makes lies in out/.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p out/r1
go build -o out/sprat ./cmd/sprat
stages=("$@")
[ $# -gt 0 ] || stages=(base zero zero-2 form-only cold rl1 nano rl1-sft rl1-worked sft rl2 distill)

finished() { # a run that came to its end
	[ -f "$1/metrics.jsonl" ] && tail -n 1 "$1/metrics.jsonl" | grep -q '"why":"done"'
}

run() { # DIR VERB RUNFILE [--set …]: a stage, unless it is done
	local dir=$1 verb=$2 file=$3
	shift 3
	finished "$dir" || ./out/sprat "$verb" "$file" --resume --set "out=$dir" "$@"
}

ask() { # DIR NAME OPTIONS…: an evaluation, unless it is there
	local dir=$1 name=$2
	shift 2
	[ -s "$dir/eval-$name.json" ] && return
	./out/sprat eval --model "$dir" --json "$@" > "$dir/eval-$name.json.part"
	mv "$dir/eval-$name.json.part" "$dir/eval-$name.json"
}

exam() { # DIR: as it ships, with and without a thought, and a step beyond
	ask "$1" thinking --task all
	ask "$1" plain --task all --no-think
	ask "$1" harder --task shipped --difficulty 1.5
}

zero=equation,sequence,story

for stage in "${stages[@]}"; do
	echo "== $stage"
	case $stage in
	base)
		[ -f out/nano-tokenizer.json ] || ./out/sprat train-tokenizer runs/nano.toml
		run out/nano pretrain runs/nano.toml
		exam out/nano
		ask out/nano zero --task $zero --form zero
		;;
	zero) run out/r1/zero rl runs/r1/zero.toml; ask out/r1/zero zero --task $zero --form zero ;;
	zero-2) run out/r1/zero-2 rl runs/r1/zero.toml --set seed=2; ask out/r1/zero-2 zero --task $zero --form zero ;;
	form-only)
		run out/r1/form-only rl runs/r1/zero.toml --set rl.accuracy=0
		ask out/r1/form-only zero --task $zero --form zero
		;;
	cold) run out/r1/cold sft runs/r1/cold.toml; exam out/r1/cold ;;
	rl1) run out/r1/rl1 rl runs/r1/rl1.toml; exam out/r1/rl1 ;;
	nano)
		# What is built into sprat: rl1's weights in FP8's blocks, written by a run that has nothing left to do.
		if [ ! -d out/r1/nano ]; then
			rm -rf out/r1/nano.part
			cp -r out/r1/rl1 out/r1/nano.part
			./out/sprat rl runs/r1/rl1.toml --resume --set out=out/r1/nano.part --set dtype=fp8
			(cd out/r1/nano.part && rm -r eval-*.json metrics.jsonl ledger.json checkpoints report.html run.toml events.*)
			mv out/r1/nano.part out/r1/nano
		fi
		exam out/r1/nano
		;;
	rl1-sft)
		# For as many operations. Learning a token takes three passes forward, and in RL a fourth, the reference's; drawing one takes one.
		# A step of fine-tuning learns 16 x 512.
		record=out/r1/rl1/metrics.jsonl
		learned=$(grep '"kind":"step"' $record | tail -n 1 | sed 's/.*"tokens":\([0-9]*\).*/\1/')
		drawn=$(sed -n 's/.*"rollout_tokens_per_second":\([0-9.]*\),"rollout_seconds":\([0-9.]*\).*/\1 \2/p' $record | awk '{ n += $1 * $2 } END { printf "%d", n }')
		run out/r1/rl1-sft sft runs/r1/rl1-sft.toml --set "train.steps=$(( (4 * learned + drawn) / 3 / 8192 ))"
		exam out/r1/rl1-sft
		;;
	rl1-worked) run out/r1/rl1-worked sft runs/r1/rl1-worked.toml; exam out/r1/rl1-worked ;;
	sft) run out/r1/sft distill runs/r1/sft.toml; exam out/r1/sft ;;
	rl2) run out/r1/rl2 rl runs/r1/rl2.toml; exam out/r1/rl2 ;;
	distill) run out/r1/distill distill runs/r1/distill.toml; exam out/r1/distill ;;
	*) echo "there is no stage $stage: base zero zero-2 form-only cold rl1 nano rl1-sft rl1-worked sft rl2 distill" >&2; exit 2 ;;
	esac
done
make report
