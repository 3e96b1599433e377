package config

import (
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrSetting is the code of an environment variable with a value that means
// nothing.
const ErrSetting fault.Code = "setting_invalid"

// Settings is what a user sets for a node beside its folders.
type Settings struct {
	// Sandbox, from MYTHOS_SANDBOX, is "required" (also if unset), "best-effort" or
	// "none": what happens to modules that need a sandbox which this machine does
	// not give.
	Sandbox string
	// Interpreters maps "node" and "python3" to the executables that MYTHOS_NODE and
	// MYTHOS_PYTHON3 name; a runtime without an entry is looked for in the usual
	// places.
	Interpreters map[string]string
	// Containers, from MYTHOS_OCI_RUNTIME, is the absolute path of the OCI runtime;
	// "": runsc, crun or runc, whichever is found first.
	Containers string
	// Ledger, from MYTHOS_LEDGER, is the address of the database that holds the
	// ledger, postgres://user@host:port/database; "": the node's own.
	Ledger string
	// LedgerPasswordFile, from MYTHOS_LEDGER_PASSWORD_FILE, is the absolute path of the
	// file with that database's password; "": what libpq uses.
	LedgerPasswordFile string
	// Remotes, from MYTHOS_REMOTES, are the URLs, separated by commas, of where packages
	// are pulled from, in this order, unless a command names others (RFC-MYTHOS-0011 §2).
	Remotes []string
}

// FindSettings reads the environment through getenv.
func FindSettings(getenv func(string) string) (Settings, error) {
	s := Settings{Sandbox: getenv("MYTHOS_SANDBOX"), Interpreters: map[string]string{}}
	switch s.Sandbox {
	case "":
		s.Sandbox = "required"
	case "required", "best-effort", "none":
	default:
		return s, fault.New(ErrSetting, "%q is not required, best-effort or none", s.Sandbox).About("MYTHOS_SANDBOX")
	}
	for name, key := range map[string]string{"node": "MYTHOS_NODE", "python3": "MYTHOS_PYTHON3"} {
		path, err := absolute(getenv, key)
		if err != nil {
			return s, err
		}
		if path != "" {
			s.Interpreters[name] = path
		}
	}
	var err error
	if s.Containers, err = absolute(getenv, "MYTHOS_OCI_RUNTIME"); err != nil {
		return s, err
	}
	for _, url := range strings.Split(getenv("MYTHOS_REMOTES"), ",") {
		if url = strings.TrimSpace(url); url != "" {
			s.Remotes = append(s.Remotes, url)
		}
	}
	s.Ledger = getenv("MYTHOS_LEDGER")
	s.LedgerPasswordFile, err = absolute(getenv, "MYTHOS_LEDGER_PASSWORD_FILE")
	return s, err
}

// absolute reads a variable that names a file.
func absolute(getenv func(string) string, key string) (string, error) {
	path := getenv(key)
	if path != "" && !filepath.IsAbs(path) {
		return "", fault.New(ErrSetting, "%q is no absolute path", path).About(key)
	}
	return path, nil
}
