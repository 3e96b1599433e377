//go:build sigmemory

package main

import "github.com/mythos-run/mythos/runtime/libs/sig"

const remembers = true

// remember notes a signature that was just made, and verifies one in 64 of them all
// the same.
func remember(pub, msg, signature []byte) { sig.Remember(pub, msg, signature) }
