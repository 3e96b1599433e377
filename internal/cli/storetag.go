package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/node"
)

// pinned returns the pin that a prefix begins.
func pinned(pins func() ([]cid.Hash, error), p idPrefix) (cid.Hash, error) {
	all, err := pins()
	if err != nil {
		return cid.Hash{}, err
	}
	var m matches
	for _, id := range all {
		m.offer(p, id, id)
	}
	return m.one(p, local.ErrNoPin, "no pin begins with it")
}

type storeTagOptions struct {
	*app
	remove bool
	json   bool
}

func newStoreTag(a *app) *cobra.Command {
	o := &storeTagOptions{app: a}
	cmd := &cobra.Command{
		Use: "tag [NAME [CID]]", Short: "Name an object, and keep all that belongs to it", Args: args(cobra.MaximumNArgs(2)),
		Long: `Name an object, and keep it and all that belongs to it, as "mythos store pin" does. A
name that stands for another object stands for this one from then on. With a name
alone, print what it stands for; without one, list all tags.`,
		Example: "  mythos store tag demo-1.0 sha256:...\n  mythos store tag demo-1.0\n  mythos store tag\n  mythos store tag --remove demo-1.0",
		RunE: func(cmd *cobra.Command, list []string) error {
			switch {
			case o.remove && len(list) != 1:
				return usagef("--remove takes the name of a tag and nothing else")
			case o.remove:
				return o.removeTag(list[0])
			case len(list) == 2:
				return o.tag(cmd.Context(), list[0], list[1])
			case len(list) == 1:
				return o.show(list[0])
			}
			return o.tags()
		},
	}
	cmd.Flags().BoolVar(&o.remove, "remove", false, "take a name back; the object stays until gc")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 6, 7)
}

func (o *storeTagOptions) tag(ctx context.Context, name, arg string) error {
	if err := local.CheckTag(name); err != nil {
		return err
	}
	return o.withObject(ctx, arg, func(n *node.Node, id cid.Hash) error {
		count, err := n.Tag(ctx, name, id)
		switch {
		case err != nil:
			return err
		case o.json:
			return o.printJSON(pinView{"mythos.store.tag/1", &name, id, count})
		}
		return o.printf("%s is %s, objects: %d\n", name, id, count)
	})
}

func (o *storeTagOptions) withStore(fn func(*local.Store) error) error {
	return o.withNode(func(n *node.Node) error {
		s, err := n.Store()
		if err != nil {
			return err
		}
		return fn(s)
	})
}

func (o *storeTagOptions) removeTag(name string) error {
	return o.withStore(func(s *local.Store) error { return s.RemoveTag(name) })
}

func (o *storeTagOptions) show(name string) error {
	return o.withStore(func(s *local.Store) error {
		id, err := s.TagOf(name)
		switch {
		case err != nil:
			return err
		case o.json:
			return o.printJSON(tagView{name, id})
		}
		return o.printf("%s\n", id)
	})
}

// tagView is a tag as JSON.
type tagView struct {
	Name string   `json:"name"`
	CID  cid.Hash `json:"cid"`
}

func (o *storeTagOptions) tags() error {
	return o.withStore(func(s *local.Store) error {
		tags, err := s.Tags()
		if err != nil {
			return err
		}
		t, views := term.NewTable("TAG", "CID"), []tagView{}
		for _, x := range tags {
			t.Row(x.Name, x.CID.String())
			views = append(views, tagView(x))
		}
		switch {
		case o.json:
			return o.printJSON(struct {
				Schema string    `json:"schema"`
				Tags   []tagView `json:"tags"`
			}{"mythos.store.tags/1", views})
		case len(tags) == 0:
			o.note("there are no tags")
			return nil
		}
		return o.printTable(t)
	})
}
