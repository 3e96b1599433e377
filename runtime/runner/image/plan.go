package image

import (
	"archive/tar"
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Bounds of an image, over all its layers.
const (
	maxEntries = 200_000    // folders that no layer names but must be there included
	maxText    = 64 << 20   // bytes of names and link targets
	maxSteps   = 50_000_000 // of looking up and erasing
	maxDepth   = 100        // folders in folders
	maxPath    = 4095       // bytes of a path
	maxName    = 255        // bytes of one name in it
	maxHops    = 40         // links on the way to a path
	maxBytes   = 4 << 30
)

// kind is what a node is.
type kind uint8

const (
	folder kind = iota
	file
	link // symbolic
)

// node is a file, folder or link of an image's tree.
type node struct {
	kind  kind
	layer int // the last one that wrote it
	// file
	exec   bool
	size   int64
	sha256 cid.Hash
	from   content
	head   [headSize]byte // its first bytes, if it can be executed
	// link
	target string
	// folder
	children map[string]*node
}

// headSize is as much of a program as tells for which machine it is.
const headSize = 20

// runnable reports whether a file begins as a program of a platform does: ELF for
// its machine, or a script.
func (n *node) runnable(platform string) bool {
	if n.head[0] == '#' && n.head[1] == '!' {
		return true
	}
	machine := map[string]uint16{"linux/amd64": 62, "linux/arm64": 183}[platform]
	const class64, little = 2, 1
	return string(n.head[:4]) == "\x7fELF" && n.head[4] == class64 && n.head[5] == little &&
		(machine == 0 || binary.LittleEndian.Uint16(n.head[18:]) == machine)
}

// content says where a file's bytes are: in which layer, at which entry. Hard
// links share it.
type content struct{ layer, entry int }

// plan is the tree that the layers of an image make: the result of what OCI says
// about layers, in memory, by which it is then written and checked. Nothing that
// is on a disk has a part in it.
type plan struct {
	root    *node
	layer   int // the one being applied
	entries int // in all layers
	text    int
	steps   int
	bytes   int64
	seen    map[string]bool // paths of this layer
	limit   int64           // of bytes
}

func newPlan(limit int64) *plan {
	return &plan{root: &node{children: map[string]*node{}}, layer: -1, limit: limit}
}

// begin starts the next layer.
func (p *plan) begin() {
	p.layer++
	p.seen = map[string]bool{}
}

// Names of whiteouts: marks in a layer that hide what lower layers have.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// names splits the path of an entry, which may begin with "./" and, for a folder,
// end with a slash. The image's top is no name at all.
func names(p string) ([]string, error) {
	bad := func(why string) ([]string, error) { return nil, fault.New(ErrPath, "%s", why).About(show(p)) }
	p = strings.TrimSuffix(p, "/")
	for strings.HasPrefix(p, "./") {
		p = p[2:]
	}
	switch {
	case p == "." || p == "":
		return nil, nil
	case len(p) > maxPath:
		return bad("a path of more than 4095 bytes")
	case p[0] == '/':
		return bad("an absolute path; those in a layer begin at its top")
	}
	list := strings.Split(p, "/")
	if len(list) > maxDepth {
		return bad("more than 100 folders deep")
	}
	for _, s := range list {
		switch {
		case s == ".." || s == "." || s == "":
			return bad("a path with the segment " + show(s))
		case len(s) > maxName:
			return bad("a name of more than 255 bytes")
		case strings.ContainsRune(s, 0) || !utf8.ValidString(s):
			return bad("a name with a zero byte, or that is not UTF-8")
		}
	}
	return list, nil
}

// add counts an entry with so much text.
func (p *plan) add(text int) error {
	p.entries, p.text = p.entries+1, p.text+text
	if p.entries > maxEntries || p.text > maxText {
		return fault.New(ErrLimit, "more than %d entries, or more than %d bytes of names", maxEntries, maxText)
	}
	return nil
}

// step counts work, so that no image costs more than its size lets expect.
func (p *plan) step() error {
	if p.steps++; p.steps > maxSteps {
		return fault.New(ErrLimit, "links and whiteouts take more than %d steps", maxSteps)
	}
	return nil
}

// apply takes one entry of the layer's tar stream, the place-th. Of a regular file
// it returns the node, whose hash is set by whoever reads it; else nil.
func (p *plan) apply(h *tar.Header, place int) (*node, error) {
	if err := p.add(len(h.Name) + len(h.Linkname)); err != nil {
		return nil, err
	}
	at, err := names(h.Name)
	if err != nil {
		return nil, err
	}
	if len(at) == 0 {
		if h.Typeflag != tar.TypeDir {
			return nil, fault.New(ErrEntry, "the top of a layer must be a folder")
		}
		return nil, nil
	}
	dir, err := p.parent(at[:len(at)-1], h.Name)
	if err != nil {
		return nil, err
	}
	full := strings.Join(at, "/")
	if p.seen[full] {
		return nil, fault.New(ErrEntry, "stands twice in one layer").About(show(h.Name))
	}
	p.seen[full] = true
	name := at[len(at)-1]
	if strings.HasPrefix(name, whiteout) {
		return nil, p.erase(dir, name, h.Name)
	}
	n, err := p.make(h, place)
	if err != nil {
		return nil, err
	}
	if old := dir.children[name]; old != nil && old.kind == folder && n.kind == folder {
		old.layer = p.layer
		return nil, nil
	}
	dir.children[name] = n
	if h.Typeflag != tar.TypeReg {
		return nil, nil
	}
	return n, nil
}

// make returns the node of an entry. Owners, times, extended attributes and all
// mode bits but execution are dropped, setuid and setgid with them.
func (p *plan) make(h *tar.Header, place int) (*node, error) {
	n := &node{layer: p.layer, from: content{p.layer, place}}
	switch h.Typeflag {
	case tar.TypeDir:
		n.children = map[string]*node{}
	case tar.TypeReg:
		n.kind, n.exec, n.size = file, h.Mode&0o111 != 0, h.Size
		if h.Size < 0 || h.Size > p.limit-p.bytes {
			return nil, fault.New(ErrLimit, "unpacked, the image has more than %d bytes", p.limit).About(show(h.Name))
		}
		p.bytes += h.Size
	case tar.TypeSymlink:
		n.kind, n.target = link, h.Linkname
		return n, checkLink(h)
	case tar.TypeLink:
		return p.hardLink(h)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil, fault.New(ErrEntry, "a device or pipe; an image holds files, folders and links").About(show(h.Name))
	default:
		return nil, fault.New(ErrEntry, "an entry of type %q", h.Typeflag).About(show(h.Name))
	}
	return n, nil
}

// checkLink refuses a symbolic link that leads above the top. One with an
// absolute target is looked up in the image by whoever follows it.
func checkLink(h *tar.Header) error {
	bad := func(why string) error { return fault.New(ErrLink, "%s", why).About(show(h.Name)) }
	t := h.Linkname
	if t == "" || len(t) > maxPath || strings.ContainsRune(t, 0) {
		return bad("a symbolic link without a target, or with one of more than 4095 bytes")
	}
	depth := strings.Count(strings.Trim(path.Clean(h.Name), "/"), "/")
	if t[0] == '/' {
		depth = 0
	}
	for s := range strings.SplitSeq(t, "/") {
		switch s {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return bad("the symbolic link leads out of the image: " + show(t))
			}
		default:
			depth++
		}
	}
	return nil
}

