package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
)

// stdinProof reads the proof of --cap - into a file of its own, since a node opens
// proofs by name; remove takes it away again. It does nothing without such a proof.
func (o *runOptions) stdinProof() (remove func() error, err error) {
	remove = func() error { return nil }
	i := slices.Index(o.Proofs, "-")
	if i < 0 {
		return remove, nil
	}
	if slices.Contains(o.Proofs[i+1:], "-") {
		return remove, usagef("--cap - is given twice, and standard input holds one proof")
	}
	p, err := o.readProof("-")
	if err != nil {
		return remove, err
	}
	dir, err := os.MkdirTemp("", "mythos-run-*")
	if err != nil {
		return remove, fileError("temporary folder", err)
	}
	remove = func() error { return fileError(dir, os.RemoveAll(dir)) }
	o.piped = filepath.Join(dir, "stdin.cap")
	o.Proofs[i] = o.piped
	return remove, fileError(o.piped, os.WriteFile(o.piped, p.Raw(), 0o600))
}

// aboutProofs makes what a run's proofs are refused for readable: standard input by
// its name, and what to type where --key is the one that a proof was issued to.
func (o *runOptions) aboutProofs(err error) error {
	if !errors.Is(err, node.ErrNotHolder) {
		return err
	}
	var e *fault.Error
	if errors.As(err, &e) && o.piped != "" && e.Subject == o.piped {
		named := *e
		named.Subject = inputName("-")
		err = &named
	}
	if hint := o.holderHint(); hint != "" {
		return &hinted{err, hint}
	}
	return err
}

// holderHint says what the holder of --key can do with the first proof whose leaf was
// issued to that key, "" if there is none. A key from a descriptor was read already.
func (o *runOptions) holderHint() string {
	if o.Key == "" || strings.HasPrefix(o.Key, "fd:") {
		return ""
	}
	key, _, err := node.LoadKey(o.Key)
	if err != nil {
		return ""
	}
	for _, file := range o.Proofs {
		p, err := node.LoadProof(file)
		if err != nil || p.Holder().Equal(key.Agent()) || !p.Leaf().Subject.Equal(key.Agent()) {
			continue
		}
		if file == o.piped {
			file = "-"
		}
		return attenuateHint(p.Leaf(), file, o.Key)
	}
	return ""
}

func attenuateHint(leaf caps.Capability, file, key string) string {
	if !leaf.Delegable {
		return fmt.Sprintf("--key is who %s was issued to, and it is not delegable: its issuer, %s, starts the run with it, or issues one that is delegable.", file, leaf.Issuer.KeyID())
	}
	return fmt.Sprintf("--key is who %s was issued to. Pass it on to the executor and give the new proof to --cap: mythos caps attenuate %s --key %s --to executor -o call.cap", file, file, key)
}
