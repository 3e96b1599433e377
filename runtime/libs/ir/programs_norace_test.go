//go:build !race

package ir

// programs is how many programs TestDifferential generates.
const programs = 20_000
