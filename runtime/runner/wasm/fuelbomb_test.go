package wasm_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
)

// bombs are shapes of code that engines are slow to compile, each by a size.
func bombs() map[string]func(n int) mod {
	repeat := func(n int, parts ...any) []byte { return bytes.Repeat(seq(parts...), n) }
	each := func(n int, one func(i int) []byte) (b []byte) {
		for i := range n {
			b = append(b, one(i)...)
		}
		return b
	}
	ints := func(n int) []byte { return seq(1, u32(uint32(n)), tI) }
	reads := func(n int) []byte {
		return each(n, func(i int) []byte { return seq(0x20, u32(uint32(i)), 0x1a) })
	}
	body := func(locals []byte, parts ...any) mod {
		return mod{memory: true, funcs: []fun{{export: "f", locals: locals, code: seq(parts...)}}}
	}
	wide := strings.Repeat(sI, 1000)
	push, drop := repeat(1000, 0x41, 0), repeat(1000, 0x1a)
	values := func(parts ...any) mod {
		return mod{memory: true, table: []uint32{0}, funcs: []fun{
			{params: wide, results: wide, code: push}, {export: "f", code: seq(parts...)},
		}}
	}
	return map[string]func(n int) mod{
		"ifs":             func(n int) mod { return body(ints(1), repeat(n, 0x20, 0, 0x04, 0x40, 0x0b)) },
		"nested loops":    func(n int) mod { return body(ints(1), repeat(n, 0x03, 0x40), reads(1), repeat(n, 0x0b)) },
		"loops":           func(n int) mod { return body(ints(1), repeat(n, 0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b)) },
		"loops of locals": func(n int) mod { return body(ints(500), repeat(n, 0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b), reads(500)) },
		"exits": func(n int) mod {
			return body(ints(200), 0x02, 0x40, each(n, func(i int) []byte { return seq(0x20, 0, 0x0d, 0, 0x41, 1, 0x21, u32(uint32(i%200))) }), 0x0b, reads(200))
		},
		"targets": func(n int) mod {
			return body(nil, 0x02, 0x40, 0x41, 0, 0x0e, u32(uint32(n)), repeat(n+1, 0), 0x0b)
		},
		"locals at targets": func(n int) mod {
			return body(ints(n), repeat(n, 0x02, 0x40), 0x20, 0, 0x0e, u32(uint32(n-1)), each(n, func(i int) []byte { return u32(uint32(i)) }),
				each(n, func(i int) []byte { return seq(0x0b, 0x20, u32(uint32(i)), 0x41, 1, 0x6a, 0x21, u32(uint32(i))) }))
		},
		"operands": func(n int) mod {
			return body(ints(1), 0x41, 0, repeat(1000, 0x20, 0, 0x28, 2, 0), repeat(n, 0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b), repeat(999, 0x6a), 0x36, 2, 0)
		},
		"deep operands": func(n int) mod {
			return body(ints(1), 0x41, 0, repeat(n, 0x20, 0, 0x28, 2, 0), repeat(20, 0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b), repeat(n-1, 0x6a), 0x36, 2, 0)
		},
		"wide calls":    func(n int) mod { return values(push, repeat(n, 0x10, 0), drop) },
		"wide indirect": func(n int) mod { return values(push, repeat(n, 0x41, 0, 0x11, 0, 0), drop) },
		"wide blocks":   func(n int) mod { return values(push, repeat(n, 0x02, 0), repeat(n, 0x0b), drop) },
		"wide loops":    func(n int) mod { return values(push, repeat(n, 0x03, 0), repeat(n, 0x0b), drop) },
		"wide branches": func(n int) mod { return values(push, 0x02, 0, repeat(n, 0x41, 0, 0x0d, 0), 0x0b, drop) },
		"wide targets": func(n int) mod {
			return values(push, 0x02, 0, 0x41, 0, 0x0e, u32(uint32(n)), repeat(n+1, 0), 0x0b, drop)
		},
		"addresses": func(n int) mod {
			load := func(i int) []byte { return seq(0x20, 0, c32(int32(i)), 0x6a, 0x28, 2, 0, 0x1a) }
			return body(ints(1), each(4*n, load), repeat(n, 0x02, 0x40, 0x20, 0, 0x0d, 0, 0x0b))
		},
		"bulk":   func(n int) mod { return body(ints(1), repeat(n, 0x41, 0, 0x41, 0, 0x20, 0, 0xfc, 11, 0)) },
		"grow":   func(n int) mod { return body(ints(1), repeat(n, 0x41, 0, 0x40, 0, 0x1a)) },
		"calls":  func(n int) mod { return body(nil, repeat(n, 0x10, 0)) },
		"floats": func(n int) mod { return body(nil, repeat(n, 0x41, 0, f64c(1), 0x9f, 0x39, 3, 0)) },
		"float locals": func(n int) mod {
			code := each(n, func(i int) []byte {
				l := u32(uint32(i % 1000))
				return seq(0x20, l, f64c(2), 0xa0, 0x21, l, 0x41, 0, 0x20, l, 0x39, 3, 0)
			})
			return body(seq(1, u32(1000), tD), code)
		},
		"straight": func(n int) mod { return body(ints(1), repeat(n, 0x20, 0, 0x41, 1, 0x6a, 0x21, 0)) },
		"globals": func(n int) mod {
			m := body(nil, repeat(n, 0x10, 0))
			m.globals = 1000
			return m
		},
		"functions": func(n int) mod {
			m := body(nil)
			m.globals = 1000
			for range n {
				m.funcs = append(m.funcs, fun{})
			}
			return m
		},
	}
}

// largest is the largest module of a shape that the rewriter accepts, and its
// size, or one as large as limit.
func largest(b *testing.B, shape func(n int) mod, limit int) (*fuel.Rewritten, int) {
	b.Helper()
	var best *fuel.Rewritten
	low, high := 0, limit+1
	for high-low > max(1, low/50) {
		n := (low + high) / 2
		out, err := fuel.Rewrite(shape(n).bytes(), fuel.Options{Schedule: fuel.Schedule1, Yield: true})
		if err != nil {
			high = n
		} else {
			best, low = out, n
		}
	}
	if best == nil {
		b.Fatal("nothing is accepted")
	}
	return best, low
}

// BenchmarkFuelLargest compiles the largest module that is accepted of each
// shape that engines are slow with.
func BenchmarkFuelLargest(b *testing.B) {
	for name, shape := range bombs() {
		b.Run(name, func(b *testing.B) {
			out, n := largest(b, shape, 200_000)
			for b.Loop() {
				e := newFuelEngine(b, false)
				start := time.Now()
				c, err := e.runtime.CompileModule(context.Background(), out.Wasm)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(time.Since(start).Milliseconds()), "compile-ms")
				b.ReportMetric(float64(n), "size")
				if err := c.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
