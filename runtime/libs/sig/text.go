package sig

import (
	"crypto/ed25519"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// SignText signs a text, such as a log's checkpoint, as it is. A text of 32 bytes
// is refused: it could be an id, and what signs ids must not be talked into
// signing one unseen (RFC-MYTHOS-0005 §10.2).
func (k Key) SignText(text []byte) ([64]byte, error) {
	switch {
	case k.secret == nil:
		return [64]byte{}, fault.New(ErrAlg, "the key is empty")
	case len(text) == 32:
		return [64]byte{}, fault.New(ErrAlg, "a text of 32 bytes could be an id")
	}
	return [64]byte(ed25519.Sign(k.secret, text)), nil
}
