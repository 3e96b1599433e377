package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

type file struct {
	path string
	body []byte
}

// write builds an archive with the product's writer.
func write(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, Limits{})
	for _, f := range files {
		if err := w.Add(f.path, int64(len(f.body)), bytes.NewReader(f.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(b []byte, l Limits) (*Archive, error) {
	return Open(context.Background(), bytes.NewReader(b), int64(len(b)), l)
}

func object(b []byte) file { return file{ObjectName(cid.Sum(b)), b} }

func small() []file {
	files := []file{{ManifestName, []byte{8, 0}}, {SignaturesName, []byte{7, 0}}, object([]byte("hello")), object(nil)}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files
}

// TestExample is the worked example of RFC-MYTHOS-0006 §6.
func TestExample(t *testing.T) {
	b := write(t, []file{{ManifestName, []byte{8, 0}}, {SignaturesName, []byte{7, 0}}})
	if len(b) != 3095 || cid.Sum(b).Hex() != "187cea2ada60e914e5b47b5a8f8e9c2be534b2b9c855facec13057a0510f1ae8" {
		t.Errorf("got %d bytes, %s", len(b), cid.Sum(b))
	}
	stream := b[15 : len(b)-8]
	if sum := sha256.Sum256(stream); hex.EncodeToString(sum[:]) != "f1ae058822684b0381e4f3d7150857a1c084877e1b5a088b8dde73f329d43910" {
		t.Errorf("the ustar stream is %x", sum)
	}
	want, _ := hex.DecodeString("3030303036343400303030303030300030303030303030003030303030303030303032003030303030303030303030003031313437350020" + "30")
	if got := stream[100:157]; !bytes.Equal(got, want) {
		t.Errorf("the first head is\n%x, want\n%x", got, want)
	}
}

// TestReference reads what the writer wrote with the standard library, and
// builds the same tar with it.
func TestReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := drawFiles(t)
		var b bytes.Buffer
		w := NewWriter(&b, Limits{})
		var reference bytes.Buffer
		tw := tar.NewWriter(&reference)
		for _, f := range files {
			if err := w.Add(f.path, int64(len(f.body)), bytes.NewReader(f.body)); err != nil {
				t.Fatal(err)
			}
			err := tw.WriteHeader(&tar.Header{Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: f.path, Size: int64(len(f.body)), Mode: 0o644})
			if err != nil {
				t.Fatal(err)
			}
			tw.Write(f.body)
		}
		if err := errors.Join(w.Close(), tw.Close()); err != nil {
			t.Fatal(err)
		}
		zr, err := gzip.NewReader(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := io.ReadAll(zr)
		if err != nil || !bytes.Equal(stream, reference.Bytes()) {
			t.Fatalf("the standard library reads another tar (%v)", err)
		}
		a, err := open(b.Bytes(), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Entries()) != len(files) {
			t.Fatalf("%d files, want %d", len(a.Entries()), len(files))
		}
		for _, f := range files {
			r, ok := a.File(f.path)
			if !ok {
				t.Fatalf("no %s", f.path)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, f.body) {
				t.Fatalf("%s: %d bytes, want %d (%v)", f.path, len(got), len(f.body), err)
			}
		}
	})
}

// drawFiles makes a set of files whose stream often ends near a block's end.
func drawFiles(t *rapid.T) []file {
	files := []file{{ManifestName, []byte("m")}, {SignaturesName, []byte("s")}}
	seen := map[string]bool{}
	for i := range rapid.IntRange(0, 4).Draw(t, "objects") {
		n := rapid.OneOf(rapid.IntRange(0, 2000), rapid.IntRange(blockSize-3000, blockSize+3000), rapid.Just(2*blockSize)).Draw(t, "size")
		body := bytes.Repeat([]byte{byte(i), 7, byte(n)}, n/3+1)[:n]
		f := object(body)
		if !seen[f.path] {
			seen[f.path] = true
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files
}

// TestBlockBoundary meets a stream that fills its last block exactly: 65,535
// records of 512 are 512 whole blocks.
func TestBlockBoundary(t *testing.T) {
	for _, records := range []int{129, 65535} {
		size := records*record - 2*(record+record) - endSize - record
		b := write(t, []file{{ManifestName, []byte{1}}, {SignaturesName, []byte{1}}, object(make([]byte, size))})
		if got := int64(len(b)) - 18 - (int64(records)*record+blockSize-1)/blockSize*5; got != int64(records)*record {
			t.Fatalf("%d records became %d bytes", records, got)
		}
		if _, err := open(b, Limits{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryBit flips every bit of a small archive, and cuts and extends it.
func TestEveryBit(t *testing.T) {
	b := write(t, small())
	if _, err := open(b, Limits{}); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := open(b, Limits{}); fault.CodeOf(err) == "" {
				t.Fatalf("byte %d bit %d: accepted, or no code: %v", i, bit, err)
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range b {
		if _, err := open(b[:n], Limits{}); !errors.Is(err, ErrNotCanonical) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for _, tail := range [][]byte{{0}, make([]byte, 512), make([]byte, 517), b} {
		if _, err := open(append(slices.Clone(b), tail...), Limits{}); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%d bytes appended: %v", len(tail), err)
		}
	}
}

// wrap puts any tar stream into a canonical gzip member.
func wrap(stream []byte) []byte {
	b := []byte(gzipHead)
	for at := 0; at < len(stream); at += blockSize {
		end := min(at+blockSize, len(stream))
		var head [blockHead]byte
		putBlockHead(&head, end-at, end == len(stream))
		b = append(append(b, head[:]...), stream[at:end]...)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(stream))
	return binary.LittleEndian.AppendUint32(b, uint32(len(stream)))
}

// forge builds a tar with the standard library, which minds no rule of ours.
func forge(t *testing.T, heads []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, h := range heads {
		h.Format = tar.FormatUSTAR
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return wrap(b.Bytes())
}

func TestHostile(t *testing.T) {
	reg := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
	two := []tar.Header{reg(ManifestName), reg(SignaturesName)}
	hexName := ObjectName(cid.Sum([]byte("a")))
	for name, c := range map[string]struct {
		heads []tar.Header
		want  fault.Code
	}{
		"parent":          {[]tar.Header{reg("../evil")}, manifest.ErrPath},
		"parent inside":   {[]tar.Header{reg("objects/../../evil")}, manifest.ErrPath},
		"absolute":        {[]tar.Header{reg("/etc/passwd")}, manifest.ErrPath},
		"backslash":       {[]tar.Header{reg(`..\evil`)}, manifest.ErrPath},
		"drive":           {[]tar.Header{reg("C:evil")}, manifest.ErrPath},
		"device":          {[]tar.Header{reg("objects/nul.txt")}, manifest.ErrPath},
		"empty segment":   {[]tar.Header{reg("objects//a")}, manifest.ErrPath},
		"symbolic link":   {append(slices.Clone(two), tar.Header{Typeflag: tar.TypeSymlink, Name: hexName, Linkname: "/etc/passwd"}), ErrNotCanonical},
		"hard link":       {append(slices.Clone(two), tar.Header{Typeflag: tar.TypeLink, Name: hexName, Linkname: ManifestName}), ErrNotCanonical},
		"folder":          {append(slices.Clone(two), tar.Header{Typeflag: tar.TypeDir, Name: "objects/", Mode: 0o755}), ErrNotCanonical},
		"device node":     {append(slices.Clone(two), tar.Header{Typeflag: tar.TypeChar, Name: hexName}), ErrNotCanonical},
		"duplicate":       {[]tar.Header{reg(ManifestName), reg(ManifestName)}, manifest.ErrPathCollision},
		"case":            {[]tar.Header{reg("Manifest.bin"), reg(ManifestName)}, manifest.ErrPathCollision},
		"case of objects": {[]tar.Header{reg("objects/" + strings.ToUpper(hexName[8:])), reg(hexName)}, manifest.ErrPathCollision},
		"file and folder": {[]tar.Header{reg("objects"), reg("objects/a")}, manifest.ErrPathCollision},
		"order":           {[]tar.Header{reg(SignaturesName), reg(ManifestName)}, ErrNotCanonical},
		"another file":    {append(slices.Clone(two), reg("readme")), ErrNotCanonical},
		"upper-case hash": {append(slices.Clone(two), reg("objects/"+strings.ToUpper(hexName[8:]))), ErrNotCanonical},
		"long path":       {[]tar.Header{reg("objects/" + strings.Repeat("a", 65))}, ErrTooLarge},
		"mode":            {[]tar.Header{{Typeflag: tar.TypeReg, Name: ManifestName, Mode: 0o755}}, ErrNotCanonical},
		"setuid":          {[]tar.Header{{Typeflag: tar.TypeReg, Name: ManifestName, Mode: 0o4644}}, ErrNotCanonical},
		"owner":           {[]tar.Header{{Typeflag: tar.TypeReg, Name: ManifestName, Uid: 1}}, ErrNotCanonical},
		"owner name":      {[]tar.Header{{Typeflag: tar.TypeReg, Name: ManifestName, Uname: "root"}}, ErrNotCanonical},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(forge(t, c.heads), Limits{})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestSecondEncodings holds that a valid tar in another gzip form is refused.
func TestSecondEncodings(t *testing.T) {
	canonical := write(t, small())
	zr, err := gzip.NewReader(bytes.NewReader(canonical))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	var deflated bytes.Buffer
	zw := gzip.NewWriter(&deflated)
	zw.Write(stream)
	zw.Close()
	for name, b := range map[string][]byte{
		"compressed":     deflated.Bytes(),
		"padded to 10 K": wrap(append(slices.Clone(stream), make([]byte, 10240-len(stream)%10240)...)),
		"one end block":  wrap(stream[:len(stream)-record]),
		"no end":         wrap(stream[:len(stream)-endSize]),
		"two members":    append(slices.Clone(canonical), canonical...),
		"empty tar":      wrap(nil),
		"not an archive": []byte("PK\x03\x04" + strings.Repeat("x", 4000)),
	} {
		if _, err := open(b, Limits{}); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(wrap(stream), canonical) {
		t.Error("the test's own gzip is not canonical, so that it shows nothing")
	}
}

func TestLimits(t *testing.T) {
	b := write(t, small())
	for name, l := range map[string]Limits{"bytes": {MaxBytes: int64(len(b)) - 1}, "entries": {MaxEntries: 3}} {
		if _, err := open(b, l); !errors.Is(err, ErrTooLarge) {
			t.Errorf("reading %s: %v", name, err)
		}
		w := NewWriter(io.Discard, l)
		for _, f := range small() {
			w.Add(f.path, int64(len(f.body)), bytes.NewReader(f.body))
		}
		if err := w.Close(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("writing %s: %v", name, err)
		}
	}
	if _, err := open(b, Limits{MaxBytes: int64(len(b)), MaxEntries: 4}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	// A head that announces far more than there is.
	var head [record]byte
	putHead(&head, ManifestName, MaxFile)
	if _, err := open(wrap(append(head[:], make([]byte, endSize)...)), Limits{}); !errors.Is(err, ErrNotCanonical) {
		t.Errorf("announced 8 GiB: %v", err)
	}
}

func TestWriterRefuses(t *testing.T) {
	for name, add := range map[string]func(w *Writer) error{
		"too few bytes":  func(w *Writer) error { return w.Add(ManifestName, 3, strings.NewReader("ab")) },
		"too many bytes": func(w *Writer) error { return w.Add(ManifestName, 1, strings.NewReader("ab")) },
		"negative":       func(w *Writer) error { return w.Add(ManifestName, -1, strings.NewReader("")) },
		"path":           func(w *Writer) error { return w.Add("../x", 0, strings.NewReader("")) },
		"other name":     func(w *Writer) error { return w.Add("x", 0, strings.NewReader("")) },
		"twice": func(w *Writer) error {
			return errors.Join(w.Add(ManifestName, 0, strings.NewReader("")), w.Add(ManifestName, 0, strings.NewReader("")))
		},
		"backwards": func(w *Writer) error {
			return errors.Join(w.Add(SignaturesName, 0, strings.NewReader("")), w.Add(ManifestName, 0, strings.NewReader("")))
		},
		"failing reader": func(w *Writer) error { return w.Add(ManifestName, 1, failing{}) },
	} {
		w := NewWriter(io.Discard, Limits{})
		if err := add(w); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if err := w.Close(); err == nil {
			t.Errorf("%s: the archive was ended all the same", name)
		}
	}
	w := NewWriter(failing{}, Limits{})
	if err := w.Close(); !errors.Is(err, errFailing) {
		t.Errorf("failing disk: %v", err)
	}
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Read([]byte) (int, error)          { return 0, errFailing }
func (failing) Write([]byte) (int, error)         { return 0, errFailing }
func (failing) ReadAt([]byte, int64) (int, error) { return 0, errFailing }

func TestReaderFails(t *testing.T) {
	if _, err := Open(context.Background(), failing{}, 3095, Limits{}); !errors.Is(err, ErrUnreadable) || !errors.Is(err, errFailing) {
		t.Errorf("failing disk: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := write(t, small())
	if _, err := Open(ctx, bytes.NewReader(b), int64(len(b)), Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// The file shrinks after it was checked.
	a, err := open(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	a.tar.r = bytes.NewReader(b[:600])
	r, _ := a.File(SignaturesName)
	if _, err := io.ReadAll(r); !errors.Is(err, ErrUnreadable) {
		t.Errorf("shrunk: %v", err)
	}
}

// FuzzOpen holds that whatever is accepted is what a writer writes.
func FuzzOpen(f *testing.F) {
	valid := write(f, small())
	f.Add(valid)
	f.Add(valid[:40])
	f.Add(wrap(make([]byte, endSize)))
	f.Add(wrap(valid[15 : len(valid)-8][:4*record]))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, wrap(b)} {
			a, err := open(b, Limits{MaxBytes: 1 << 20, MaxEntries: 50})
			if err != nil {
				if fault.CodeOf(err) == "" {
					t.Fatalf("no code: %v", err)
				}
				continue
			}
			var again bytes.Buffer
			w := NewWriter(&again, Limits{})
			for _, e := range a.Entries() {
				r, _ := a.File(e.Path)
				if err := w.Add(e.Path, e.Size, r); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil || !bytes.Equal(again.Bytes(), b) {
				t.Fatalf("accepted, and written otherwise (%v)", err)
			}
		}
	})
}

func ExampleWriter() {
	var b bytes.Buffer
	w := NewWriter(&b, Limits{})
	w.Add(ManifestName, 2, bytes.NewReader([]byte{8, 0}))
	w.Add(SignaturesName, 2, bytes.NewReader([]byte{7, 0}))
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.Len(), cid.Sum(b.Bytes()).Hex()[:16])
	// Output: 3095 187cea2ada60e914
}
