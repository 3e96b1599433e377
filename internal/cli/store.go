package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

func newStore(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "store", Short: "Keep objects by their hashes", GroupID: groupRecords,
		Long: `Keep objects by their hashes: each is named by the SHA-256 of its bytes, and those are
checked whenever they are read. A CID may be given as sha256:... or as six
or more of the first hex digits of one that is in the store. Small objects of
effects, such as requests, are kept beside the ledger; get and has find those by
their whole CID.`,
		Example: "  mythos store put dist/demo-001-0.1.0.mythos.tgz\n  mythos store get sha256:... -o object.bin",
	}, newStorePut(a), newStoreGet(a), newStoreHas(a), newStoreLs(a), newStorePin(a), newStoreUnpin(a), newStoreTag(a),
		newStoreGC(a), newStoreVerify(a), newStoreStat(a), newStoreQuota(a), newStoreExport(a), newStoreImport(a))
}

type storePutOptions struct {
	*app
	blob bool
	json bool
}

func newStorePut(a *app) *cobra.Command {
	o := &storePutOptions{app: a}
	cmd := &cobra.Command{
		Use: "put FILE|PACKAGE", Short: "Store a file, or a package with all it consists of", Args: args(cobra.ExactArgs(1)),
		Long: `Store a file, or a package with all it consists of, and print the CID.

A packed folder or an archive is loaded as "mythos run" loads it; a package that is
sound and trusted here is stored whole, and its manifest CID, which is printed, can
be run. Any other file, or "-" for standard input, is stored as an artifact: as one
object up to 4 MiB, above that in chunks under a Merkle tree whose root is printed.`,
		Example: "  mythos store put dist/demo-001-0.1.0\n  mythos store put model.bin --json\n  mythos store put backup.tgz --blob",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.put(cmd.Context(), list[0]) },
	}
	cmd.Flags().BoolVar(&o.blob, "blob", false, "store an archive's bytes instead of its package")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 4, 6, 7)
}

// putView is what store put --json prints.
type putView struct {
	Schema    string    `json:"schema"`
	Kind      string    `json:"kind"` // package or blob
	CID       cid.Hash  `json:"cid"`
	PackageID *cid.Hash `json:"package_id"` // null for a blob
	Size      *uint64   `json:"size"`       // in bytes; null for a package
	SHA256    *cid.Hash `json:"sha256"`     // of all bytes; null for a package
}

func (o *storePutOptions) put(ctx context.Context, path string) error {
	return o.withNode(func(n *node.Node) error {
		isPackage, err := o.isPackage(path)
		if err != nil {
			return err
		}
		put := o.putFile
		if isPackage {
			put = o.putPackage
		}
		v, err := put(ctx, n, path)
		switch {
		case err != nil:
			return err
		case o.json:
			return o.printJSON(v)
		}
		return o.printf("%s\n", v.CID)
	})
}

// isPackage reports whether path is a folder or begins as an archive does.
func (o *storePutOptions) isPackage(path string) (bool, error) {
	if path == "-" {
		return false, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && pack.IsLayout(path): // with a tag
		return true, nil
	case err != nil:
		return false, inputError(path, err)
	case info.IsDir():
		return true, nil
	case o.blob || !info.Mode().IsRegular(): // what is read from a pipe is gone
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, inputError(path, err)
	}
	defer f.Close()
	head := make([]byte, 2)
	_, err = io.ReadFull(f, head)
	return err == nil && head[0] == 0x1f && head[1] == 0x8b, nil
}

func (o *storePutOptions) putPackage(ctx context.Context, n *node.Node, path string) (v putView, err error) {
	src, err := n.OpenPackage(ctx, path)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	pkg, err := n.Load(ctx, src, 0)
	if err != nil {
		return v, err
	}
	id := pkg.ID()
	v = putView{Schema: "mythos.store.put/1", Kind: "package", PackageID: &id}
	v.CID, err = n.Keep(ctx, pkg)
	return v, err
}

func (o *storePutOptions) putFile(ctx context.Context, n *node.Node, path string) (putView, error) {
	in := o.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return putView{}, inputError(path, err)
		}
		defer f.Close()
		in = f
	}
	store, err := n.Objects()
	if err != nil {
		return putView{}, err
	}
	a, err := cas.PutBlob(ctx, store, in)
	if err != nil && fault.CodeOf(err) == "" && ctx.Err() == nil {
		err = inputError(path, err)
	}
	return putView{Schema: "mythos.store.put/1", Kind: "blob", CID: a.CID, Size: &a.Size, SHA256: &a.SHA256}, err
}

type storeGetOptions struct {
	*app
	out string
}

