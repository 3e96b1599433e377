package pack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
)

// maxLayoutFiles bounds the files of an OCI archive.
const maxLayoutFiles = 10_000

// imageLayout is an OCI image layout in the source folder: a folder with
// oci-layout, index.json and blobs/sha256/..., or an uncompressed tar of one.
type imageLayout struct {
	path string // as the source names it
	open func(name string) (io.ReadCloser, error)
	end  func() error
}

// openLayout opens the layout at a path of the source folder.
func openLayout(root *os.Root, at string) (*imageLayout, error) {
	info, err := root.Stat(filepath.FromSlash(at))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(ErrSourceAbsent, "no such image layout").About(at)
	case err != nil:
		return nil, fault.New(ErrSource, "%w", err).About(at)
	}
	l := &imageLayout{path: at}
	if info.IsDir() {
		l.open = func(name string) (io.ReadCloser, error) { return openFile(root, path.Join(at, name)) }
		l.end = func() error { return nil }
	} else if err := l.archive(root); err != nil {
		return nil, err
	}
	version, err := l.read("oci-layout", layout.MaxDocument)
	if err == nil {
		err = layout.ParseVersion(version)
	}
	if err != nil {
		return nil, errors.Join(l.about(err), l.end())
	}
	return l, nil
}

// about says which layout an error is about.
func (l *imageLayout) about(err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(l.path)
	}
	return err
}

// archive finds the files of a tar.
func (l *imageLayout) archive(root *os.Root) error {
	f, err := openFile(root, l.path)
	if err != nil {
		return err
	}
	type span struct{ at, size int64 }
	files := map[string]span{}
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var at int64
		if err == nil {
			at, err = f.Seek(0, io.SeekCurrent) // the reader takes no byte before it is asked
		}
		if err == nil && len(files) == maxLayoutFiles {
			err = fmt.Errorf("more than %d files", maxLayoutFiles)
		}
		if err != nil {
			return errors.Join(fault.New(ErrSource, "neither an image layout nor an uncompressed tar of one: %w", err).About(l.path), f.Close())
		}
		if h.Typeflag == tar.TypeReg && h.PAXRecords["GNU.sparse.major"] == "" {
			files[path.Clean(strings.TrimPrefix(h.Name, "./"))] = span{at, h.Size}
		}
	}
	l.end = f.Close
	l.open = func(name string) (io.ReadCloser, error) {
		s, ok := files[name]
		if !ok {
			return nil, fault.New(ErrSourceAbsent, "the archive has no %s", name).About(l.path)
		}
		return io.NopCloser(io.NewSectionReader(f, s.at, s.size)), nil
	}
	return nil
}

// read reads a file of at most limit bytes.
func (l *imageLayout) read(name string, limit uint64) ([]byte, error) {
	f, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && uint64(len(raw)) > limit {
		err = fault.New(ErrSource, "%s has more than %d bytes", name, limit).About(l.path)
	}
	return raw, err
}

func blobName(d layout.Descriptor) string { return "blobs/sha256/" + d.SHA256.Hex() }

// document reads and checks a blob that is a document.
func (l *imageLayout) document(d layout.Descriptor) ([]byte, error) {
	if d.Size > layout.MaxDocument {
		return nil, fault.New(layout.ErrInvalid, "%s has %d bytes, at most %d", blobName(d), d.Size, layout.MaxDocument).About(l.path)
	}
	raw, err := l.read(blobName(d), layout.MaxDocument)
	if err == nil && (uint64(len(raw)) != d.Size || cid.Sum(raw) != d.SHA256) {
		err = fault.New(layout.ErrDigest, "%s does not hold the %d bytes that it is named after", blobName(d), d.Size).About(l.path)
	}
	return raw, err
}

// packedImage is an image that was picked.
type packedImage struct {
	at       layout.Descriptor
	manifest *layout.Manifest
	platform string
}

