#!/usr/bin/env bash
# Static checks: format, vet, staticcheck, the shell scripts, and the tests
# that guard layers, error codes, style and references into spec/.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/fmt.sh --check
go_pure vet ./...
build_tools
bin/tools/staticcheck ./...
scripts/shell.sh
go_pure test ./internal/layers ./internal/specref ./ctvp
