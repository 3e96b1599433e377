package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

// maxInspect bounds an object that is shown, in bytes.
const maxInspect = 64 << 20

type inspectOptions struct {
	*app
	ref  string
	json bool
}

func newInspect(a *app) *cobra.Command {
	o := &inspectOptions{app: a}
	cmd := &cobra.Command{
		Use: "inspect X", Short: "Show what a package or any MYTHOS object holds", GroupID: groupPackages,
		Long: `Show what a package or any MYTHOS object holds.

X is a packed folder, a .mythos.tgz, a file with one object in canonical bytes, a
MYTHOS-X packet, a key file, "-" for standard input, or sha256:... for an object
of the local store or ledger, receipts by receipt id included.

A package is shown with its tools, modules, entry points, artifacts and
signatures, and with whether this node knows who signed. Nothing that is shown
is verified unless it says so; "mythos verify" says what is wrong.`,
		Example: "  mythos inspect dist/demo-001-0.1.0.mythos.tgz\n" +
			"  mythos inspect sha256:... --json\n" +
			"  mythos inspect - < call.cap",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, list []string) error {
			o.ref = list[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

func (o *inspectOptions) run(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		raw, err := o.read(ctx, n)
		if err != nil {
			return err
		}
		if raw == nil || o.stored() && isManifest(raw) {
			return o.showPackage(ctx, n)
		}
		return o.showObject(raw)
	})
}

// stored reports whether the object is named by its hash.
func (o *inspectOptions) stored() bool { return strings.HasPrefix(o.ref, "sha256:") }

func isManifest(raw []byte) bool {
	names := view.Identify(raw)
	return len(names) > 0 && names[0] == "PackageManifest"
}

// read returns the object's bytes, nil for a package in a folder or archive.
func (o *inspectOptions) read(ctx context.Context, n *node.Node) ([]byte, error) {
	if o.stored() {
		id, err := cid.Parse(o.ref)
		if err != nil {
			return nil, err
		}
		return findObject(ctx, n, id)
	}
	if o.ref == "-" {
		return readObject(o.In, "standard input")
	}
	info, err := os.Stat(o.ref)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fault.New(pack.ErrNotFound, "nothing there").About(o.ref)
	case err != nil:
		return nil, fault.New(node.ErrPath, "%w", err).About(o.ref)
	case info.IsDir():
		return nil, nil
	}
	f, err := os.Open(o.ref)
	if err != nil {
		return nil, fault.New(node.ErrPath, "%w", err).About(o.ref)
	}
	defer f.Close()
	head := make([]byte, 2)
	if _, err := io.ReadFull(f, head); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		return nil, nil // an archive
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fault.New(node.ErrPath, "%w", err).About(o.ref)
	}
	return readObject(f, o.ref)
}

// readObject reads all of r; the result is not nil.
func readObject(r io.Reader, name string) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, io.LimitReader(r, maxInspect+1))
	switch {
	case err != nil:
		return nil, fault.New(node.ErrPath, "%w", err).About(name)
	case b.Len() > maxInspect:
		return nil, fault.New(cas.ErrTooLarge, "more than %d bytes", maxInspect).About(name)
	}
	return append([]byte{}, b.Bytes()...), nil
}

// findObject looks for an object in the store, then beside the ledger, then
// among the receipts.
func findObject(ctx context.Context, n *node.Node, id cid.Hash) ([]byte, error) {
	store, err := n.Objects()
	if err != nil {
		return nil, err
	}
	raw, notFound := store.Get(ctx, id, maxInspect)
	if !errors.Is(notFound, cas.ErrNotFound) {
		return raw, notFound
	}
	if !n.HasLedger() {
		return nil, notFound
	}
	log, err := n.ReadLedger()
	if err != nil {
		return nil, err
	}
	raw, err = fromLedger(ctx, log, id)
	if errors.Is(err, ledger.ErrNoItem) {
		err = notFound
	}
	return raw, errors.Join(err, log.Close())
}

func fromLedger(ctx context.Context, log ledger.Store, id cid.Hash) ([]byte, error) {
	raw, err := log.Object(ctx, id)
	if errors.Is(err, ledger.ErrNoItem) {
		return log.Receipt(ctx, id)
	}
	return raw, err
}
