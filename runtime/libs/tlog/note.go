package tlog

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Bounds of a signed note. They leave room for sixteen signatures of the largest
// kind that there is.
const (
	MaxNote       = 256 << 10 // bytes
	MaxSignatures = 64
)

// Note is a text with signatures, none of them verified.
type Note struct {
	Text       string // ends in a newline
	Signatures []Signature
}

// Signature is one signature line.
type Signature struct {
	Name  string // of the key
	KeyID uint32
	Bytes []byte // what the algorithm of the key makes of them
}

const signatureHead = "\u2014 " // an em dash

var base64Strict = base64.StdEncoding.Strict()

// ParseNote reads a signed note. It verifies nothing.
func ParseNote(raw []byte) (Note, error) {
	if len(raw) > MaxNote {
		return Note{}, fault.New(ErrFormat, "%d bytes, at most %d", len(raw), MaxNote)
	}
	text := string(raw)
	control := func(r rune) bool { return r < 0x20 && r != '\n' }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, control) {
		return Note{}, fault.New(ErrFormat, "not UTF-8 text without control characters")
	}
	// The last empty line ends the text.
	end := strings.LastIndex(text, "\n\n")
	if end < 0 {
		return Note{}, fault.New(ErrFormat, "no empty line before the signatures")
	}
	n := Note{Text: text[:end+1]}
	rest := text[end+2:]
	if !strings.HasSuffix(rest, "\n") {
		return Note{}, fault.New(ErrFormat, "the last line does not end, or there is no signature")
	}
	for line := range strings.Lines(rest) {
		if len(n.Signatures) == MaxSignatures {
			return Note{}, fault.New(ErrFormat, "more than %d signatures", MaxSignatures)
		}
		s, err := parseSignature(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return Note{}, err
		}
		n.Signatures = append(n.Signatures, s)
	}
	return n, nil
}

func parseSignature(line string) (Signature, error) {
	rest, ok := strings.CutPrefix(line, signatureHead)
	name, text, two := strings.Cut(rest, " ")
	if !ok || !two {
		return Signature{}, fault.New(ErrFormat, "%.80q is no signature line", line)
	}
	if err := checkName(name); err != nil {
		return Signature{}, err
	}
	b, err := base64Strict.DecodeString(text)
	if err != nil || len(b) < 5 {
		return Signature{}, fault.New(ErrFormat, "the signature of %.80q is not base64 of five bytes or more", name)
	}
	return Signature{Name: name, KeyID: binary.BigEndian.Uint32(b), Bytes: b[4:]}, nil
}

// checkName checks that a key's name can stand in a signature line and in a
// verifier key.
func checkName(name string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || r == '+' || r < 0x20 }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) {
		return fault.New(ErrFormat, "%.80q is no key name: it is empty or holds a space or plus", name)
	}
	return nil
}

// Append appends the note's bytes to b.
func (n Note) Append(b []byte) []byte {
	b = append(b, n.Text...)
	b = append(b, '\n')
	for _, s := range n.Signatures {
		b = append(append(append(b, signatureHead...), s.Name...), ' ')
		raw := binary.BigEndian.AppendUint32(nil, s.KeyID)
		b = base64Strict.AppendEncode(b, append(raw, s.Bytes...))
		b = append(b, '\n')
	}
	return b
}
