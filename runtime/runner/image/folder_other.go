//go:build !unix

package image

import (
	"io/fs"
	"os"
)

// private cannot tell where files have no mode; nothing is run there.
func private(fs.FileInfo) bool { return true }

// openFolder opens a folder.
func openFolder(path string) (*os.File, error) { return os.Open(path) }

// lockFolder opens a folder. Nothing is run here, so nothing is in use.
func lockFolder(path string, _ bool) (*os.File, error) { return os.Open(path) }
