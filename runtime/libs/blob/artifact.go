package blob

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// FlatLimit is the greatest size of an artifact that is one object. Above, it is
// a chunked blob with chunks of exactly this size (RFC-MYTHOS-0002 §6).
const FlatLimit = 4 << 20

// ArtifactID names an artifact: by size it is known how CID was made, and both
// hashes are checked.
type ArtifactID struct {
	CID    cid.Hash // SHA-256 of the bytes up to FlatLimit, above the root of the chunked blob
	Size   uint64   // bytes
	SHA256 cid.Hash // of the bytes
}

// Flat reports whether the artifact is one object.
func (a ArtifactID) Flat() bool { return a.Size <= FlatLimit }

// WriteArtifact reads r to its end, hands the artifact's objects (one, or chunks
// and nodes) to put and returns its id. A nil put only computes the id. It
// holds up to 16 MiB.
func WriteArtifact(r io.Reader, put merkle.Put) (ArtifactID, error) {
	sum := sha256.New()
	r = io.TeeReader(r, sum)
	head, err := io.ReadAll(io.LimitReader(r, FlatLimit+1))
	if err != nil {
		return ArtifactID{}, err
	}
	if len(head) <= FlatLimit {
		id := cid.Hash(sum.Sum(nil))
		if put != nil {
			err = put(id, head)
		}
		return ArtifactID{id, uint64(len(head)), id}, err
	}
	t, err := fill(newBuilder(FlatLimit, put), io.MultiReader(bytes.NewReader(head), r), make([]byte, FlatLimit))
	if err != nil {
		return ArtifactID{}, err
	}
	return ArtifactID{t.CID(), t.Size, cid.Hash(sum.Sum(nil))}, nil
}

// Check reads r, at most Size+1 bytes of it, and reports whether it is exactly
// the artifact.
func (a ArtifactID) Check(r io.Reader) error {
	if a.Size > MaxSize {
		return fault.New(ErrSize, "an artifact of %d bytes, at most %d", a.Size, uint64(MaxSize)).About(a.CID.String())
	}
	got, err := WriteArtifact(io.LimitReader(r, int64(a.Size)+1), nil)
	if err != nil {
		return err
	}
	switch {
	case got.Size > a.Size:
		return fault.New(ErrSize, "more than %d bytes", a.Size).About(a.CID.String())
	case got.Size < a.Size:
		return fault.New(ErrSize, "%d bytes, want %d", got.Size, a.Size).About(a.CID.String())
	case got.SHA256 != a.SHA256:
		return fault.New(ErrHash, "the bytes' SHA-256 is %s, want %s", got.SHA256, a.SHA256).About(a.CID.String())
	case got.CID != a.CID:
		return fault.New(ErrHash, "the bytes' id is %s", got.CID).About(a.CID.String())
	}
	return nil
}

// Open returns a reader of the artifact; get supplies its objects. Every byte is
// verified against CID before it is returned; the end is reported only when
// SHA256 was found to be right as well.
func (a ArtifactID) Open(get merkle.Get) (io.Reader, error) {
	if a.Flat() {
		if a.CID != a.SHA256 {
			return nil, fault.New(ErrHash, "%d bytes are named by their SHA-256, which is said to be %s", a.Size, a.SHA256).About(a.CID.String())
		}
		return openFlat(a.CID, a.Size, FlatLimit, get)
	}
	b, err := Open(a.CID, get)
	if err != nil {
		return nil, err
	}
	if b.size != a.Size || b.chunkSize != FlatLimit {
		return nil, fault.New(ErrSize, "an artifact of %d bytes whose tree has %d in chunks of %d", a.Size, b.size, b.chunkSize).About(a.CID.String())
	}
	return &artifactReader{r: b.Reader(), sum: sha256.New(), id: a}, nil
}

// artifactReader compares the SHA-256 at the end.
type artifactReader struct {
	r   *Reader
	sum hash.Hash
	id  ArtifactID
}

func (r *artifactReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if got := cid.Hash(r.sum.Sum(nil)); got != r.id.SHA256 {
			return n, fault.New(ErrHash, "the bytes' SHA-256 is %s, want %s", got, r.id.SHA256).About(r.id.CID.String())
		}
	}
	return n, err
}

// ArtifactOf returns the id of bytes that are in memory.
func ArtifactOf(b []byte) ArtifactID {
	sum := cid.Sum(b)
	id := ArtifactID{sum, uint64(len(b)), sum}
	if id.Flat() {
		return id
	}
	t, err := fill(newBuilder(FlatLimit, nil), bytes.NewReader(b), make([]byte, FlatLimit))
	if err != nil {
		panic(err) // nothing is read or stored, and no slice has 2^40 bytes
	}
	id.CID = t.CID()
	return id
}
