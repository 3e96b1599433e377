package cli

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func newRegistryToken(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "token", Short: "Say who may write to this machine's registry",
		Long: `Make, list and remove the tokens that a registry of this machine knows. It keeps
their SHA-256 in a file of mode 0600 and reads it again when it changes.`,
		Example: "  mythos registry token new --name ci --right write --right publish:demo/\n  mythos registry token list\n  mythos registry token remove ci",
	}, newTokenNew(a), newTokenList(a), newTokenRemove(a))
}

type tokenOptions struct {
	*app
	file   string
	name   string
	rights []string
	json   bool
}

func (o *tokenOptions) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.file, "tokens", "", "the `FILE` of tokens; without it registry-tokens.json among the settings")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
}

func newTokenNew(a *app) *cobra.Command {
	o := &tokenOptions{app: a}
	cmd := &cobra.Command{
		Use: "new", Short: "Make a token", Args: args(cobra.NoArgs),
		Long: `Make a token and print it. It is shown this once: the file holds its hash alone. Give
it to "mythos login" of whoever is to use it. Rights are read (which only a registry
with --private asks for), write (objects, attestations, OCI) and publish:PREFIX (the
names that begin with PREFIX; publish: is all names).`,
		Example: "  mythos registry token new --name ci --right write --right publish:demo/",
		RunE:    func(*cobra.Command, []string) error { return o.create() },
	}
	o.bind(cmd)
	cmd.Flags().StringVar(&o.name, "name", "", "what to call it")
	cmd.Flags().StringArrayVar(&o.rights, "right", nil, "a `RIGHT`: read, write or publish:PREFIX; may be repeated")
	return exits(cmd, 7)
}

func (o *tokenOptions) create() error {
	if o.name == "" || len(o.rights) == 0 {
		return usagef("a token needs --name and at least one --right")
	}
	path, err := o.tokensPath(o.file)
	if err != nil {
		return err
	}
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fileError(filepath.Dir(path), err)
	}
	text, err := registry.NewToken(path, o.name, o.rights)
	if err != nil {
		return err
	}
	if o.json {
		return o.printJSON(struct {
			Schema string   `json:"schema"`
			Name   string   `json:"name"`
			Token  string   `json:"token"`
			Rights []string `json:"rights"`
			File   string   `json:"file"`
		}{"mythos.registry.token/1", o.name, text, o.rights, path})
	}
	o.note("this token is shown once; its hash is in %s", path)
	return o.printf("%s\n", text)
}

func newTokenList(a *app) *cobra.Command {
	o := &tokenOptions{app: a}
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens", Args: args(cobra.NoArgs),
		Long: `List the tokens that a registry of this machine knows: their names, their rights and
the SHA-256 of each. The tokens themselves are kept nowhere.`,
		Example: "  mythos registry token list\n  mythos registry token list --json",
		RunE:    func(*cobra.Command, []string) error { return o.list() },
	}
	o.bind(cmd)
	return exits(cmd, 7)
}

// listedToken is a token in the JSON of a list.
type listedToken struct {
	Name   string   `json:"name"`
	SHA256 cid.Hash `json:"sha256"`
	Rights []string `json:"rights"`
}

func (o *tokenOptions) list() error {
	path, err := o.tokensPath(o.file)
	if err != nil {
		return err
	}
	tokens, err := registry.ReadTokens(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list := []listedToken{}
	t := term.NewTable("NAME", "RIGHTS", "SHA256")
	for _, x := range tokens {
		list = append(list, listedToken(x))
		t.Row(x.Name, strings.Join(x.Rights, " "), x.SHA256.Hex()[:12])
	}
	switch {
	case o.json:
		return o.printJSON(struct {
			Schema string        `json:"schema"`
			Tokens []listedToken `json:"tokens"`
		}{"mythos.registry.token.list/1", list})
	case len(list) == 0:
		o.note("%s has no token yet; \"mythos registry token new\" makes one", path)
		return nil
	}
	return o.printTable(t)
}

func newTokenRemove(a *app) *cobra.Command {
	o := &tokenOptions{app: a}
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a token", Args: args(cobra.ExactArgs(1)),
		Long:    `Remove a token: a registry that runs refuses it within two seconds, or at once on SIGHUP.`,
		Example: "  mythos registry token remove ci",
		RunE:    func(_ *cobra.Command, list []string) error { return o.remove(list[0]) },
	}
	o.bind(cmd)
	return exits(cmd, 6, 7)
}

func (o *tokenOptions) remove(name string) error {
	path, err := o.tokensPath(o.file)
	if err != nil {
		return err
	}
	if err := registry.RemoveToken(path, name); err != nil {
		return err
	}
	if o.json {
		return o.printJSON(struct {
			Schema string `json:"schema"`
			Name   string `json:"name"`
		}{"mythos.registry.token.removed/1", name})
	}
	return o.printf("removed %s\n", name)
}
