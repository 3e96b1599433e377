package main

import (
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/manifest"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// signedKind is a kind of thing that keys sign: a struct with a signature field,
// a package manifest or a packet.
type signedKind struct {
	name string
	// raw is one of its kind, signed by alice; bare has required fields alone, nil
	// where that is raw.
	raw, bare []byte
	// signature is alice's signature in raw.
	signature []byte
	// under is raw with another signature by alice in the place of its own.
	under func(signature []byte) []byte
	// op and ask open bytes as this kind, alice being who may have signed.
	op  string
	ask func(raw []byte) in
}

func (k signedKind) slug() string { return strings.ToLower(k.name) }

// signedKinds is every kind that keys sign.
func signedKinds(s *suite) []signedKind {
	g := &objectGen{s, newSampler(), newSigner("alice"), newSigner("bob")}
	var all []signedKind
	for _, t := range signed() {
		full := seal(t, g.samples.fields(t, true, 1), g.a)
		var keyID []byte
		if t.By == 0 {
			keyID = g.a.keyID()
		}
		all = append(all, signedKind{
			name: t.Name, raw: encode(full), bare: encode(seal(t, g.base(t), g.a)), signature: g.a.sign(objectID(t, full)),
			under: func(other []byte) []byte { return encode(with(full, t.Sig, signature(1, keyID, other))) },
			op:    "object.open",
			ask:   func(raw []byte) in { return in{"type": t.Name, "hex": raw, "by": g.a.agent()} },
		})
	}
	return append(all, manifestKind(s, g.a), packetKind(g.a))
}

// manifestKind is PackageManifest, whose signatures are in a list.
func manifestKind(s *suite, a signer) signedKind {
	g := &pkgGen{suite: s, publisher: keys.NewKey([32]byte(a.seed), "")}
	made := func(m *manifest.Manifest) *manifest.Manifest { return g.signed(m, g.publisher) }
	m, small := made(g.sample()), g.sample()
	small.Modules, small.Policies = nil, nil
	return signedKind{
		name: "PackageManifest", raw: m.AppendCAN(nil), bare: made(small).AppendCAN(nil), signature: a.sign(m.PackageID[:]),
		under: func(other []byte) []byte {
			x := made(g.sample())
			x.Signatures[0].SigBytes = [64]byte(other)
			return x.AppendCAN(nil)
		},
		op: "manifest.open", ask: g.open,
	}
}

// packetKind is a packet, whose sigblock signs its digest.
func packetKind(a signer) signedKind {
	p := newPacket(x("08 00"))
	return signedKind{
		name: "Packet", raw: p.signed(a).bytes(), signature: a.sign(p.digest()),
		under: func(other []byte) []byte { return p.add(sigEntry(a.agent(), 1, other)).bytes() },
		op:    "wire.parse",
		ask:   func(raw []byte) in { return in{"hex": raw, "need": []any{hashText(a.keyID())}} },
	}
}

// confusion is the suite of type confusion: every signed kind's bytes, opened as
// every other, and every kind's signature under every other.
func confusion(p *pack) {
	s := p.suite("confusion", "RFC-MYTHOS-0001", "For every ordered pair of signed kinds, one's signed bytes opened as the other, and one's signature on the other.")
	s.spec = "RFC-MYTHOS-0001 §3.3"
	kinds := signedKinds(s)
	for _, from := range kinds {
		for _, to := range kinds {
			if from.name != to.name {
				s.confused(from, to, fmt.Sprintf("a signed %s opened as %s", from.name, to.name), from.raw)
			}
		}
	}
	for _, from := range kinds {
		for _, to := range kinds {
			if from.name != to.name && from.bare != nil {
				s.confused(from, to, fmt.Sprintf("a signed %s without optional fields, opened as %s", from.name, to.name), from.bare)
			}
		}
	}
	s.spec = "RFC-MYTHOS-0001 §4"
	for _, from := range kinds {
		for _, to := range kinds {
			if from.name != to.name {
				s.invalid(from.slug()+"-signs-"+to.slug(), to.op, fmt.Sprintf("the signature of a %s on a %s of the same signer", from.name, to.name),
					to.ask(to.under(from.signature)), "signature_invalid")
			}
		}
	}
}

// confused adds bytes of one kind that are opened as another. They must be
// refused by their shape, before any id or signature is looked at.
func (s *suite) confused(from, to signedKind, doc string, raw []byte) {
	s.refusedByGo(from.slug()+"-as-"+to.slug(), to.op, doc, to.ask(raw))
	last := s.p.vectors[len(s.p.vectors)-1].entry
	if shape := strings.HasPrefix(last.Error, "can_") || strings.HasPrefix(last.Error, "wire_") || last.Error == "schema_mismatch"; !shape {
		s.p.fail("%s: refused with %q, want it refused by its shape", last.ID, last.Error)
	}
}
