package pack

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

const answer = `const one = u64 1
func main() -> any {
  const one, r0
  ret r0
}
task main = main() budget cpu_us=50000 io=10 writes=0
`

// large writes the source folder of a package with 128 MiB of random documents.
func large(b *testing.B) (dir string, size int64) {
	b.Helper()
	dir = b.TempDir()
	const source = `{"name":"big","version":"0.1.0","ir":[{"name":"a","path":"a.mir"}],"entrypoints":[{"name":"main","ir":"a"}],"docs":["1.bin","2.bin"]}`
	for name, content := range map[string]string{"manifest.src.json": source, "a.mir": answer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"1.bin", "2.bin"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyN(f, rand.Reader, 64<<20); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return dir, 128 << 20
}

// BenchmarkLarge packs a package of two large documents and writes it in its other
// forms.
func BenchmarkLarge(b *testing.B) {
	src, size := large(b)
	build := func(b *testing.B) *Built {
		built, err := Build(b.Context(), BuildOptions{
			Dir: src, Out: b.TempDir(), Signer: testKey(), Host: manifest.Host{Version: "0.2.0", Codebooks: []cid.Hash{codebook.BaselineID()}},
		})
		if err != nil {
			b.Fatal(err)
		}
		return built
	}
	b.Run("pack", func(b *testing.B) {
		b.SetBytes(size)
		for range b.N {
			build(b)
		}
	})
	built := build(b)
	convert := func(path string, write func(b *testing.B, s Source) error) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(size)
			for range b.N {
				s, err := Open(b.Context(), path, OpenOptions{})
				if err == nil {
					err = write(b, s)
				}
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("archive", convert(built.Folder, func(b *testing.B, s Source) error {
		_, _, _, err := WriteArchive(b.Context(), s, b.TempDir())
		return err
	}))
	b.Run("unpack", convert(built.Archive, func(b *testing.B, s Source) error {
		_, _, err := WriteFolder(b.Context(), s, b.TempDir())
		return err
	}))
}
