# make demo and make test are all that a newcomer needs; make help lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help demo test build bench attack big-pull bench-ts fuzz fuzz-wasm fuzz-short mutants model crash fuzz-caps generate fmt lint clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep -E '^[a-z-]+:.*##' Makefile

demo: ## build, pack and run packages/demo-001; show result, receipts and ledger
	@scripts/demo.sh

test: ## every check: build, lint, tests with -race, fuzzing, repacking, the demo
	@scripts/test.sh

build: ## build bin/mythos and bin/mythos-executor
	@scripts/build.sh

bench: ## benchmarks against peers, recorded in bench/
	@scripts/bench.sh
	@scripts/bench-processes.sh
	@scripts/bench-ledger.sh
	@scripts/bench-caps.sh
	@scripts/bench-store.sh
	@scripts/bench-pack.sh
	@scripts/bench-registry.sh

bench-ts: ## the TypeScript codec against cbor-x, recorded in bench/typescript.md
	@scripts/bench-ts.sh

fuzz: ## every fuzz target for 30 s, recorded in bench/fuzz.md
	@scripts/fuzz.sh 30 bench/fuzz.md

fuzz-wasm: ## the wasm rewriter and runner for half an hour, recorded in bench/fuzz-wasm.md
	@scripts/fuzz.sh 450 bench/fuzz-wasm.md '(libs/fuel|runner/wasm) '

fuzz-short: ## every fuzz target for 5 s
	@scripts/fuzz.sh 5

CASES ?= 500000
SEED ?= 1 2
RECORD ?= bench/fuzz-diff.md
fuzz-diff: ## TypeScript and Python against Go: CASES generated cases of each SEED, recorded in bench/fuzz-diff.md
	@scripts/fuzz_diff.sh "$(CASES)" "$(SEED)" $(RECORD)

mutants: ## what the vectors alone catch of N=200 wrong implementations, in the order of SEED=1
	@scripts/mutants.sh "$(or $(N),200)" "$(firstword $(SEED) 1)"

model: ## every state of the ledger's model, its mutants, and its traces through the code
	@scripts/model.sh $(DEPTH)

CRASHES ?= 100
RETRIES ?= 10000
LANES ?= 1
crash: ## kill executors CRASHES times on each journal, LANES at once, cut power, fail calls; RECORD=bench/crash.md keeps what it shows
	@scripts/crash.sh "$(CRASHES)" "$(RETRIES)" "$(if $(findstring command,$(origin RECORD)),$(RECORD))" "$(LANES)"

CHAINS ?= 1000000
fuzz-caps: ## two evaluators of capability chains on CHAINS mutants, recorded in bench/fuzz-caps.md
	@scripts/fuzz_caps.sh $(CHAINS) $(firstword $(SEED)) bench/fuzz-caps.md

SIZE ?= 10G
big-pull: ## pull a package of SIZE=10G, killed five times, recorded in bench/big-pull.md
	@scripts/big-pull.sh "$(SIZE)" bench/big-pull.md

attack: ## every attack on the sandbox, as root and without rights; leaks and cold starts
	@scripts/attack.sh

generate: ## write codecs and field tables from spec/schema.can
	@CGO_ENABLED=0 go run ./internal/cangen

fmt: ## format the Go files
	@scripts/fmt.sh

lint: ## format check, vet, staticcheck, shell scripts, layers, references
	@scripts/lint.sh

clean: ## remove bin/ and dist/ (and with dist/ the demo's ledger)
	@rm -rf bin dist
