// Package pack turns a source folder into a signed package, and opens packages
// in every local form (RFC-MYTHOS-0006 §6, §7 and §8). A packed folder is
//
//	manifest.bin   manifest.sig   objects/<sha256>       what is loaded
//	claims/<attestation_id>                              what verifiers said later
//	manifest.json  ir/NAME.bin    modules/...            copies for people
//
// an archive holds the first two rows alone; a store, and an OCI image layout
// (RFC-MYTHOS-0011 §5), hold the content of the first under its hashes. Open and
// FromStore give each form as a Source: bytes that nobody has verified yet, for
// package gate to judge. Copy, WriteFolder and WriteArchive turn one form into another.
package pack

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// Codes of opening a package. Archives have those of package archive, paths
// those of package manifest.
const (
	ErrNotFound    fault.Code = "package_not_found"    // nothing there
	ErrUnpacked    fault.Code = "package_unpacked"     // a source folder that was not packed
	ErrFileMissing fault.Code = "package_file_missing" // no manifest.bin or manifest.sig
	ErrUnreadable  fault.Code = "package_unreadable"   // permission or I/O error
)

// sourceName is the file that makes a folder a source folder.
const sourceName = "manifest.src.json"

// Source is an open package whose content is not verified. Close it when the
// gate.Package that was loaded from it is no longer used.
type Source interface {
	gate.Source
	io.Closer
}

// OpenOptions bounds what Open reads.
type OpenOptions struct {
	Archive archive.Limits // zero: its defaults
}

// Open opens the packed folder, the archive or the image layout at path. A layout
// of several packages is given as PATH:TAG or PATH@sha256:HEX. It checks the form
// (step 0 of RFC-MYTHOS-0006 §9): an archive is read and checked to its last byte, a
// folder's paths are. It writes nothing.
func Open(ctx context.Context, path string, opt OpenOptions) (Source, error) {
	info, err := os.Stat(path)
	switch {
	case IsLayout(path) && err != nil:
		dir, name, _ := oci.SplitLayout(path)
		return openInLayout(ctx, dir, name)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(ErrNotFound, "nothing there").About(path)
	case err != nil:
		return nil, unreadable(err, path)
	case IsLayout(path):
		return openInLayout(ctx, path, "")
	case info.IsDir():
		return openFolder(ctx, path)
	case !info.Mode().IsRegular():
		return nil, fault.New(ErrNotFound, "neither a folder nor a file").About(path)
	}
	return openArchive(ctx, path, opt.Archive)
}

func unreadable(err error, path string) error {
	return fault.New(ErrUnreadable, "%w", err).About(path)
}

// readAll reads a file of at most limit bytes.
func readAll(r io.Reader, limit int, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil && fault.CodeOf(err) != "":
		return nil, err
	case err != nil:
		return nil, unreadable(err, name)
	case len(b) > limit:
		return nil, tooLong(name, limit)
	}
	return b, nil
}
