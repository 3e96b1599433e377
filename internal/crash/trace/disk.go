package trace

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// Loss says how much of what was not synced survives.
type Loss uint8

// The losses.
const (
	All  Loss = iota // nothing that was not synced survives
	Some             // each write survives or not, whatever came before it
	Torn             // each sector does
)

// Disk is the files below a folder, as far as they were synced and beyond.
type Disk struct {
	root    string
	live    map[string]*inode // what the process sees
	durable map[string]*inode // names that were synced
	names   []nameChange      // names that were not, in order
	seen    int               // names and changes before names[0]
	syncs   map[int]mark
}

type inode struct {
	durable []byte
	pending []change // in order
	settled int      // changes before pending[0]
}

// change is a write, or a new length if data is nil.
type change struct {
	off  int64
	data []byte
}

type nameChange struct {
	folder string
	path   string
	node   *inode // nil: removed
}

// mark is what a sync covers: changes of a file, or of names in a folder.
type mark struct {
	node   *inode
	folder string
	upTo   int
}

// NewDisk returns an empty folder.
func NewDisk(root string) *Disk {
	return &Disk{root: root, live: map[string]*inode{}, durable: map[string]*inode{}, syncs: map[int]mark{}}
}

// Play performs one call. Calls elsewhere than below the folder change nothing.
func (d *Disk) Play(e Event) {
	in := e.Path == d.root || filepath.Dir(e.Path) == d.root
	if !in || e.Kind == Said {
		return
	}
	switch e.Kind {
	case Write, Truncate:
		n := d.file(e.Path)
		n.pending = append(n.pending, change{e.Off, e.Data})
	case Create:
		d.file(e.Path)
	case Remove:
		d.name(e.Path, nil)
	case Rename:
		n := d.file(e.Path)
		d.name(e.To, n)
		d.name(e.Path, nil)
	case SyncBegin:
		if n := d.live[e.Path]; n != nil {
			d.syncs[e.Call] = mark{node: n, upTo: n.settled + len(n.pending)}
		} else {
			d.syncs[e.Call] = mark{folder: e.Path, upTo: d.seen + len(d.names)}
		}
	case SyncEnd:
		d.settle(d.syncs[e.Call])
		delete(d.syncs, e.Call)
	}
}

// file returns the file that has a name now; it is made if there is none.
func (d *Disk) file(path string) *inode {
	if n := d.live[path]; n != nil {
		return n
	}
	n := &inode{}
	d.name(path, n)
	return n
}

func (d *Disk) name(path string, n *inode) {
	if n == nil {
		delete(d.live, path)
	} else {
		d.live[path] = n
	}
	d.names = append(d.names, nameChange{filepath.Dir(path), path, n})
}

// settle makes durable what a sync covers.
func (d *Disk) settle(m mark) {
	if m.node != nil {
		for m.node.settled < m.upTo {
			m.node.durable = m.node.pending[0].on(m.node.durable)
			m.node.pending = m.node.pending[1:]
			m.node.settled++
		}
		return
	}
	for d.seen < m.upTo {
		d.names[0].on(d.durable)
		d.names = d.names[1:]
		d.seen++
	}
}

func (c nameChange) on(names map[string]*inode) {
	if c.node == nil {
		delete(names, c.path)
	} else {
		names[c.path] = c.node
	}
}

// on returns b with the change made; a gap before it is zeros.
func (c change) on(b []byte) []byte {
	if c.data == nil {
		if int64(len(b)) >= c.off {
			return b[:c.off]
		}
		return append(b, make([]byte, c.off-int64(len(b)))...)
	}
	end := c.off + int64(len(c.data))
	if int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:end], c.data)
	return b
}

// Rebuild writes to dir what a power loss now may leave of the folder.
func (d *Disk) Rebuild(dir string, loss Loss, random *rand.Rand) error {
	names := maps.Clone(d.durable)
	if loss != All {
		for _, c := range d.names[:random.IntN(len(d.names)+1)] { // folders keep their order
			c.on(names)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		content := names[path].survives(loss, random)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), content, 0o600); err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
	}
	return nil
}

// survives returns one content that the file may have.
func (n *inode) survives(loss Loss, random *rand.Rand) []byte {
	b := slices.Clone(n.durable)
	if loss == All {
		return b
	}
	for _, c := range n.pending {
		switch {
		case loss == Some || c.data == nil:
			if random.IntN(2) == 0 {
				b = c.on(b)
			}
		default:
			for _, part := range c.sectors() {
				if random.IntN(2) == 0 {
					b = part.on(b)
				}
			}
		}
	}
	return b
}

// sectors cuts a write where the disk does.
func (c change) sectors() (all []change) {
	for at := int64(0); at < int64(len(c.data)); {
		end := min(int64(len(c.data)), (c.off+at)/sector*sector+sector-c.off)
		all = append(all, change{c.off + at, c.data[at:end]})
		at = end
	}
	return all
}