// pick returns the one image of the layout, or the one for a platform.
func (l *imageLayout) pick(platform string) (*packedImage, error) {
	raw, err := l.read("index.json", layout.MaxDocument)
	if err != nil {
		return nil, err
	}
	all, err := l.images(raw, 2)
	if err != nil {
		return nil, l.about(err)
	}
	var found []*packedImage
	var names []string
	for _, x := range all {
		names = append(names, x.platform)
		if platform == "" || x.platform == platform {
			found = append(found, x)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	want := "name the platform of one"
	if platform != "" {
		want = "want exactly one for " + platform
	}
	return nil, fault.New(layout.ErrPlatform, "it holds images for %q; %s", names, want).About(l.path)
}

// maxImages bounds the images of a layout that are looked at.
const maxImages = 100

// images returns the images of an index and of those in it, each once.
func (l *imageLayout) images(index []byte, depth int) ([]*packedImage, error) {
	list, err := layout.ParseIndex(index)
	if err != nil {
		return nil, err
	}
	var out []*packedImage
	seen := map[cid.Hash]bool{}
	for _, e := range list {
		if seen[e.SHA256] {
			continue // two names of one image
		}
		seen[e.SHA256] = true
		raw, err := l.document(e.Descriptor)
		if err != nil {
			return nil, err
		}
		var more []*packedImage
		switch {
		case e.Index && depth == 0:
			return nil, fault.New(layout.ErrInvalid, "indexes in indexes in indexes")
		case e.Index:
			more, err = l.images(raw, depth-1)
		default:
			more, err = l.image(e.Descriptor, raw)
		}
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > maxImages {
			return nil, fault.New(layout.ErrInvalid, "more than %d images", maxImages)
		}
	}
	return out, nil
}

// image reads one image's documents. Its platform is what its config says.
func (l *imageLayout) image(d layout.Descriptor, raw []byte) ([]*packedImage, error) {
	m, err := layout.ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	doc, err := l.document(m.Config)
	if err != nil {
		return nil, err
	}
	c, err := layout.ParseConfig(doc, len(m.Layers))
	if err != nil {
		return nil, err
	}
	return []*packedImage{{at: d, manifest: m, platform: c.Platform()}}, nil
}

// image packs an image: its manifest, config and layers become artifacts, and the
// manifest the module. It returns the image's platform.
func (c *collector) image(at, platform string) (cid.Hash, string, error) {
	l, err := openLayout(c.root, at)
	if err != nil {
		return cid.Hash{}, "", err
	}
	id, got, err := c.imageOf(l, platform)
	return id, got, errors.Join(err, l.end())
}

func (c *collector) imageOf(l *imageLayout, platform string) (cid.Hash, string, error) {
	x, err := l.pick(platform)
	if err != nil {
		return cid.Hash{}, "", err
	}
	id, err := c.imageBlob(l, x.at, layout.MediaManifest)
	if err == nil {
		_, err = c.imageBlob(l, x.manifest.Config, layout.MediaConfig)
	}
	for i := range x.manifest.Layers {
		if err == nil {
			_, err = c.imageBlob(l, x.manifest.Layers[i].Descriptor, x.manifest.Layers[i].MediaType)
		}
	}
	return id, x.platform, err
}

// imageBlob adds one blob, if it is what its descriptor says.
func (c *collector) imageBlob(l *imageLayout, d layout.Descriptor, media string) (cid.Hash, error) {
	if d.MediaType != "" {
		media = d.MediaType
	}
	f, err := l.open(blobName(d))
	if err != nil {
		return cid.Hash{}, err
	}
	defer f.Close()
	id, err := c.add(manifest.KindImage, media, l.path+"/"+blobName(d), f)
	if err == nil && (id.SHA256 != d.SHA256 || id.Size != d.Size) {
		err = fault.New(layout.ErrDigest, "%s does not hold the %d bytes that it is named after", blobName(d), d.Size).About(l.path)
	}
	return id.CID, err
}
