#!/usr/bin/env bash
# Checks the shell scripts: their syntax, and more where shellcheck is there.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for f in scripts/*.sh .ci/run; do
	bash -n "$f"
done
if have shellcheck; then
	shellcheck -S warning -x -P scripts scripts/*.sh .ci/run
else
	say "shellcheck is not installed: only the syntax was checked"
fi
