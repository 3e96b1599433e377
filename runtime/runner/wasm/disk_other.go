//go:build !unix

package wasm

import (
	"io/fs"
	"os"
)

// openEntry opens a file for reading.
func openEntry(path string) (*os.File, error) { return os.Open(path) }

// ownedByUser cannot tell where files have no mode: a user's profile folder is
// private there.
func ownedByUser(fs.FileInfo) bool { return true }

// lockScratch keeps the folder open, which keeps it there.
func lockScratch(dir string) (*os.File, error) { return os.Open(dir) }
