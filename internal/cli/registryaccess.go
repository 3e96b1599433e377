package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
)

// tokensAge is how often a registry looks whether its file of tokens changed.
const tokensAge = time.Second

// serveAccess reads who may do what, again and again.
type serveAccess struct {
	*serveOptions
	proofs *registry.Proofs
	path   string // of the tokens
	seen   fileState
}

// fileState tells one content of a file from the next, as far as the system says.
type fileState struct {
	there bool
	size  int64
	time  time.Time
	info  fs.FileInfo
}

func (s fileState) same(o fileState) bool {
	return s.there == o.there && s.size == o.size && s.time.Equal(o.time) && (!s.there || os.SameFile(s.info, o.info))
}

func fileStateOf(path string) fileState {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}
	}
	return fileState{true, info.Size(), info.ModTime(), info}
}

func (o *serveOptions) newAccess(n *node.Node, url string) (*serveAccess, error) {
	path, err := o.tokensPath(o.tokens)
	if err != nil {
		return nil, err
	}
	a := &serveAccess{serveOptions: o, path: path}
	if o.proofs {
		a.proofs = &registry.Proofs{
			Audiences: append([]string{url}, o.origins...),
			Use: func(name string, at time.Time) (caps.Use, error) {
				nobody := sig.AgentID{} // the registry names the subject
				return n.Use(node.Situation{Subject: &nobody, Package: name, At: at})
			},
		}
	}
	return a, nil
}

// read reads the tokens. A file that was named must be there.
func (a *serveAccess) read() (*registry.Access, error) {
	a.seen = fileStateOf(a.path)
	access := &registry.Access{Private: a.private, Open: a.open, Proofs: a.proofs}
	tokens, err := registry.ReadTokens(a.path)
	if errors.Is(err, fs.ErrNotExist) && a.tokens == "" {
		return access, nil
	}
	access.Tokens = tokens
	return access, err
}

// watch reads the tokens when the file changes, and on SIGHUP, until ctx ends. As
// long as they cannot be read, no token counts.
func (a *serveAccess) watch(ctx context.Context, set func(*registry.Access)) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(tokensAge)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case <-tick.C:
			if a.seen.same(fileStateOf(a.path)) {
				continue
			}
		}
		access, err := a.read()
		if err != nil {
			a.note("no token counts until this is right: %v", err)
			access.Tokens = nil
		}
		set(access)
	}
}
