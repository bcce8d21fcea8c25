.DEFAULT_GOAL := help
.PHONY: help build web check test ci fuzz bench report gold size

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## a static binary, ./sprat
	CGO_ENABLED=0 go build -o sprat ./cmd/sprat

web: ## the chat page's built files, web/dist (needs Node)
	cd web && npm ci --ignore-scripts && npm run build

check: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

test: ## every test, and again with the portable kernels
	go test ./...
	go test -tags purego ./...

ci: ## what a merge must pass
	bash .ci/run

# Counted in executions: a duration's deadline may fall into a worker's call, which go test then reports as a failure. More
# where an execution is short, fewer where it goes through files: up to ten seconds a parser on two cores.
N ?= 15000
fuzz: ## fuzz every parser, some N=15000 executions each
	@set -e; for pkg in $$(go list ./...); do \
		case $$pkg in */config|*/cost|*/float8|*/tasks) n=$$((10 * $(N)));; */latent|*/quant|*/safetensors) n=$$(($(N) / 2));; *) n=$(N);; esac; \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $${n}x -fuzzminimizetime 1x $$pkg; done; done

bench: ## the kernels against this machine's peak and bandwidth
	go run ./cmd/sprat bench kernels

R1 = base=out/nano $(foreach s,zero zero-2 form-only cold rl1 nano rl1-sft rl1-worked sft rl2 distill,$(s)=out/r1/$(s))
report: ## docs/R1.md, from what the stages of R1's pipeline have recorded under out/, or what docs/r1/ keeps of that
	go run ./runs/r1report --out docs/R1.md --keep docs/r1 --card nano=models/nano/README.md $(R1)

gold: build ## make the gold vectors again, and compare with transformers both ways (needs Python; see testdata/gold/README.md)
	python3 -m venv out/gold && out/gold/bin/pip install -q -r testdata/gold/gen/requirements.txt
	out/gold/bin/python testdata/gold/gen/generate.py
	out/gold/bin/python testdata/gold/gen/grpo.py
	out/gold/bin/python testdata/gold/gen/roundtrip.py ./sprat

size: ## lines of Go in each package, tests and generated files apart
	@for d in $$(go list -f '{{.Dir}}' ./...); do \
		n=$$(ls $$d/*.go | grep -v _test.go | xargs cat | wc -l); echo "$$n $${d#$(CURDIR)/}"; done | sort -rn
