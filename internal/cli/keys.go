package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// secretKeyHead begins every secret key file (RFC-MYTHOS-0001 §4.3).
const secretKeyHead = "MYTHOS SECRET KEY"

// ErrKeyNotFound is the code of a key that is named and not there.
const ErrKeyNotFound fault.Code = "key_not_found"

func newKeys(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "keys", Short: "Make, list and export keys", GroupID: groupTrust,
		Long: `Make, list and export keys. A key file holds one Ed25519 key and its role; secret
ones have mode 0600. No command prints a secret. The dev and executor keys of this
machine are made when they are first needed.`,
		Example: "  mythos keys generate --role publisher -o release.key\n  mythos keys export --public release.key > release.pub",
	}, newKeysGenerate(a), newKeysList(a), newKeysShow(a), newKeysExport(a))
}

// keyView is a key in JSON; it never holds a secret.
type keyView struct {
	Schema string   `json:"schema"`
	File   string   `json:"file"`
	Role   sig.Role `json:"role"`
	KeyID  cid.Hash `json:"key_id"`
	Key    string   `json:"key"` // the public key in hex
	Hint   *string  `json:"hint"`
}

func newKeyView(file string, role sig.Role, a sig.AgentID) keyView {
	return keyView{"mythos.key/1", file, role, a.KeyID(), cid.Hash(a.Key).Hex(), orNull(a.Hint)}
}

func (a *app) printKey(v keyView, json bool) error {
	if json {
		return a.printJSON(v)
	}
	t := term.NewTable()
	t.Row("file", v.File)
	t.Row("role", string(v.Role))
	t.Row("key_id", v.KeyID.String())
	t.Row("key", v.Key)
	if v.Hint != nil {
		t.Row("hint", *v.Hint)
	}
	return a.printTable(t)
}

type keysGenerateOptions struct {
	*app
	role, out, hint string
	json            bool
}

func newKeysGenerate(a *app) *cobra.Command {
	o := &keysGenerateOptions{app: a}
	cmd := &cobra.Command{
		Use: "generate --role ROLE [-o FILE]", Short: "Make a key",
		Long: `Make a key and write it to FILE with mode 0600; an existing file is never replaced.
Without -o the key goes to the folder of this user's keys, named after its role.
ROLE is publisher, authority, executor, verifier, registry, operator, policy or dev.`,
		Example: "  mythos keys generate --role publisher -o release.key --hint 'release 2026'",
		Args:    args(cobra.NoArgs),
		RunE:    func(*cobra.Command, []string) error { return o.run() },
	}
	cmd.Flags().StringVar(&o.role, "role", "", "what the key is for (required)")
	cmd.Flags().StringVarP(&o.out, "output", "o", "", "file to write")
	cmd.Flags().StringVar(&o.hint, "hint", "", "a name for people, at most 128 bytes")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd)
}

func (o *keysGenerateOptions) run() error {
	if o.role == "" {
		return usagef("--role is required")
	}
	role, err := parseRole(o.role)
	if err != nil {
		return err
	}
	if err := sig.CheckHint(o.hint); err != nil {
		return usagef("--hint: %s", gate.FailureOf(err).Message)
	}
	return o.withNode(func(n *node.Node) error {
		out := o.out
		if out == "" {
			out = filepath.Join(n.KeyDir(), o.role+".key")
		}
		k, err := node.GenerateKey(out, role, o.hint)
		if err != nil {
			return err
		}
		return o.printKey(newKeyView(out, role, k.Agent()), o.json)
	})
}

// parseRole reads a role that the command line names.
func parseRole(text string) (sig.Role, error) {
	role, err := sig.ParseRole(text)
	if err != nil {
		return "", usagef("%s", gate.FailureOf(err).Message)
	}
	return role, nil
}

type keysListOptions struct {
	*app
	json bool
}

func newKeysList(a *app) *cobra.Command {
	o := &keysListOptions{app: a}
	cmd := &cobra.Command{
		Use: "list", Short: "List this user's keys", Args: args(cobra.NoArgs),
		Long:    "List the keys in the folder of this user's keys.",
		Example: "  mythos keys list",
		RunE:    func(*cobra.Command, []string) error { return o.run() },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd)
}