// hardLink returns another name of a file.
func (p *plan) hardLink(h *tar.Header) (*node, error) {
	bad := func(why string) (*node, error) { return nil, fault.New(ErrLink, "%s", why).About(show(h.Name)) }
	to, err := names(h.Linkname)
	if err != nil || len(to) == 0 {
		return bad("the hard link leads out of the image: " + show(h.Linkname))
	}
	dir, _, err := p.walk(to[:len(to)-1])
	if err != nil {
		return nil, err
	}
	var old *node
	if dir != nil {
		old = dir.children[to[len(to)-1]]
	}
	switch {
	case old == nil:
		return bad("the hard link's target is not there: " + show(h.Linkname))
	case old.kind == folder:
		return bad("a hard link to a folder: " + show(h.Linkname))
	}
	n := *old
	n.layer = p.layer
	return &n, nil
}

// erase applies a whiteout to what lower layers have.
func (p *plan) erase(dir *node, name, at string) error {
	if name == opaque {
		for child := range dir.children {
			if _, err := p.eraseLower(dir, child); err != nil {
				return err
			}
		}
		return nil
	}
	name = name[len(whiteout):]
	if name == "" || name == "." || name == ".." || strings.HasPrefix(name, whiteout) {
		return fault.New(ErrEntry, "a whiteout of nothing that can be there").About(show(at))
	}
	_, err := p.eraseLower(dir, name)
	return err
}

// eraseLower removes a child and what is below it, but for what this layer wrote:
// the order of a layer's entries does not count. It reports whether all is gone.
func (p *plan) eraseLower(dir *node, name string) (gone bool, err error) {
	n := dir.children[name]
	if n == nil {
		return true, nil
	}
	if err := p.step(); err != nil {
		return false, err
	}
	gone = n.layer != p.layer
	for child := range n.children {
		all, err := p.eraseLower(n, child)
		if err != nil {
			return false, err
		}
		gone = gone && all
	}
	if gone {
		delete(dir.children, name)
	}
	return gone, nil
}

