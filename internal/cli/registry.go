package cli

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/internal/config"
)

func newRegistry(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use: "registry", Short: "Run a registry of packages", GroupID: groupPackages,
		Long: `Run a registry of packages (RFC-MYTHOS-0011 §4), and say who may write to it.`,
		Example: "  mythos registry serve --open\n  mythos registry token new --name ci --right write --right publish:demo/\n" +
			"  mythos registry serve --listen :8443 --tls-cert cert.pem --tls-key key.pem",
	}, newRegistryServe(a), newRegistryToken(a))
}

// tokensPath is the file of tokens where none is named.
func (a *app) tokensPath(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	paths, err := config.Find(a.Getenv)
	return filepath.Join(paths.Config, "registry-tokens.json"), err
}
