package node

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrRingName is the code of a name that a ring never had.
const ErrRingName fault.Code = "ring_name_unknown"

// knownInRing refuses a name that a ring has no state of, with the name that was
// probably meant.
func (n *Node) knownInRing(ctx context.Context, ring uint8, name string) error {
	names, err := n.ringNames(ctx, ring)
	if err != nil || slices.Contains(names, name) {
		return err
	}
	if len(names) == 0 {
		return fault.New(ErrRingName, "ring %d never had a package called %q; nothing was promoted to it yet", ring, name)
	}
	if near := nearest(names, name); near != "" {
		return fault.New(ErrRingName, "ring %d never had a package called %q; did you mean %s?", ring, name, near)
	}
	return fault.New(ErrRingName, "ring %d never had a package called %q", ring, name)
}

// ringNames returns the names that a ring has a state of.
func (n *Node) ringNames(ctx context.Context, ring uint8) (names []string, err error) {
	if !n.HasLedger() {
		return nil, nil
	}
	log, err := n.ReadLedger()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	all, err := log.Rings(ctx)
	for i := range all {
		if all[i].Ring == ring {
			names = append(names, all[i].Name)
		}
	}
	return names, err
}

// nearest returns the name that text is a package of, as a path or NAME@VERSION, or
// else the one that the fewest edits make of it; "" if none is near.
func nearest(names []string, text string) string {
	base := strings.ReplaceAll(filepath.Base(text), "__", "/")
	best, least := "", 0
	for _, name := range names {
		rest, ok := strings.CutPrefix(base, name+"-")
		if ok && strings.Contains(rest, ".") || strings.HasPrefix(text, name+"@") { // a version follows
			if len(name) > len(best) || least > 0 {
				best, least = name, 0
			}
			continue
		}
		d := edits(name, text)
		if d <= max(1, len(name)/3) && (best == "" || d < least) {
			best, least = name, d
		}
	}
	return best
}

// maxEdited bounds the texts that edits compares: a package's name is shorter.
const maxEdited = 256

// edits counts the bytes to insert, remove or replace that make b of a.
func edits(a, b string) int {
	if len(a) > maxEdited || len(b) > maxEdited {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