func (o *keysListOptions) run() error {
	return o.withNode(func(n *node.Node) error {
		files, err := n.Keys()
		if err != nil {
			return err
		}
		views := []keyView{}
		t := term.NewTable("ROLE", "KEY ID", "HINT", "FILE")
		for _, f := range files {
			if f.Err != nil {
				o.note("%v", f.Err)
				continue
			}
			v := newKeyView(f.Path, f.Role, f.Agent)
			views = append(views, v)
			t.Row(string(v.Role), v.KeyID.String(), f.Agent.Hint, v.File)
		}
		if o.json {
			return o.printJSON(struct {
				Schema string    `json:"schema"`
				Keys   []keyView `json:"keys"`
			}{"mythos.keys/1", views})
		}
		if t.Len() == 0 {
			o.note("no keys in %s; they are made when they are first needed", n.KeyDir())
			return nil
		}
		return o.printTable(t)
	})
}

type keysShowOptions struct {
	*app
	key  string
	json bool
}

func newKeysShow(a *app) *cobra.Command {
	o := &keysShowOptions{app: a}
	cmd := &cobra.Command{
		Use: "show KEY", Short: "Show a key's role and public half", Args: args(cobra.ExactArgs(1)),
		Long: `Show a key's role and public half. KEY is a secret or public key file, or the name
of a key in the folder of this user's keys, such as dev or executor.`,
		Example: "  mythos keys show executor\n  mythos keys show release.pub --json",
		RunE: func(_ *cobra.Command, list []string) error {
			o.key = list[0]
			return o.run()
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 4, 6)
}

func (o *keysShowOptions) run() error {
	return o.withNode(func(n *node.Node) error {
		path, agent, role, err := o.findKey(n, o.key)
		if err != nil {
			return err
		}
		return o.printKey(newKeyView(path, role, agent), o.json)
	})
}

// findKey reads the public half of the key that a command names: from a key file,
// from where node.LoadKey takes secrets, or, if there is no such file, from the
// key folder.
func (a *app) findKey(n *node.Node, name string) (path string, agent sig.AgentID, role sig.Role, err error) {
	if strings.HasPrefix(name, "env:") || strings.HasPrefix(name, "fd:") {
		k, role, err := node.LoadKey(name)
		return name, k.Agent(), role, err
	}
	path = name
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(n.KeyDir(), name+".key")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || filepath.Base(name) != name {
			return "", agent, "", fault.New(ErrKeyNotFound, "no such key file, and no key of this name in %s", n.KeyDir()).About(name)
		}
	}
	text, err := a.readInput(path, sig.MaxKeyFile)
	switch {
	case err != nil:
	case bytes.HasPrefix(text, []byte(secretKeyHead)):
		var k sig.Key
		k, role, err = node.LoadKey(path)
		agent = k.Agent()
	default:
		agent, role, err = node.LoadPublic(path)
	}
	return path, agent, role, err
}

type keysExportOptions struct {
	*app
	key    string
	public bool
}

func newKeysExport(a *app) *cobra.Command {
	o := &keysExportOptions{app: a}
	cmd := &cobra.Command{
		Use: "export --public KEY", Short: "Write a key's public half", Args: args(cobra.ExactArgs(1)),
		Long: `Write the public half of a key to standard output, as the file that "mythos trust
add" takes. KEY is a key file or a key's name, as for "mythos keys show". Only public
halves are ever exported, which is why --public must be written out.`,
		Example: "  mythos keys export --public release.key > release.pub\n  mythos keys export --public executor",
		RunE: func(_ *cobra.Command, list []string) error {
			o.key = list[0]
			return o.run()
		},
	}
	cmd.Flags().BoolVar(&o.public, "public", false, "export the public half (required)")
	return exits(cmd, 4, 6)
}

func (o *keysExportOptions) run() error {
	if !o.public {
		return usagef("--public is required: secrets are not exported")
	}
	return o.withNode(func(n *node.Node) error {
		_, agent, role, err := o.findKey(n, o.key)
		if err != nil {
			return err
		}
		return o.printText(sig.FormatPublic(agent, role))
	})
}
