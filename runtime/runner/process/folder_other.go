//go:build !unix

package process

import (
	"io/fs"
	"os"
)

// ownedByUser cannot tell where files have no mode: a user's profile folder is
// private there.
func ownedByUser(fs.FileInfo) bool { return true }

// openFolder opens a folder.
func openFolder(path string) (*os.File, error) { return os.Open(path) }

// lockFolder opens a folder. No sandbox starts a module here, so nothing that
// another process could remove is in use.
func lockFolder(path string, _ bool) (*os.File, error) { return os.Open(path) }
