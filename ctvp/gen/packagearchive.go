package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// pkgFile is a file of an archive.
type pkgFile struct {
	path string
	body []byte
}

func pkgObject(body []byte) pkgFile { return pkgFile{"objects/" + cid.Sum(body).Hex(), body} }

// written is the archive of files, sorted by path.
func (g *pkgGen) written(files ...pkgFile) []byte {
	slices.SortFunc(files, func(a, b pkgFile) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Limits{})
	for _, f := range files {
		if err := w.Add(f.path, int64(len(f.body)), bytes.NewReader(f.body)); err != nil {
			g.p.fail("an archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		g.p.fail("an archive: %w", err)
	}
	return b.Bytes()
}

// small are the two files that every package has, with stand-in contents.
func pkgSmall(more ...pkgFile) []pkgFile {
	return append([]pkgFile{{"manifest.bin", x("0800")}, {"manifest.sig", x("0700")}}, more...)
}

// wrap puts any stream into stored blocks.
func pkgWrap(stream []byte) []byte {
	const size = 65535
	b := x("1f8b08000000000000ff")
	for at := 0; at < len(stream); at += size {
		part := stream[at:min(at+size, len(stream))]
		head := []byte{0, byte(len(part)), byte(len(part) >> 8), ^byte(len(part)), ^byte(len(part) >> 8)}
		if at+size >= len(stream) {
			head[0] = 1
		}
		b = join(b, head, part)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(stream))
	return binary.LittleEndian.AppendUint32(b, uint32(len(stream)))
}

// forge is the archive that a tar program would write.
func (g *pkgGen) forge(heads ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, head := range heads {
		head.Format = tar.FormatUSTAR
		if head.Mode == 0 {
			head.Mode = 0o644
		}
		if err := w.WriteHeader(&head); err != nil {
			g.p.fail("a tar: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		g.p.fail("a tar: %w", err)
	}
	return pkgWrap(b.Bytes())
}

// archives are archives by their bytes alone.
func (g *pkgGen) archives() {
	g.spec = "RFC-MYTHOS-0006 §6"
	list := func(doc string, files ...pkgFile) {
		var views []any
		raw := g.written(files...) // sorts them
		for _, f := range files {
			views = append(views, out{"path": f.path, "size": dec(uint64(len(f.body))), "hash": cid.Sum(f.body)})
		}
		g.valid("archive", "archive.open", doc, in{"hex": raw}, out{"files": views}, "archive-bytes")
	}
	list("the specification's example: two files", pkgSmall()...)
	list("four files, one of them empty", pkgSmall(pkgObject([]byte("hello")), pkgObject(nil))...)
	list("a file of exactly one record", pkgSmall(pkgObject(make([]byte, 512)))...)
	list("a file of a byte more", pkgSmall(pkgObject(make([]byte, 513)))...)
	list("two stored blocks", pkgSmall(pkgObject(make([]byte, 63000)))...)
	g.damaged()
	g.reencoded()
	g.hostile()
	raw := g.written(pkgSmall(pkgObject([]byte("hello")))...)
	g.invalid("archive-limit", "archive.open", "one file more than is allowed", in{"hex": raw, "max_entries": 2}, "archive_too_large", "archive-bytes")
	g.invalid("archive-limit", "archive.open", "one byte more than is allowed", in{"hex": raw, "max_bytes": fmt.Sprint(len(raw) - 1)}, "archive_too_large", "archive-bytes")
}

func (g *pkgGen) refuseArchive(what, doc string, raw []byte, code string) {
	g.invalid(what, "archive.open", doc, in{"hex": raw}, code, "archive-bytes")
}

// damaged are archives with one bit changed, or cut, or grown.
func (g *pkgGen) damaged() {
	good := g.written(pkgSmall(pkgObject([]byte("hello")))...)
	const tarAt = 15 // of the first byte of the tar
	for _, c := range []struct {
		what, doc string
		at        int
	}{
		{"gzip-bit", "the first byte", 0},
		{"gzip-bit", "the method", 2},
		{"gzip-bit", "the flags", 3},
		{"gzip-bit", "the time", 4},
		{"gzip-bit", "the extra flags", 8},
		{"gzip-bit", "the system", 9},
		{"gzip-bit", "the kind of the block", 10},
		{"gzip-bit", "the length of the block", 11},
		{"gzip-bit", "the complement of the length", 13},
		{"gzip-bit", "the CRC-32", len(good) - 8},
		{"gzip-length", "the length of the stream", len(good) - 4},
		{"tar-bit", "the mode", tarAt + 106},
		{"tar-bit", "the uid", tarAt + 108},
		{"tar-bit", "the gid", tarAt + 116},
		{"tar-bit", "the mtime", tarAt + 140},
		{"tar-bit", "the checksum", tarAt + 148},
		{"tar-bit", "the link name", tarAt + 157},
		{"tar-bit", "the magic", tarAt + 257},
		{"tar-bit", "the owner's name", tarAt + 265},
		{"tar-bit", "the device number", tarAt + 329},
		{"tar-bit", "the prefix", tarAt + 345},
		{"tar-content", "the path", tarAt},
		{"tar-content", "the size", tarAt + 134},
		{"tar-content", "a file's content", tarAt + 512},
		{"tar-content", "the padding behind a file", tarAt + 514},
		{"tar-content", "the first end block", len(good) - 8 - 1024},
		{"tar-content", "the last byte of the tar", len(good) - 9},
	} {
		g.refuseArchive(c.what, "one bit of "+c.doc, flipped(good, 8*c.at), "archive_not_canonical")
	}
	for _, n := range []int{0, 1, 10, 15, 527, len(good) - 1032, len(good) - 8, len(good) - 1} {
		g.refuseArchive("cut", fmt.Sprintf("the first %d bytes", n), good[:n], "archive_not_canonical")
	}
	g.refuseArchive("trailing", "a zero byte behind", join(good, x("00")), "archive_not_canonical")
	g.refuseArchive("trailing", "the whole archive again", join(good, good), "archive_not_canonical")
	g.refuseArchive("trailing", "an empty gzip member behind", join(good, pkgWrap(nil)), "archive_not_canonical")
}

// reencoded are other forms of the same files.
func (g *pkgGen) reencoded() {
	good := g.written(pkgSmall()...)
	stream := good[15 : len(good)-8]
	var deflated bytes.Buffer
	w := gzip.NewWriter(&deflated)
	if _, err := w.Write(stream); err != nil {
		g.p.fail("gzip: %w", err)
	}
	if err := w.Close(); err != nil {
		g.p.fail("gzip: %w", err)
	}
	tail := good[len(good)-8:]
	block := func(last byte, part []byte) []byte {
		return join([]byte{last, byte(len(part)), byte(len(part) >> 8), ^byte(len(part)), ^byte(len(part) >> 8)}, part)
	}
	for _, c := range []struct {
		doc string
		raw []byte
	}{
		{"compressed blocks", deflated.Bytes()},
		{"two stored blocks where one holds all", join(good[:10], block(0, stream[:512]), block(1, stream[512:]), tail)},
		{"an empty last block", join(good[:10], block(0, stream), block(1, nil), tail)},
		{"a file name in the gzip header", join(x("1f8b08080000000000ff"), []byte("a.tar\x00"), good[10:])},
		{"padded to 10 KiB", pkgWrap(join(stream, make([]byte, 10240-len(stream))))},
		{"one end block", pkgWrap(stream[:len(stream)-512])},
		{"no end block", pkgWrap(stream[:len(stream)-1024])},
		{"an empty tar", pkgWrap(make([]byte, 0))},
		{"no gzip around it", stream},
		{"a ZIP file", join([]byte("PK\x03\x04"), make([]byte, 3100))},
	} {
		g.refuseArchive("reencoded", c.doc, c.raw, "archive_not_canonical")
	}
}

// hostile are archives that a tar program writes.
func (g *pkgGen) hostile() {
	reg := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
	m, s, object := reg("manifest.bin"), reg("manifest.sig"), "objects/"+h("a").Hex()
	no := func(what, doc, code string, heads ...tar.Header) {
		g.refuseArchive(what, doc, g.forge(heads...), code)
	}
	no("entry-path", "a way up", "path_invalid", reg("../evil"))
	no("entry-path", "a way up inside", "path_invalid", reg("objects/../../evil"))
	no("entry-path", "an absolute path", "path_invalid", reg("/etc/passwd"))
	no("entry-path", "a backslash", "path_invalid", reg(`..\evil`))
	no("entry-path", "a drive", "path_invalid", reg("C:evil"))
	no("entry-path", "a Windows device", "path_invalid", reg("objects/nul.txt"))
	no("entry-path", "an empty segment", "path_invalid", reg("objects//a"))
	no("entry-path", "73 bytes", "archive_too_large", reg("objects/"+strings.Repeat("a", 65)))
	no("entry-kind", "a symbolic link", "archive_not_canonical", m, s, tar.Header{Typeflag: tar.TypeSymlink, Name: object, Linkname: "/etc/passwd"})
	no("entry-kind", "a hard link", "archive_not_canonical", m, s, tar.Header{Typeflag: tar.TypeLink, Name: object, Linkname: "manifest.bin"})
	no("entry-kind", "a folder", "archive_not_canonical", m, s, tar.Header{Typeflag: tar.TypeDir, Name: "objects/", Mode: 0o755})
	no("entry-kind", "a device", "archive_not_canonical", m, s, tar.Header{Typeflag: tar.TypeChar, Name: object})
	no("entry-kind", "a pipe", "archive_not_canonical", m, s, tar.Header{Typeflag: tar.TypeFifo, Name: object})
	no("entry-twice", "manifest.bin twice", "path_collision", m, m)
	no("entry-twice", "equal but for case", "path_collision", reg("Manifest.bin"), m)
	no("entry-twice", "an object in upper case beside it", "path_collision", reg("objects/"+strings.ToUpper(h("a").Hex())), reg(object))
	no("entry-twice", "a file and its folder", "path_collision", reg("objects"), reg("objects/a"))
	no("entry-order", "manifest.sig first", "archive_not_canonical", s, m)
	no("entry-order", "an object first", "archive_not_canonical", reg(object), m, s)
	no("entry-name", "another file", "archive_not_canonical", m, s, reg("readme"))
	no("entry-name", "an object in upper case", "archive_not_canonical", m, s, reg("objects/"+strings.ToUpper(h("a").Hex())))
	no("entry-name", "an object with a digit less", "archive_not_canonical", m, s, reg(object[:len(object)-1]))
	no("entry-name", "an object with two digits less", "archive_not_canonical", m, s, reg(object[:len(object)-2]))
	no("entry-name", "a hash that is in no folder", "archive_not_canonical", m, s, reg(h("a").Hex()))
	no("entry-name", "an attestation with two digits less", "archive_not_canonical", m, s, reg("claims/"+h("a").Hex()[2:]))
	mode := func(doc string, head tar.Header) {
		head.Typeflag, head.Name = tar.TypeReg, "manifest.bin"
		no("entry-mode", doc, "archive_not_canonical", head)
	}
	mode("executable", tar.Header{Mode: 0o755})
	mode("writable by all", tar.Header{Mode: 0o666})
	mode("setuid", tar.Header{Mode: 0o4644})
	mode("of user 1", tar.Header{Uid: 1})
	mode("of group 1", tar.Header{Gid: 1})
	mode("of root, by name", tar.Header{Uname: "root"})
}

// whole is a package with a bundle, a policy and a doc, and its archive's files.
func (g *pkgGen) whole() (*manifest.Manifest, []pkgFile) {
	a, err := ir.AssembleNamed([]byte("func main() -> any {\nret\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n"))
	if err != nil {
		g.p.fail("a bundle: %w", err)
		return &manifest.Manifest{}, nil
	}
	m := &manifest.Manifest{FormatVersion: 1, Name: "demo/whole", Version: "1.0.0", Requires: manifest.Requires{ExecutorMinVersion: "0.1.0", CodebookID: h("codebook")}}
	doc := []byte("says nothing")
	m.Artifacts = []manifest.Artifact{pkgArtifact(manifest.KindIR, string(a.Bundle)), pkgArtifact(manifest.KindDoc, string(doc))}
	slices.SortFunc(m.Artifacts, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	m.Entrypoints = []manifest.Entrypoint{{Name: "main", Bundle: cid.Sum(a.Bundle), TaskID: a.Tasks[0].ID}}
	g.signed(m, g.publisher)
	return m, []pkgFile{{"manifest.bin", m.AppendCAN(nil)}, {"manifest.sig", m.AppendSig(nil)}, pkgObject(a.Bundle), pkgObject(doc)}
}

// closures are whole packages: what is in the archive is what the manifest names.
func (g *pkgGen) closures() {
	g.spec = "RFC-MYTHOS-0006 §9"
	m, files := g.whole()
	g.valid("verify", "archive.verify", "a whole package", g.open(g.written(slices.Clone(files)...)), pkgOpened(m, g.publisher))
	no := func(what, doc, code string, change func(files []pkgFile) []pkgFile) {
		_, files := g.whole()
		g.invalid(what, "archive.verify", doc, g.open(g.written(change(files)...)), code)
	}
	edited := func(what, doc, code string, change func(*manifest.Manifest)) {
		m, files := g.whole()
		change(m)
		g.signed(m, g.publisher)
		files[0].body, files[1].body = m.AppendCAN(nil), m.AppendSig(nil)
		g.invalid(what, "archive.verify", doc, g.open(g.written(files...)), code)
	}
	no("verify-files", "no manifest.bin", "package_file_missing", func(f []pkgFile) []pkgFile { return f[1:] })
	no("verify-files", "no manifest.sig", "package_file_missing", func(f []pkgFile) []pkgFile { return slices.Delete(f, 1, 2) })
	no("verify-files", "no bundle", "artifact_missing", func(f []pkgFile) []pkgFile { return slices.Delete(f, 2, 3) })
	no("verify-files", "no doc", "artifact_missing", func(f []pkgFile) []pkgFile { return f[:3] })
	no("verify-files", "an object that the manifest does not name", "artifact_extra", func(f []pkgFile) []pkgFile { return append(f, pkgObject([]byte("more"))) })
	no("verify-files", "manifest.sig is empty", "package_signature_differs", func(f []pkgFile) []pkgFile { f[1].body = x("0700"); return f })
	no("verify-files", "manifest.sig has a bit changed", "package_signature_differs", func(f []pkgFile) []pkgFile {
		f[1].body = flipped(f[1].body, 8*len(f[1].body)-1)
		return f
	})
	no("verify-content", "another content of the same length", "artifact_hash", func(f []pkgFile) []pkgFile { f[3].body = []byte("says NOTHING"); return f })
	no("verify-content", "a byte more", "artifact_size", func(f []pkgFile) []pkgFile { f[3].body = []byte("says nothing!"); return f })
	no("verify-content", "a byte less", "artifact_size", func(f []pkgFile) []pkgFile { f[3].body = []byte("says nothin"); return f })
	no("verify-manifest", "manifest.bin is cut", "can_bounds", func(f []pkgFile) []pkgFile { f[0].body = f[0].body[:len(f[0].body)-1]; return f })
	no("verify-manifest", "manifest.bin has another name in it", "id_mismatch", func(f []pkgFile) []pkgFile {
		f[0].body = bytes.Replace(f[0].body, []byte("demo/whole"), []byte("demo/hwole"), 1)
		return f
	})
	edited("verify-bundle", "an entry point on a task that the bundle does not have", "entrypoint_task", func(m *manifest.Manifest) { m.Entrypoints[0].TaskID = h("other") })
	edited("verify-manifest", "a name that is none", "package_name", func(m *manifest.Manifest) { m.Name = "X" })
	g.bundles()
	unsigned := g.open(g.written(slices.Clone(files)...))
	unsigned["publishers"] = []any{}
	g.invalid("verify-manifest", "archive.verify", "nobody is trusted", unsigned, "signer_unknown")
	broken := g.written(slices.Clone(files)...)
	g.invalid("verify-archive", "archive.verify", "one bit of the archive", g.open(flipped(broken, 8*len(broken)-100)), "archive_not_canonical")
	g.invalid("verify-archive", "archive.verify", "a ZIP file", g.open([]byte("PK\x03\x04")), "archive_not_canonical")
}

// bundles are packages whose bundle does not fit them.
func (g *pkgGen) bundles() {
	with := func(doc, code, source string) {
		a, err := ir.AssembleNamed([]byte(source))
		if err != nil {
			g.p.fail("a bundle: %w", err)
			return
		}
		g.withBundle(doc, code, a.Bundle, a.Tasks[0].ID)
	}
	with("an op of level 1, and no feature ir.level1", "feature_undeclared", "func main() -> any {\nnot r0, r0\nret\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n")
	with("an effect on a tool that no module implements", "tool_unbound", "tool echo = demo/echo interface 1 (any) -> any\nfunc main() -> any {\neffect echo, r0, r1, r2\nret\n}\ntask main = main() budget cpu_us=9 io=1 writes=0\n")
	g.withBundle("a bundle that is none", "can_type", x("0700"), h("task"))
}

func (g *pkgGen) withBundle(doc, code string, bundle []byte, task cid.Hash) {
	m, files := g.whole()
	m.Artifacts = []manifest.Artifact{pkgArtifact(manifest.KindIR, string(bundle)), pkgArtifact(manifest.KindDoc, string(files[3].body))}
	slices.SortFunc(m.Artifacts, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	m.Entrypoints[0].Bundle, m.Entrypoints[0].TaskID = cid.Sum(bundle), task
	g.signed(m, g.publisher)
	g.invalid("verify-bundle", "archive.verify", doc, g.open(g.written(pkgFile{"manifest.bin", m.AppendCAN(nil)}, pkgFile{"manifest.sig", m.AppendSig(nil)}, pkgObject(bundle), files[3])), code)
}
