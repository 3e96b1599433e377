package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/libs/wire"
)

// objectView is what inspect --json prints for a single object.
type objectView struct {
	Schema    string          `json:"schema"`
	Types     []string        `json:"types"` // what it can be, the likeliest first; none: a plain value
	SHA256    cid.Hash        `json:"sha256"`
	Size      int             `json:"size"`
	ID        *cid.Hash       `json:"id"`        // recomputed; null if the type has none
	Signature *string         `json:"signature"` // "valid" or "invalid" by the signer it names; null if it names none
	View      json.RawMessage `json:"view"`
}

func (o *inspectOptions) showObject(raw []byte) error {
	v, err := newObjectView(raw)
	if err != nil {
		return about(o.ref, err)
	}
	if o.json {
		return o.printJSON(v)
	}
	t := term.NewTable()
	t.Row("type", strings.Join(v.Types, " or "))
	t.Row("sha256", v.SHA256.String())
	t.Row("size", strconv.Itoa(v.Size))
	if v.ID != nil {
		t.Row("id", v.ID.String())
	}
	if v.Signature != nil {
		t.Row("signature", *v.Signature)
	}
	if err := o.printTable(t); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, v.View, "", "  "); err != nil {
		return err
	}
	_, err = o.Out.Write(append(append([]byte("\n"), escapeJSON(text.Bytes())...), '\n'))
	return err
}

func newObjectView(raw []byte) (objectView, error) {
	v := objectView{Schema: "mythos.inspect.object/1", Types: []string{}, SHA256: cid.Sum(raw), Size: len(raw)}
	var err error
	switch {
	case bytes.HasPrefix(raw, []byte("MYTHOS ")):
		err = v.keyFile(raw)
	case bytes.HasPrefix(raw, []byte("MYTH")):
		err = v.packet(raw)
	default:
		err = v.value(raw)
	}
	return v, err
}

// value shows one canonical value by the struct that it is.
func (v *objectView) value(raw []byte) error {
	if err := can.Valid(raw); err != nil {
		return err
	}
	if names := view.Identify(raw); len(names) > 0 {
		v.Types = names
	}
	if len(v.Types) == 0 {
		var err error
		v.View, err = jsonView(raw)
		return err
	}
	text, err := view.JSON(v.Types[0], raw)
	if err != nil {
		return err
	}
	v.View = text
	id, ok, err := view.ID(v.Types[0], raw)
	if err != nil || !ok {
		return err
	}
	v.ID = &id
	v.Signature = checkSignature(v.Types[0], raw, id)
	return nil
}

// checkSignature verifies a signed struct against the signer that it names, if
// it names one.
func checkSignature(name string, raw []byte, id cid.Hash) *string {
	x, _ := view.Lookup(name)
	if x.By == 0 {
		return nil
	}
	var by sig.AgentID
	var s sig.Signature
	r := can.NewReader(raw)
	for n := r.MapHead(); n > 0; n-- {
		num := r.Uint()
		value := can.NewReader(r.Raw())
		switch num {
		case uint64(x.By):
			by.ReadCAN(&value)
		case uint64(x.Sig):
			s.ReadCAN(&value)
		}
	}
	verdict := "valid"
	if by.Verify(id, s) != nil {
		verdict = "invalid"
	}
	return &verdict
}

// keyFile shows a key file without its secret.
func (v *objectView) keyFile(raw []byte) error {
	kind := "public key file"
	agent, role, err := sig.ParsePublic(raw)
	if err != nil {
		var key sig.Key
		if key, role, err = sig.ParseSecret(raw); err != nil {
			return err
		}
		kind, agent = "secret key file", key.Agent()
	}
	v.Types = []string{kind}
	v.View, err = json.Marshal(struct {
		Role  sig.Role `json:"role"`
		Hint  *string  `json:"hint"`
		KeyID cid.Hash `json:"key_id"`
		Key   string   `json:"key"`
	}{role, orNull(agent.Hint), agent.KeyID(), cid.Hash(agent.Key).Hex()})
	return err
}

// packetView is the view of a MYTHOS-X packet.
type packetView struct {
	Codec    uint8           `json:"codec"`
	Codebook cid.Hash        `json:"codebook_id"`
	Digest   cid.Hash        `json:"digest"`
	Entries  []packetSigner  `json:"signatures"`
	Payload  string          `json:"payload"` // hex, as on the wire
	Bundle   json.RawMessage `json:"bundle"`  // null if it is compressed
}

type packetSigner struct {
	KeyID cid.Hash `json:"key_id"`
	State string   `json:"state"`
}

func (v *objectView) packet(raw []byte) error {
	p, err := wire.Parse(raw)
	if err != nil {
		return err
	}
	x := packetView{
		Codec: p.Codec, Codebook: p.Codebook, Digest: p.Digest(), Entries: []packetSigner{},
		Payload: hex.EncodeToString(p.Payload), Bundle: json.RawMessage("null"),
	}
	for _, e := range p.Verify() {
		x.Entries = append(x.Entries, packetSigner{e.Signer.KeyID(), e.State.String()})
	}
	if p.Codec == wire.CodecCAN {
		inner := objectView{Types: []string{}}
		if err := inner.value(p.Payload); err != nil {
			return err
		}
		x.Bundle = inner.View
	}
	v.Types = []string{"MYTHOS-X packet"}
	v.View, err = json.Marshal(x)
	return err
}
