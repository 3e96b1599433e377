package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// closed lists the folders in which every file is listed.
func closed() []string { return []string{"keys", "vectors"} }

// load reads every file of the pack and checks that each has its digest in
// SHA256SUMS and, a vector's, in the manifest; that none is missing and none is
// there that is not listed; and that each vector is what the manifest says.
func (p *Pack) load(fsys fs.FS) error {
	list, err := readFile(fsys, "SHA256SUMS")
	if err != nil {
		return err
	}
	sums, err := ParseSums(list)
	if err != nil {
		return fault.New(ErrDamaged, "SHA256SUMS: %w", err)
	}
	found, err := files(fsys)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if !slices.Contains(found, name) {
			return fault.New(ErrDamaged, "SHA256SUMS lists it, and it is not there").About(name)
		}
	}
	content := map[string][]byte{}
	total := 0
	for _, name := range found {
		b, err := readFile(fsys, name)
		if err != nil {
			return err
		}
		if total += len(b); total > MaxPack {
			return fault.New(ErrDamaged, "more than %d bytes in all", MaxPack)
		}
		switch want, ok := sums[name]; {
		case !ok:
			return fault.New(ErrDamaged, "it is there, and SHA256SUMS does not list it").About(name)
		case cid.Sum(b).Hex() != want:
			return fault.New(ErrDamaged, "sha256 is %s, SHA256SUMS says %s", cid.Sum(b).Hex(), want).About(name)
		}
		content[name] = b
	}
	if err := p.flags(fsys); err != nil {
		return err
	}
	return p.cases(content, sums)
}

// flags reads flags.json, which has every flag of the manifest.
func (p *Pack) flags(fsys fs.FS) error {
	b, err := readFile(fsys, "flags.json")
	if err != nil {
		return err
	}
	if err := strictJSON(b, &p.Flags); err != nil {
		return fault.New(ErrDamaged, "flags.json: %w", err)
	}
	for _, e := range p.Manifest.Vectors {
		for _, f := range e.Flags {
			if p.Flags[f] == "" {
				return fault.New(ErrDamaged, "flags.json does not say why flag %.80q exists", f).About(e.ID)
			}
		}
	}
	return nil
}

// cases makes the vectors of files whose digests are those of sums.
func (p *Pack) cases(content map[string][]byte, sums map[string]string) error {
	listed := map[string]bool{}
	for _, e := range p.Manifest.Vectors {
		own := map[string][]byte{}
		for _, name := range slices.Sorted(maps.Keys(e.Files)) {
			file := e.Files[name]
			b, ok := content[file]
			switch {
			case !ok:
				return fault.New(ErrDamaged, "the manifest lists it, and it is not there").About(file)
			case sums[file] != e.SHA256[name]:
				return fault.New(ErrDamaged, "sha256 is %s, the manifest says %.80s", sums[file], e.SHA256[name]).About(file)
			}
			listed[file] = true
			own[name] = b
		}
		c := &Case{Entry: e}
		if err := c.vector(own["vector"]); err != nil {
			return fault.New(ErrDamaged, "%w", err).About(e.Files["vector"])
		}
		if err := c.put(own); err != nil {
			return fault.New(ErrDamaged, "%w", err).About(e.Files["vector"])
		}
		p.Cases = append(p.Cases, c)
	}
	for _, file := range slices.Sorted(maps.Keys(content)) {
		if strings.HasPrefix(file, "vectors/") && !listed[file] {
			return fault.New(ErrDamaged, "it is there, and the manifest does not list it").About(file)
		}
	}
	return nil
}

// files lists what is in the closed folders.
func files(fsys fs.FS) ([]string, error) {
	var found []string
	for _, dir := range closed() {
		err := fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && name == dir:
				return nil // empty
			case err != nil:
				return err
			case d.IsDir():
				return nil
			case len(found) >= 4*MaxVectors:
				return fmt.Errorf("more than %d files", 4*MaxVectors)
			}
			found = append(found, name)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ParseSums reads SHA256SUMS: digests by path. Paths ascend, none twice.
func ParseSums(b []byte) (map[string]string, error) {
	sums := map[string]string{}
	last := ""
	for line := range strings.Lines(string(b)) {
		digest, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		_, hexed := unhex32(digest)
		switch {
		case !ok || !hexed || !strings.HasSuffix(line, "\n"):
			return nil, fmt.Errorf("%.120q is no line \"<64 lower-case hex digits>  <path>\"", line)
		case !fs.ValidPath(name):
			return nil, fmt.Errorf("%.120q is no path in the pack", name)
		case name <= last:
			return nil, fmt.Errorf("%.120q does not come after %.120q", name, last)
		}
		last = name
		sums[name] = digest
	}
	return sums, nil
}
