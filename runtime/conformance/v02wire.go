package conformance

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/wire"
)

// packet is WIRE_001: a MYTHOS-X packet (RFC-MYTHOS-0001 §5). The published
// packet shows framing and encoding; what it does not show becomes notes.
func (v *vector) packet() {
	var want struct {
		Codebook string `json:"codebook_id"`
		Codec    uint8  `json:"codec_id"`
		Flags    int    `json:"flags"`
		Payload  string `json:"payload_sha256"`
		Rule     string `json:"signing_rule"`
		Version  int    `json:"version"`
	}
	raw, ok := v.file("packet_bin")
	if !ok || !v.parse("description_json", &want) {
		return
	}
	v.expect("packet_sha256", cid.Sum(raw).Hex())
	p, err := wire.Parse(raw)
	if !v.succeeds("parse", err) {
		return
	}
	v.equal("version", want.Version, 2) // Parse accepts no other, and no flag
	v.equal("flags", want.Flags, 0)
	v.equal("codec", p.Codec, want.Codec)
	v.equal("codebook", p.Codebook.Hex(), want.Codebook)
	v.equal("codebook of this build", p.Codebook, codebook.BaselineID())
	v.equal("payload sha256", cid.Sum(p.Payload).Hex(), want.Payload)
	v.sameBytes("re-encode the packet", p.Append(nil), raw)
	v.signatures(p)
	payload, err := p.Bundle(wire.Options{})
	if v.succeeds("payload", err) && v.canonical(payload) {
		v.bundle(payload)
	}
}

// signatures counts what the packet proves about its signers.
func (v *vector) signatures(p *wire.Unverified) {
	unsigned, invalid := 0, 0
	verdicts := p.Verify()
	for _, x := range verdicts {
		switch x.State {
		case wire.Unsigned:
			unsigned++
		case wire.Invalid:
			invalid++
		}
	}
	verified := len(verdicts.Signers())
	note := fmt.Sprintf("%d verified", verified)
	if unsigned > 0 {
		note += fmt.Sprintf("; %d with an empty signature, which was not verified", unsigned)
	}
	if verified == 0 {
		note += "; the packet cannot show that its signing rule works"
	}
	if invalid > 0 {
		note += fmt.Sprintf("; %d do not verify", invalid)
	}
	v.add("signatures", invalid == 0, note)
}

// bundle decodes the payload as an IRBundle and says where it differs from
// what packers and executors accept.
func (v *vector) bundle(raw []byte) {
	var b ir.Bundle
	r := can.NewReader(raw)
	b.ReadCAN(&r)
	misplaced := misplacedText(raw)
	switch err := r.Done(); {
	case err == nil:
		v.sameBytes("re-encode the bundle", b.AppendCAN(nil), raw)
	case misplaced == 0:
		v.succeeds("decode as an IRBundle", err)
		return
	default:
		v.add("decode as an IRBundle", true, fmt.Sprintf(
			"%d TEXT constant stands in field 4 of Const (bytes) instead of field 5 (text), so a strict IRBundle decoder refuses the bundle: %v", misplaced, err))
	}
	lenient, err := ir.Inspect(raw)
	if !v.succeeds("inspect", err) {
		return
	}
	v.ids(raw, lenient)
	if _, err := ir.Load(raw); err != nil {
		v.add("an executor refuses it", fault.CodeOf(err) != "", err.Error())
	}
}

// ids recomputes artifact_id and task_ids and notes which do not follow from
// the bytes.
func (v *vector) ids(raw []byte, b *ir.Bundle) {
	var odd []string
	meta := field(raw, 1)
	if pre, err := can.AppendWithout(nil, meta, 5, 6); err == nil {
		whole := strings.Replace(string(raw), string(meta), string(pre), 1)
		if cid.Sum([]byte(whole)) != b.Meta.ArtifactID {
			odd = append(odd, "artifact_id")
		}
	}
	r := can.NewReader(field(field(raw, 9), 1))
	n := r.List()
	for i := range min(n, len(b.Tasks.Tasks)) {
		if id, err := cid.Without(r.Raw(), 1); err != nil || id != b.Tasks.Tasks[i].TaskID {
			odd = append(odd, fmt.Sprintf("task_id %d", i))
		}
	}
	note := ""
	if len(odd) > 0 {
		note = "not recomputable from the bytes: " + strings.Join(odd, ", ") + "; the vector shows the encoding of ids, not how they are made"
	}
	v.add("ids are there", !b.Meta.ArtifactID.IsZero() && len(b.Tasks.Tasks) > 0, note)
}

// field returns the bytes of a field of a canonical struct, or nil.
func field(raw []byte, num uint8) []byte {
	r := can.NewReader(raw)
	s := r.Struct()
	if !s.Has(num) {
		return nil
	}
	return r.Raw()
}

// misplacedText counts constants of kind 4 (text) whose TEXT stands in field 4.
func misplacedText(bundle []byte) int {
	r := can.NewReader(field(field(bundle, 2), 1))
	count := 0
	for n := r.List(); n > 0 && r.OK(); n-- {
		c := r.Raw()
		kind, text := field(c, 1), field(c, 4)
		if string(kind) == "\x03\x04" && len(text) > 0 && text[0] == can.Text {
			count++
		}
	}
	return count
}
