package manifest

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Artifact kinds (Artifact field 1).
const (
	KindIR       uint8 = 1
	KindModule   uint8 = 2
	KindTree     uint8 = 3
	KindPolicy   uint8 = 4
	KindCodebook uint8 = 5
	KindCTVP     uint8 = 6
	KindSchema   uint8 = 7
	KindDoc      uint8 = 8
	KindSBOM     uint8 = 9
	KindImage    uint8 = 10
)

// Bounds of a tree. A tree at all three is about 120 MB of struct.
const (
	MaxTreeFiles   = 100_000
	MaxTreeTotal   = 4 << 30   // bytes of its files
	MaxTreeEncoded = 128 << 20 // bytes of the struct
)

// Codes of trees and of content.
const (
	ErrTree         fault.Code = "tree_invalid"  // a tree that breaks a rule other than those of paths
	ErrArtifactSize fault.Code = "artifact_size" // content of another length
)

// KindName names an artifact kind.
func KindName(k uint8) string {
	names := [...]string{"", "ir", "module", "tree", "policy", "codebook", "ctvp", "schema", "doc", "sbom", "image"}
	if k == 0 || int(k) >= len(names) {
		return "kind " + strconv.Itoa(int(k))
	}
	return names[k]
}

// ID returns what x names.
func (x *Artifact) ID() blob.ArtifactID {
	return blob.ArtifactID{CID: x.CID, Size: x.Size, SHA256: x.SHA256}
}

// ID returns what x names.
func (x *TreeEntry) ID() blob.ArtifactID {
	return blob.ArtifactID{CID: x.CID, Size: x.Size, SHA256: x.SHA256}
}

// flatRule reports whether cid and sha256 agree as the size asks, as far as
// the two alone can show it.
func flatRule(id blob.ArtifactID) bool { return (id.CID == id.SHA256) == id.Flat() }

// CheckContent reads r, at most one byte more than it should hold, and checks
// that it is exactly what id names: size, then SHA-256, then cid.
func CheckContent(id blob.ArtifactID, r io.Reader) error {
	err := id.Check(r)
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	e = e.About("artifact " + id.CID.String()) // a copy
	switch e.Code {
	case blob.ErrSize:
		e.Code = ErrArtifactSize
	case blob.ErrHash:
		e.Code = ErrArtifactHash
	default:
		return err
	}
	return e
}

func (x *Artifact) validate() error {
	subject := "artifact " + x.CID.String()
	switch {
	case x.Size > MaxArtifactSize:
		return fault.New(ErrLimit, "%d bytes, at most %d", x.Size, MaxArtifactSize).About(subject)
	case x.Kind < KindIR || x.Kind > KindImage:
		return fault.New(ErrArtifact, "kind %d, want 1..10", x.Kind).About(subject)
	case !checkMediaType(x.MediaType):
		return fault.New(ErrArtifact, "media_type %s, want 1 to %d bytes of printable ASCII", quote(x.MediaType), MaxMediaType).About(subject)
	case !flatRule(x.ID()):
		return fault.New(ErrArtifactHash, "%d bytes: the cid is the SHA-256 up to 4 MiB, a chunk root above", x.Size).About(subject)
	}
	return nil
}

func checkMediaType(s string) bool {
	return s != "" && len(s) <= MaxMediaType && strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}

// DecodeTree strictly decodes a tree and checks its rules (RFC-MYTHOS-0006
// §5): entries ascend by path, none twice; paths are safe and do not collide;
// at most 100,000 files and 4 GiB.
func DecodeTree(raw []byte) (*Tree, error) {
	if len(raw) > MaxTreeEncoded {
		return nil, fault.New(ErrTree, "%d bytes, at most %d", len(raw), MaxTreeEncoded)
	}
	t := new(Tree)
	r := can.NewReader(raw)
	t.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}

// Validate checks the rules of DecodeTree.
func (x *Tree) Validate() error {
	if len(x.Entries) == 0 || len(x.Entries) > MaxTreeFiles {
		return fault.New(ErrTree, "%d files, want 1..%d", len(x.Entries), MaxTreeFiles)
	}
	paths := make([]string, len(x.Entries))
	var total uint64
	for i := range x.Entries {
		e := &x.Entries[i]
		if err := CheckPath(e.Path); err != nil {
			return err
		}
		paths[i] = e.Path
		switch {
		case i > 0 && e.Path == paths[i-1]:
			return fault.New(ErrPathCollision, "the file stands twice").About(e.Path)
		case i > 0 && e.Path < paths[i-1]:
			return fault.New(ErrTree, "files must ascend by path").About(e.Path)
		case e.Mode > 1:
			return fault.New(ErrTree, "mode %d, want 0 (file) or 1 (executable)", e.Mode).About(e.Path)
		case !flatRule(e.ID()):
			return fault.New(ErrArtifactHash, "%d bytes: the cid is the SHA-256 up to 4 MiB and a chunk root above", e.Size).About(e.Path)
		case e.Size > MaxTreeTotal-total:
			return fault.New(ErrTree, "more than 4 GiB in all").About(e.Path)
		}
		total += e.Size
	}
	return CheckPaths(paths)
}
