//go:build race

package ir

// programs is how many programs TestDifferential generates: fewer where each
// takes ten times as long, and nothing runs at the same time.
const programs = 4_000