// parent returns the folder that an entry goes to, made if it is missing. A link
// on the way is followed inside the image; a file there gives way.
func (p *plan) parent(at []string, entry string) (*node, error) {
	n, where, hops := p.root, []*node{p.root}, 0
	rest := slices.Clone(at)
	for len(rest) > 0 {
		if err := p.step(); err != nil {
			return nil, err
		}
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			if len(where) > 1 {
				where = where[:len(where)-1]
			}
			n = where[len(where)-1]
			continue
		}
		next := n.children[name]
		if next != nil && next.kind == link {
			if hops++; hops > maxHops {
				return nil, fault.New(ErrLink, "more than %d links on the way", maxHops).About(show(entry))
			}
			rest = append(steps(next.target), rest...)
			if next.target[0] == '/' {
				where = where[:1]
			}
			n = where[len(where)-1]
			continue
		}
		if next == nil || next.kind == file {
			if err := p.add(len(name)); err != nil {
				return nil, err
			}
			next = &node{layer: p.layer, children: map[string]*node{}}
			n.children[name] = next
		}
		n = next
		if where = append(where, n); len(where) > maxDepth {
			return nil, fault.New(ErrPath, "more than %d folders deep", maxDepth).About(show(entry))
		}
	}
	return n, nil
}

// walk finds a folder, following links inside the image, and where it really is;
// nil if it is not there.
func (p *plan) walk(at []string) (*node, []string, error) {
	var real []string
	where, hops := []*node{p.root}, 0
	rest := slices.Clone(at)
	for len(rest) > 0 {
		if err := p.step(); err != nil {
			return nil, nil, err
		}
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			if len(where) > 1 {
				where, real = where[:len(where)-1], real[:len(real)-1]
			}
			continue
		}
		next := where[len(where)-1].children[name]
		switch {
		case next == nil || next.kind == file:
			return nil, nil, nil
		case next.kind == link:
			if hops++; hops > maxHops {
				return nil, nil, fault.New(ErrLink, "more than %d links on the way", maxHops).About(show(path.Join(at...)))
			}
			rest = append(steps(next.target), rest...)
			if next.target[0] == '/' {
				where, real = where[:1], nil
			}
		default:
			where, real = append(where, next), append(real, name)
		}
	}
	return where[len(where)-1], real, nil
}

// find returns what a path leads to, its last link followed too; nil if nothing
// is there.
func (p *plan) find(name string) (*node, error) {
	p = &plan{root: p.root} // counts for itself: the tree is shared by now
	at := steps(name)
	for range maxHops {
		if len(at) == 0 {
			return p.root, nil
		}
		dir, real, err := p.walk(at[:len(at)-1])
		if dir == nil || err != nil {
			return nil, err
		}
		last := at[len(at)-1]
		if last == ".." {
			dir, _, err := p.walk(at)
			return dir, err
		}
		n := dir.children[last]
		if n == nil || n.kind != link {
			return n, nil
		}
		at = steps(n.target)
		if n.target[0] != '/' {
			at = append(real, at...)
		}
	}
	return nil, fault.New(ErrLink, "more than %d links on the way", maxHops).About(show(name))
}

// steps splits a path into names and "..".
func steps(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

// finish adds the folders that every sandbox mounts on.
func (p *plan) finish() error {
	for _, name := range mountPoints() {
		n := p.root.children[name]
		if n == nil {
			n = &node{layer: p.layer, children: map[string]*node{}}
			p.root.children[name] = n
		}
		if n.kind != folder {
			return fault.New(ErrEntry, "must be a folder: the sandbox mounts on it").About(name)
		}
	}
	p.seen = nil
	return nil
}

// mountPoints are the folders at an image's top that the sandbox has its own of.
func mountPoints() []string { return []string{"dev", "proc", "tmp"} }

// all visits the tree in order, folders before what is in them. path has no slash
// at its ends.
func (p *plan) all(visit func(path string, n *node) error) error {
	var down func(prefix string, n *node) error
	down = func(prefix string, n *node) error {
		list := make([]string, 0, len(n.children))
		for name := range n.children {
			list = append(list, name)
		}
		slices.Sort(list)
		for _, name := range list {
			c := n.children[name]
			if err := visit(prefix+name, c); err != nil {
				return err
			}
			if c.kind == folder {
				if err := down(prefix+name+"/", c); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return down("", p.root)
}

// show quotes text from an image for a message.
func show(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return quote(s)
}
