// Package config finds where a user's MYTHOS files live. MYTHOS_HOME, if set,
// holds everything; otherwise the XDG base directories do, which on Unix are
// ~/.config, ~/.local/share and ~/.cache.
package config

import (
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrHome is the code of an environment that names no usable home.
const ErrHome fault.Code = "home_unknown"

// Paths are the folders of one user.
type Paths struct {
	Config string // keys, trust file, ring policies
	Data   string // object store and ledger
	Cache  string // what can be rebuilt
}

// Find reads the environment through getenv.
func Find(getenv func(string) string) (Paths, error) {
	if home := getenv("MYTHOS_HOME"); home != "" {
		abs, err := filepath.Abs(home)
		if err != nil {
			return Paths{}, fault.New(ErrHome, "MYTHOS_HOME: %w", err)
		}
		return Paths{Config: abs, Data: abs, Cache: filepath.Join(abs, "cache")}, nil
	}
	var p Paths
	for _, d := range []struct {
		to          *string
		env, inHome string
	}{
		{&p.Config, "XDG_CONFIG_HOME", ".config"},
		{&p.Data, "XDG_DATA_HOME", ".local/share"},
		{&p.Cache, "XDG_CACHE_HOME", ".cache"},
	} {
		base := getenv(d.env)
		if !filepath.IsAbs(base) { // the specification says to ignore relative ones
			home := getenv("HOME")
			if !filepath.IsAbs(home) {
				return Paths{}, fault.New(ErrHome, "neither MYTHOS_HOME nor %s nor HOME names an absolute folder", d.env)
			}
			base = filepath.Join(home, d.inHome)
		}
		*d.to = filepath.Join(base, "mythos")
	}
	return p, nil
}
