// Command ociimage writes an OCI image layout of one layer, for oci-image modules
// that need nothing but a few files:
//
//	ociimage -o DIR [-platform OS/ARCH] [-entrypoint PATH]... SOURCE=PATH...
//
// Each SOURCE, a regular file of this machine, stands at PATH in the image, an
// absolute path; the folders above it are made. Its mode there is 0755 if its owner
// may execute it, else 0644. DIR is replaced if it is an image layout, or made.
//
// The bytes written follow from the files and the arguments alone: the layer is a
// plain tar, sorted, without times and owners, and compression is left to whoever
// moves it.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ociimage:", err)
		os.Exit(1)
	}
}

// words is a flag that may stand often.
type words []string

func (w *words) String() string     { return strings.Join(*w, " ") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

func run(args []string) error {
	var out, platform string
	var entry words
	f := flag.NewFlagSet("ociimage", flag.ContinueOnError)
	f.StringVar(&out, "o", "", "the `folder` to write")
	f.StringVar(&platform, "platform", "linux/"+runtime.GOARCH, "what the image is for, as `os/arch`")
	f.Var(&entry, "entrypoint", "a `word` of the image's entry point")
	if err := f.Parse(args); err != nil {
		return err
	}
	system, arch, ok := strings.Cut(platform, "/")
	if out == "" || f.NArg() == 0 || !ok || system == "" || arch == "" {
		return errors.New("want -o DIR [-platform OS/ARCH] [-entrypoint WORD]... and one or more SOURCE=PATH")
	}
	layer, err := layerOf(f.Args())
	if err != nil {
		return err
	}
	return write(out, image(layer, system, arch, entry))
}

// layerOf returns the tar of the files that SOURCE=PATH arguments name.
func layerOf(args []string) ([]byte, error) {
	sources := map[string]string{}
	for _, a := range args {
		source, to, ok := strings.Cut(a, "=")
		if !ok || !path.IsAbs(to) || path.Clean(to) != to || to == "/" {
			return nil, fmt.Errorf("%q is not SOURCE=PATH with a clean absolute path", a)
		}
		if sources[to] != "" {
			return nil, fmt.Errorf("%s is given twice", to)
		}
		sources[to] = source
	}
	all := map[string]string{}
	for to, source := range sources {
		all[to] = source
		for dir := path.Dir(to); dir != "/"; dir = path.Dir(dir) {
			if sources[dir] != "" {
				return nil, fmt.Errorf("%s is a file and a folder", dir)
			}
			all[dir] = ""
		}
	}
	var names []string
	for to := range all {
		names = append(names, to)
	}
	slices.Sort(names) // a folder before what is in it
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, to := range names {
		if err := add(w, to[1:], all[to]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// add writes one entry: a folder if source is "".
func add(w *tar.Writer, name, source string) error {
	h := &tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatUSTAR}
	if source == "" {
		return w.WriteHeader(h)
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", source)
	}
	raw, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	h.Name, h.Typeflag, h.Size = name, tar.TypeReg, int64(len(raw))
	if info.Mode()&0o100 == 0 {
		h.Mode = 0o644
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// blobs are the files of a layout by name.
type blobs map[string][]byte

type descriptor struct {
	MediaType string    `json:"mediaType"`
	Digest    string    `json:"digest"`
	Size      int       `json:"size"`
	Platform  *platform `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// put adds a blob of the image under its digest.
func (b blobs) put(media string, raw []byte) descriptor {
	sum := fmt.Sprintf("%x", sha256.Sum256(raw))
	b["blobs/sha256/"+sum] = raw
	return descriptor{MediaType: "application/vnd.oci.image." + media, Digest: "sha256:" + sum, Size: len(raw)}
}

// putJSON adds a document.
func (b blobs) putJSON(media string, v any) descriptor { return b.put(media, encode(v)) }

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // of plain structs of ours
	}
	return raw
}

// image returns the layout of an image with one layer.
func image(layer []byte, system, arch string, entry []string) blobs {
	type config struct {
		Entrypoint []string `json:"Entrypoint,omitempty"`
	}
	type rootfs struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	b := blobs{}
	l := b.put("layer.v1.tar", layer)
	c := b.putJSON("config.v1+json", struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		Config       config `json:"config"`
		RootFS       rootfs `json:"rootfs"`
	}{arch, system, config{entry}, rootfs{"layers", []string{l.Digest}}})
	m := b.putJSON("manifest.v1+json", struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}{2, "application/vnd.oci.image.manifest.v1+json", c, []descriptor{l}})
	m.Platform = &platform{arch, system}
	b["index.json"] = encode(struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, "application/vnd.oci.image.index.v1+json", []descriptor{m}})
	b["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	return b
}

// write replaces the layout at dir.
func write(dir string, b blobs) error {
	switch _, err := os.Stat(dir); {
	case err == nil:
		if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil {
			return fmt.Errorf("%s is there and is no image layout; remove it first", dir)
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // after the rename there is nothing there
	if err := errors.Join(os.Chmod(temp, 0o755), os.MkdirAll(filepath.Join(temp, "blobs", "sha256"), 0o755)); err != nil {
		return err
	}
	for name, raw := range b {
		f, err := os.OpenFile(filepath.Join(temp, filepath.FromSlash(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, bytes.NewReader(raw))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}
