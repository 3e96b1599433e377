package tlog

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Checkpoint says which root a log had at a size.
type Checkpoint struct {
	Origin     string // which log
	Size       uint64
	Root       cid.Hash
	Extensions []string // further lines, of no meaning here
}

// MaxOrigin bounds the origin in bytes.
const MaxOrigin = 255

// ParseCheckpoint reads a checkpoint's text.
func ParseCheckpoint(text string) (Checkpoint, error) {
	body, ok := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ok || len(lines) < 3 || slices.Contains(lines, "") {
		return Checkpoint{}, fault.New(ErrFormat, "not three lines or more, none of them empty")
	}
	c := Checkpoint{Origin: lines[0], Extensions: lines[3:]}
	if len(c.Extensions) == 0 {
		c.Extensions = nil
	}
	if len(c.Origin) > MaxOrigin {
		return Checkpoint{}, fault.New(ErrFormat, "an origin of %d bytes, at most %d", len(c.Origin), MaxOrigin)
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, fault.New(ErrFormat, "%.40q is no size", lines[1])
	}
	c.Size = size
	root, err := base64Strict.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return Checkpoint{}, fault.New(ErrFormat, "%.60q is no root: not base64 of 32 bytes", lines[2])
	}
	c.Root = cid.Hash(root)
	return c, nil
}

// Text returns the text that is signed.
func (c Checkpoint) Text() string {
	lines := append([]string{c.Origin, strconv.FormatUint(c.Size, 10), base64Strict.EncodeToString(c.Root[:])}, c.Extensions...)
	return strings.Join(lines, "\n") + "\n"
}

// Signer signs checkpoints with the key of a log. A sig.Key is one.
type Signer interface {
	Agent() sig.AgentID
	SignText(text []byte) ([64]byte, error)
}

// Sign returns a checkpoint as a note with one signature, by the log's key under
// the name of its origin.
func Sign(c Checkpoint, by Signer) ([]byte, error) {
	text := c.Text()
	back, err := ParseCheckpoint(text)
	if err == nil {
		err = checkName(c.Origin)
	}
	if err == nil && (back.Text() != text || back.Origin != c.Origin || back.Size != c.Size || !utf8.ValidString(text)) {
		err = fault.New(ErrFormat, "the checkpoint of %.80q is not what its text says", c.Origin)
	}
	if err != nil {
		return nil, err
	}
	s, err := by.SignText([]byte(text))
	if err != nil {
		return nil, err
	}
	n := Note{Text: text, Signatures: []Signature{{c.Origin, LogKey(c.Origin, by.Agent()).ID(), s[:]}}}
	return n.Append(nil), nil
}

// Parse reads a checkpoint without verifying a signature: what it says is to be
// believed of nobody.
func Parse(raw []byte) (Checkpoint, Note, error) {
	n, err := ParseNote(raw)
	if err != nil {
		return Checkpoint{}, n, err
	}
	c, err := ParseCheckpoint(n.Text)
	return c, n, err
}

// Verified is a checkpoint that a key of its log has signed.
type Verified struct {
	Checkpoint
	By        Key // the first of them
	Witnesses []Cosignature
}

// Cosignature is what a witness has said: at that time, this was the largest
// checkpoint of the log that it had seen, and all before were consistent.
type Cosignature struct {
	Key     Key
	Seconds int64 // since 1970
}

// Open reads a checkpoint and verifies it. It fails with ErrSigner unless one of
// agents has signed under the checkpoint's origin, and with ErrSignature if a
// signature of one of them, or of a witness, does not verify. Other signatures
// are ignored.
func Open(raw []byte, agents []sig.AgentID, witnesses []Key) (Verified, error) {
	c, n, err := Parse(raw)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Checkpoint: c}
	keys := slices.Clone(witnesses)
	for _, a := range agents {
		keys = append(keys, LogKey(c.Origin, a))
	}
	for _, s := range n.Signatures {
		for i, k := range keys {
			if k.Name != s.Name || k.ID() != s.KeyID {
				continue
			}
			seconds, ok := k.verify(n.Text, s)
			switch {
			case !ok:
				return Verified{}, fault.New(ErrSignature, "the signature of %s with key id %08x does not verify", s.Name, s.KeyID)
			case i < len(witnesses) && slices.ContainsFunc(v.Witnesses, func(c Cosignature) bool { return c.Key == k }):
				// said already: a witness counts once
			case i < len(witnesses):
				v.Witnesses = append(v.Witnesses, Cosignature{k, seconds})
			case v.By == (Key{}):
				v.By = k
			}
		}
	}
	if v.By == (Key{}) {
		return Verified{}, fault.New(ErrSigner, "no known key has signed the checkpoint of %s of size %d", c.Origin, c.Size)
	}
	return v, nil
}