func newStoreGet(a *app) *cobra.Command {
	o := &storeGetOptions{app: a}
	cmd := &cobra.Command{
		Use: "get CID", Short: "Write a stored object's bytes", Args: args(cobra.ExactArgs(1)),
		Long: `Write exactly the bytes of one stored object, never to a terminal. A file given with
-o is written whole or not at all; to standard output the last bytes come only once
the hash is known to be right, so without exit code 0 what came is not the object.`,
		Example: "  mythos store get sha256:... -o object.bin\n  mythos store get 5b1f0c | mythos can decode",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.get(cmd.Context(), list[0]) },
	}
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "file to write instead of standard output")
	return exits(cmd, 3, 6, 7)
}

func (o *storeGetOptions) get(ctx context.Context, arg string) error {
	p, err := parseObject(arg)
	toFile := o.out != "" && o.out != "-"
	switch {
	case err != nil:
		return err
	case !toFile && term.IsTerminal(o.Out):
		return usagef("standard output is a terminal; send the object to a file with -o, or to a pipe")
	}
	return o.withNode(func(n *node.Node) error {
		object, err := openStored(ctx, n, p)
		if err != nil {
			return err
		}
		defer object.Close()
		if toFile {
			return writeStream(o.out, object)
		}
		_, err = io.Copy(o.Out, object)
		return err
	})
}

// writeStream writes a file from a stream, whole or not at all.
func writeStream(path string, r io.Reader) error {
	f, err := atomicfile.Create(path, 0o644)
	if err != nil {
		return fileError(path, err)
	}
	defer f.Close()
	if _, err := io.Copy(f, r); err != nil {
		if fault.CodeOf(err) == "" && !errors.Is(err, context.Canceled) {
			err = fileError(path, err)
		}
		return err
	}
	return fileError(path, f.Commit())
}

// parseObject reads the CID of a stored object, or the beginning of one. Of a path it
// says how to come by a CID.
func parseObject(arg string) (idPrefix, error) {
	p, err := parseID(arg)
	if err == nil {
		return p, nil
	}
	if _, missing := os.Stat(arg); missing == nil {
		err = &hinted{usagef("%.200q is a path, and no CID of an object in the store", arg), "This stores it and prints its CID: mythos store put " + arg}
	}
	return p, err
}

// openStored opens the object that a prefix begins.
func openStored(ctx context.Context, n *node.Node, p idPrefix) (io.ReadCloser, error) {
	store, err := n.Objects()
	if err != nil {
		return nil, err
	}
	id, err := stored(ctx, store, p)
	if err != nil {
		return nil, err
	}
	return n.OpenObject(ctx, id)
}

// stored returns the CID that a prefix begins, whole ones unlooked.
func stored(ctx context.Context, store cas.Store, p idPrefix) (cid.Hash, error) {
	if id, full := p.full(); full {
		return id, nil
	}
	var m matches
	for id, err := range store.List(ctx) {
		if err != nil {
			return id, err
		}
		m.offer(p, id, id)
	}
	return m.one(p, cas.ErrNotFound, "no stored object begins with it")
}

func newStoreHas(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "has CID", Short: "Say by the exit code whether an object is stored", Args: args(cobra.ExactArgs(1)),
		Long:    `Say by the exit code whether an object is stored: 0 if it is, 6 if it is not.`,
		Example: "  mythos store has sha256:... && echo there",
		RunE:    func(cmd *cobra.Command, list []string) error { return a.has(cmd.Context(), list[0]) },
	}
	return exits(cmd, 3, 6, 7)
}

func (a *app) has(ctx context.Context, arg string) error {
	p, err := parseObject(arg)
	if err != nil {
		return err
	}
	return a.withNode(func(n *node.Node) error {
		object, err := openStored(ctx, n, p)
		if id, full := p.full(); full && errors.Is(err, cas.ErrNotFound) {
			return fault.New(cas.ErrNotFound, "is not stored").About(id.String())
		}
		if err != nil {
			return err
		}
		return object.Close()
	})
}

type storeLsOptions struct {
	*app
	json bool
}

func newStoreLs(a *app) *cobra.Command {
	o := &storeLsOptions{app: a}
	cmd := &cobra.Command{
		Use: "ls", Short: "List the CIDs of all stored objects", Args: args(cobra.NoArgs),
		Long:    `List the CIDs of all stored objects, one a line, ascending.`,
		Example: "  mythos store ls | wc -l\n  mythos store ls --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.ls(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 7)
}

func (o *storeLsOptions) ls(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		store, err := n.Objects()
		if err != nil {
			return err
		}
		ids := []cid.Hash{}
		for id, err := range store.List(ctx) {
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return o.print(ids)
	})
}

func (o *storeLsOptions) print(ids []cid.Hash) error {
	if o.json {
		return o.printJSON(struct {
			Schema  string     `json:"schema"`
			Objects []cid.Hash `json:"objects"`
		}{"mythos.store.list/1", ids})
	}
	if len(ids) == 0 {
		o.note("the store is empty")
	}
	w := bufio.NewWriter(o.Out)
	for _, id := range ids {
		w.WriteString(id.String() + "\n")
	}
	return w.Flush()
}
