package registry

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/strictjson"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	tokensSchema = "mythos.registry.tokens/1"
	tokenPrefix  = "mythos_"

	maxTokens     = 10_000
	maxTokensFile = 8 << 20 // bytes
	maxTokenName  = 100     // bytes
	maxRights     = 100     // of one token
)

// tokensFile is the file of tokens, of mode 0600.
type tokensFile struct {
	Schema string       `json:"schema"`
	Tokens []tokenEntry `json:"tokens"`
}

type tokenEntry struct {
	Name   string   `json:"name"`
	SHA256 cid.Hash `json:"sha256"`
	Rights []string `json:"rights"`
}

func tokensShape() strictjson.Shape {
	return strictjson.Shape{"": {"schema", "tokens"}, ".tokens[]": {"name", "sha256", "rights"}, ".tokens[].rights[]": nil}
}

// ReadTokens reads a file of tokens. One that is missing is fs.ErrNotExist.
func ReadTokens(path string) ([]Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(ErrToken, "%w", err).About(path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(ErrToken, "%w", err).About(path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(ErrToken, "others may read or write it: mode %v, want 0600", info.Mode().Perm()).About(path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxTokensFile+1))
	if err != nil {
		return nil, fault.New(ErrToken, "%w", err).About(path)
	}
	list, err := ParseTokens(raw)
	var e *fault.Error
	if errors.As(err, &e) {
		err = e.About(path)
	}
	return list, err
}

// ParseTokens reads the bytes of a file of tokens.
func ParseTokens(raw []byte) ([]Token, error) {
	if len(raw) > maxTokensFile {
		return nil, fault.New(ErrToken, "it has more than %d bytes", maxTokensFile)
	}
	var file tokensFile
	if err := strictjson.Decode(raw, tokensShape(), &file); err != nil {
		return nil, fault.New(ErrToken, "%w", err)
	}
	if file.Schema != tokensSchema {
		return nil, fault.New(ErrToken, "schema is %.60q, want %q", file.Schema, tokensSchema)
	}
	list := make([]Token, 0, min(len(file.Tokens), maxTokens))
	for _, t := range file.Tokens {
		list = append(list, Token(t))
	}
	return list, checkTokens(list)
}

func checkTokens(list []Token) error {
	if len(list) > maxTokens {
		return fault.New(ErrToken, "%d tokens, at most %d", len(list), maxTokens)
	}
	names := map[string]bool{}
	for _, t := range list {
		if err := t.check(); err != nil {
			return err
		}
		if names[t.Name] {
			return fault.New(ErrToken, "there is a token of the name %q", t.Name)
		}
		names[t.Name] = true
	}
	return nil
}

func (t *Token) check() error {
	switch {
	case t.Name == "" || len(t.Name) > maxTokenName || strings.ContainsFunc(t.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fault.New(ErrToken, "%.120q is no name of a token: 1 to %d bytes, all printable", t.Name, maxTokenName)
	case t.SHA256.IsZero():
		return fault.New(ErrToken, "token %q has no sha256", t.Name)
	case len(t.Rights) == 0 || len(t.Rights) > maxRights:
		return fault.New(ErrToken, "token %q has %d rights, want 1 to %d", t.Name, len(t.Rights), maxRights)
	}
	for _, r := range t.Rights {
		if err := CheckRight(r); err != nil {
			return err
		}
	}
	return nil
}

// NewToken makes a token and adds it to a file, which it makes if there is none.
// The file holds its SHA-256; the text is nowhere else than in the result. Two
// calls for one file must not run at the same time.
func NewToken(path, name string, rights []string) (text string, err error) {
	list, err := readForChange(path)
	if err != nil {
		return "", err
	}
	text = tokenPrefix + rand.Text() + rand.Text()
	list = append(list, Token{name, cid.Sum([]byte(text)), rights})
	if err := checkTokens(list); err != nil {
		return "", err
	}
	return text, writeTokens(path, list)
}

// RemoveToken removes the token of a name from a file.
func RemoveToken(path, name string) error {
	list, err := readForChange(path)
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(list), func(t Token) bool { return t.Name == name })
	if len(kept) == len(list) {
		return fault.New(ErrNoToken, "there is no token of the name %.100q", name).About(path)
	}
	return writeTokens(path, kept)
}

func readForChange(path string) ([]Token, error) {
	list, err := ReadTokens(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

func writeTokens(path string, list []Token) error {
	file := tokensFile{Schema: tokensSchema, Tokens: []tokenEntry{}}
	for _, t := range list {
		file.Tokens = append(file.Tokens, tokenEntry(t))
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic(err) // only our own structs come here
	}
	if err := atomicfile.Write(path, append(raw, '\n'), 0o600); err != nil {
		return fault.New(ErrToken, "%w", err).About(path)
	}
	return nil
}
