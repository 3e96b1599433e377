package tlog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// The signature types of a Key.
const (
	TypeEd25519     = 0x01 // over the note's text
	TypeCosignature = 0x04 // a witness's, with the time at which it saw the checkpoint
)

// Key verifies one kind of signatures under one name.
type Key struct {
	Name   string
	Type   byte
	Public [32]byte
}

// LogKey is the key of a log: its name in signatures is the log's origin.
func LogKey(origin string, agent sig.AgentID) Key {
	return Key{Name: origin, Type: TypeEd25519, Public: agent.Key}
}

// ID returns SHA-256(name || 0A || type || key)[:4].
func (k Key) ID() uint32 {
	b := append([]byte(k.Name), '\n', k.Type)
	sum := sha256.Sum256(append(b, k.Public[:]...))
	return binary.BigEndian.Uint32(sum[:])
}

// String returns the key as NAME+ID+BASE64, the form in which witnesses and logs
// are told of each other's keys.
func (k Key) String() string {
	material := append([]byte{k.Type}, k.Public[:]...)
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.ID(), base64Strict.EncodeToString(material))
}

// ParseKey reads what String writes.
func ParseKey(text string) (Key, error) {
	name, rest, _ := strings.Cut(text, "+")
	id, material, ok := strings.Cut(rest, "+")
	number, err := strconv.ParseUint(id, 16, 32)
	if !ok || err != nil || len(id) != 8 || strings.ToLower(id) != id {
		return Key{}, fault.New(ErrKey, "%.80q is not NAME+ID+BASE64", text)
	}
	if err := checkName(name); err != nil {
		return Key{}, fault.New(ErrKey, "%w", err)
	}
	b, err := base64Strict.DecodeString(material)
	if err != nil || len(b) != 33 || b[0] != TypeEd25519 && b[0] != TypeCosignature {
		return Key{}, fault.New(ErrKey, "the key of %.80q is not one byte 01 or 04 and an Ed25519 key", name)
	}
	k := Key{Name: name, Type: b[0], Public: [32]byte(b[1:])}
	if k.ID() != uint32(number) {
		return Key{}, fault.New(ErrKey, "the key of %.80q has the id %08x, the text says %s", name, k.ID(), id)
	}
	return k, nil
}

// verify checks a signature by k over a note's text, and returns the time of a
// cosignature in seconds.
func (k Key) verify(text string, s Signature) (seconds int64, ok bool) {
	switch {
	case k.Type == TypeEd25519:
		return 0, sig.VerifyStrict(k.Public[:], []byte(text), s.Bytes)
	case k.Type != TypeCosignature || len(s.Bytes) != 8+64:
		return 0, false
	}
	when := binary.BigEndian.Uint64(s.Bytes)
	if when > MaxSize {
		return 0, false
	}
	return int64(when), sig.VerifyStrict(k.Public[:], cosigned(text, int64(when)), s.Bytes[8:])
}

// cosigned is what a witness signs.
func cosigned(text string, seconds int64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
}
