#!/usr/bin/env bash
# Builds both commands into bin/, without cgo and without paths of this machine.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build_bin mythos mythos-executor
say "built bin/mythos and bin/mythos-executor"
