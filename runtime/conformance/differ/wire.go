package differ

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// packet is a packet in parts; lengths are made when it is put together.
type packet struct {
	header  []byte
	entries []*value
	payload []byte
}

// packetOf is an unsigned packet of codec 1.
func packetOf(payload []byte) *packet {
	id := codebook.BaselineID()
	header := append([]byte("MYTH\x00\x02\x00\x00\x01\x01"), id[:]...)
	return &packet{header, nil, payload}
}

func (p *packet) digest() cid.Hash { return cid.Sum(slices.Concat(p.header, p.payload)) }

func (p *packet) sign(k sig.Key) { p.add(agentOf(k), 1, signatureBy(k, p.digest())) }

// add adds an entry.
func (p *packet) add(agent []byte, alg uint64, sig []byte) {
	v := structValue(1, rawValue(agent), 2, uintValue(alg), 3, bytesValue(sig))
	v.typ = structType("SigBlockEntry")
	p.entries = append(p.entries, v)
}

// block is the sigblock.
func (p *packet) block() *value { return &value{tag: can.List, kids: p.entries} }

func (p *packet) bytes() []byte { return p.around(p.block().bytes()) }

func (p *packet) around(block []byte) []byte {
	return slices.Concat(p.header, sized(block), sized(p.payload))
}

// sized is b behind its length.
func sized(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

func wireClasses() []class {
	return []class{
		{name: "wire/signed", share: 10, oneSide: true, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			return "wire.parse", in{"hex": g.packet(r).bytes()}
		}},
		{name: "wire/need", share: 6, signed: true, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			need := []any{}
			for range 1 + r.IntN(2) {
				need = append(need, g.key(r).Agent().KeyID())
			}
			return "wire.parse", in{"hex": g.packet(r).bytes(), "need": need}
		}},
		{name: "wire/header", share: 8, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			p := g.packet(r)
			at := []int{r.IntN(4), 4, 5, 6, 7, 8, 8, 8, 9, 10 + r.IntN(32)}[r.IntN(10)]
			p.header[at] = byte(r.UintN(4)) | byte(r.UintN(256)&r.UintN(256)&r.UintN(256))
			return "wire.parse", in{"hex": p.bytes()}
		}},
		{name: "wire/frame", share: 14, make: wireFrame},
		{name: "wire/entry", share: 12, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			p := g.packet(r)
			block := p.block()
			again, ok := g.schema.parse(block.bytes(), nil)
			if ok {
				for _, e := range again.kids {
					*e = *rawOf(g.schema, e.bytes(), "SigBlockEntry")
				}
				block = again
			}
			return "wire.parse", in{"hex": p.around(g.schema.mutated(r, oneMutation(r), block))}
		}},
		{name: "wire/payload", share: 8, make: func(g *Generator, r *rand.Rand, _ uint64) (string, any) {
			p := g.packet(r)
			p.header[8], p.payload = 1, g.schema.mutated(r, oneMutation(r), anything(r, 3))
			if r.IntN(2) == 0 {
				return "wire.bundle", in{"hex": p.bytes()}
			}
			return "wire.parse", in{"hex": p.bytes()}
		}},
	}
}

// packet is a packet that is read, whatever its signatures are worth.
func (g *Generator) packet(r *rand.Rand) *packet {
	p := packetOf(anything(r, 3).bytes())
	if r.IntN(6) == 0 {
		p.header[8], p.payload = 2, octets(r, 30, true)
	}
	for range r.IntN(4) {
		k := g.key(r)
		switch r.IntN(6) {
		case 0:
			p.add(agentOf(k), integer(r, 8), nil)
		case 1:
			p.add(agentOf(k), 1, edgeSignature(r, signatureBy(k, p.digest())))
		case 2:
			p.add(agentOf(k), integer(r, 8), signatureBy(g.key(r), p.digest())[:63+r.IntN(2)])
		default:
			p.sign(k)
		}
	}
	return p
}

// wireFrame changes lengths and ends.
func wireFrame(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	p := g.packet(r)
	block := p.block().bytes()
	wrong := func(n int) []byte {
		long := binary.AppendUvarint(nil, uint64(n))
		switch r.IntN(4) {
		case 0:
			long[len(long)-1] |= 0x80
			return append(long, 0)
		case 1:
			return binary.AppendUvarint(nil, uint64(n)+1+r.Uint64N(3))
		case 2:
			return binary.AppendUvarint(nil, uint64(1)<<r.IntN(64))
		}
		return binary.AppendUvarint(nil, uint64(n))
	}
	raw := p.bytes()
	switch r.IntN(5) {
	case 0:
		raw = slices.Concat(p.header, wrong(len(block)), block, sized(p.payload))
	case 1:
		raw = slices.Concat(p.header, sized(block), wrong(len(p.payload)), p.payload)
	case 2:
		raw = raw[:r.IntN(len(raw))]
	case 3:
		raw = append(raw, someBytes(r, r.IntN(3))...)
	}
	return "wire.parse", in{"hex": raw}
}
