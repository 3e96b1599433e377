package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/node"
)

type loginOptions struct {
	*app
	url       string
	tokenFile string
	username  string
	insecure  bool
	json      bool
}

func newLogin(a *app) *cobra.Command {
	o := &loginOptions{app: a}
	cmd := &cobra.Command{
		Use: "login URL", Short: "Keep the token or password of a registry", Args: args(cobra.ExactArgs(1)), GroupID: groupRemotes,
		Long: `Keep the token of a registry, https://HOST or oci://HOST, for later commands. It is read
from --token-file, or as one line from standard input, without echo on a terminal. With
--username it is a password, which OCI registries ask for. It goes to registries.json in
the config folder, which only you may read, and is sent to that host alone.

The registry is not asked whether it takes it. MYTHOS_REGISTRY_TOKEN does for one
command without a file.`,
		Example: "  mythos login https://registry.example --token-file token\n  mythos login oci://registry.example --username ada < password",
		RunE: func(cmd *cobra.Command, list []string) error {
			o.url = list[0]
			return o.login(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the token or password in one line; - is standard input")
	f.StringVar(&o.username, "username", "", "`NAME` that goes with a password, for OCI registries")
	f.BoolVar(&o.insecure, "insecure", false, insecureUsage)
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 7)
}

// loginView is what login --json and logout --json print.
type loginView struct {
	Schema   string `json:"schema"`
	Registry string `json:"registry"`
	Changed  bool   `json:"changed"` // logout: something was kept
}

func (o *loginOptions) login(ctx context.Context) error {
	return o.withNode(func(n *node.Node) error {
		if err := node.CheckRegistry(o.url); err != nil {
			return notARegistry(o.url, err) // before a password is asked for
		}
		if o.username != "" && !strings.HasPrefix(o.url, "oci://") {
			return usagef("--username is for oci://HOST; a MYTHOS registry is shown a token alone")
		}
		secret, err := o.secret()
		if err != nil {
			return err
		}
		c := node.Credential{Token: secret}
		if o.username != "" {
			c = node.Credential{Username: o.username, Password: secret}
		}
		name, err := n.Login(ctx, o.url, c, o.remoteOptions(o.insecure))
		switch {
		case errors.Is(err, node.ErrCredentials) && subjectOf(err) == o.url: // not of the file
			return &hinted{err, o.secretHint()}
		case err != nil:
			return err
		case o.json:
			return o.printJSON(loginView{"mythos.login/1", name, true})
		}
		o.note("%s is shown it from now on; it is kept in %s", name, n.CredentialsPath())
		return nil
	})
}

// notARegistry says what login takes for the URL of a registry.
func notARegistry(address string, err error) error {
	if strings.Contains(address, "://") {
		return err
	}
	return &hinted{err, "Write https://HOST or oci://HOST; a registry of this machine may be http://127.0.0.1:PORT."}
}

// secretHint says how a token or password is given.
func (o *loginOptions) secretHint() string {
	what := "token"
	if o.username != "" {
		what = "password"
	}
	return fmt.Sprintf("Give the %s as one line: with --token-file FILE, or on standard input, or type it at a terminal.", what)
}

// secret reads the token or password.
func (o *loginOptions) secret() (string, error) {
	in := o.In
	if o.tokenFile != "" && o.tokenFile != "-" {
		f, err := os.Open(o.tokenFile)
		if err != nil {
			return "", inputError(o.tokenFile, err)
		}
		defer f.Close()
		in = f
	}
	if term.IsTerminal(in) {
		what := "token: "
		if o.username != "" {
			what = "password: "
		}
		_, _ = io.WriteString(o.Err, what)
		text, err := term.ReadSecret(in)
		_, _ = io.WriteString(o.Err, "\n")
		if err == nil && text == "" {
			err = errors.New("one line of text is due")
		}
		if err != nil {
			return "", &hinted{inputError(o.tokenFile, err), o.secretHint()}
		}
		return text, nil
	}
	text, err := node.ReadSecret(in)
	if err != nil {
		return "", &hinted{inputError(o.tokenFile, err), o.secretHint()}
	}
	return text, nil
}

type logoutOptions struct {
	*app
	json bool
}

func newLogout(a *app) *cobra.Command {
	o := &logoutOptions{app: a}
	cmd := &cobra.Command{
		Use: "logout URL", Short: "Forget the token or password of a registry", Args: args(cobra.ExactArgs(1)), GroupID: groupRemotes,
		Long:    "Forget what \"mythos login\" kept for a registry. The registry itself still takes it, until its operator does not.",
		Example: "  mythos logout https://registry.example",
		RunE:    func(cmd *cobra.Command, list []string) error { return o.logout(cmd.Context(), list[0]) },
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	return exits(cmd, 3, 7)
}

func (o *logoutOptions) logout(ctx context.Context, url string) error {
	return o.withNode(func(n *node.Node) error {
		name, there, err := n.Logout(ctx, url)
		switch {
		case err != nil:
			return notARegistry(url, err)
		case o.json:
			return o.printJSON(loginView{"mythos.logout/1", name, there})
		case !there:
			o.note("nothing was kept for %s", name)
		}
		return nil
	})
}
