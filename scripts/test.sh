#!/usr/bin/env bash
# Every check of the project, each step named and timed, stopping at the first
# that fails. What cannot run here is skipped loudly; where CI=true it fails.
# MYTHOS_CTVP_V02 and MYTHOS_ED25519_VECTORS name the vectors that others
# published; ../shared is looked at when they are unset.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passed=0
failed=0
current=
summary=()
skips=()

# finish prints what ran, whatever the outcome.
finish() {
	local status=$?
	if [ -n "$current" ]; then
		failed=1
		summary+=("FAILED   $current")
	fi
	printf '\n'
	printf '%s\n' "${summary[@]+"${summary[@]}"}" "${skips[@]+"${skips[@]}"}"
	sweep
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" -eq 0 ] || [ "$status" -ne 0 ] || status=1
	exit "$status"
}

# No check may touch the home of whoever runs this.
scratch
export MYTHOS_HOME="$SCRATCH/home"
trap finish EXIT

# step NAME COMMAND... runs one step.
step() {
	local start=$SECONDS
	current=$1
	printf '\n== %s\n' "$1"
	shift
	"$@"
	summary+=("$(printf 'ok %4ds  %s' $((SECONDS - start)) "$current")")
	passed=$((passed + 1))
	current=
}

# missing WHAT WHY notes that something is not here: a failure in CI.
missing() {
	printf '\n!! SKIPPED: %s: %s\n' "$1" "$2"
	skips+=("SKIPPED  $1: $2")
	if in_ci; then
		current="$1 ($2)"
		exit 1
	fi
}

generated() { go_pure run ./internal/cangen -check; }

vet() {
	go_pure vet ./...
	GOOS=wasip1 GOARCH=wasm go_pure vet ./tools/... ./sdk/go/... # guests, hidden from the host's build
}

static() {
	build_tools
	bin/tools/staticcheck ./...
}

compiler() { have "$(go env CC | cut -d ' ' -f 1)"; }

# debian PACKAGES... installs them where that is root's to do.
debian() {
	if [ "$(id -u)" -eq 0 ] && have apt-get; then
		say "Installing $* from Debian's packages ..."
		if ! { apt-get update -qq && apt-get install -qq -y "$@" >/dev/null; }; then
			say "apt-get failed"
		fi
	fi
}

postgres() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

tests() {
	if compiler; then
		CGO_ENABLED=1 scripts/peers.sh scripts/postgres.sh go test -race -timeout 25m ./...
	else
		CGO_ENABLED=0 scripts/peers.sh scripts/postgres.sh go test -timeout 15m ./...
	fi
}

# packs checks the pack's files and runs both conformance packs with the built
# binary.
packs() {
	go_pure test ./ctvp/gen
	bin/mythos ctvp verify
	if [ -n "${MYTHOS_CTVP_V02:-}" ]; then bin/mythos ctvp verify --pack "$MYTHOS_CTVP_V02"; fi
}

typescript() {
	(cd sdk/ts && npm ci --no-audit --no-fund && npm test)
	bin/mythos ctvp verify --impl "node $ROOT/sdk/ts/conformance/adapter.mjs"
}

python() {
	(cd sdk/python && python3 -m unittest)
	PYTHONPATH="$ROOT/sdk/python" bin/mythos ctvp verify --impl 'python3 -m mythos.conformance'
}

bench_builds() { go_pure -C bench vet ./...; }

find_shared
[ -n "${MYTHOS_CTVP_V02:-}" ] || missing "v0.2 vectors" "MYTHOS_CTVP_V02 is not set and ../shared/ctvp-v0.2 is not there"
[ -n "${MYTHOS_ED25519_VECTORS:-}" ] || missing "Ed25519 edge vectors" "MYTHOS_ED25519_VECTORS is not set and ../shared/vectors/ed25519 is not there"
compiler || debian gcc libc6-dev
compiler || missing "race detector" "no C compiler; the tests run without -race"
have crun && have runc || debian crun runc
have crun || missing "OCI images" "crun is not installed"
postgres || debian postgresql
postgres || missing "PostgreSQL" "initdb and pg_ctl are not installed"
have strace || debian strace
have strace || missing "crash harness" "strace is not installed"
have node && have npm || missing "golden counts in V8, TypeScript" "Node 20 or later with npm is not installed"
have python3 || missing "Python" "Python 3.10 or later is not installed"

step "build both commands" scripts/build.sh
step "generated files are up to date" generated
step "gofumpt" scripts/fmt.sh --check
step "go vet" vet
step "staticcheck" static
step "shell scripts" scripts/shell.sh
step "go test ./..." tests
step "bench module builds" bench_builds
step "conformance packs" packs
if have node && have npm; then
	step "golden counts in V8" scripts/v8.sh
	step "TypeScript" typescript
fi
if have python3; then step "Python" python; fi
step "guest SDKs: Go, Rust, C, AssemblyScript" scripts/sdks.sh
step "tools in six languages answer the same" scripts/parity.sh
step "mythos init in six languages" scripts/init.sh
step "differential fuzzing, 5000 cases" scripts/fuzz_diff.sh
step "vectors against 12 mutants" scripts/mutants.sh 12
step "OCI distribution conformance" scripts/oci-conformance.sh
step "crash harness, 100 crashes for each journal" scripts/crash.sh 100 1000
step "capability chains, 100000 mutants" scripts/fuzz_caps.sh
step "fuzz targets, 3 s each" scripts/fuzz.sh 3
step "packing twice gives the same bytes" scripts/repack.sh
step "demo: run, replay, run without a ledger" scripts/demo_check.sh
