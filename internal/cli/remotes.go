package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/transfer"
)

const insecureUsage = "allow connections without TLS to other machines"

// remotesHelp lists the kinds of remotes, for the help of commands.
const remotesHelp = `A remote is https://HOST (a MYTHOS registry), oci://HOST/REPOSITORY (an OCI registry),
s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX, or folder:///PATH or any path with a
slash in it (a folder). Credentials come from "mythos login" or, for s3 and azblob, from
the usual AWS_ and AZURE_STORAGE_ variables; a URL with a password in it is refused.
Plain http is for this machine's own addresses.`

// remoteOptions reads the environment for credentials.
func (a *app) remoteOptions(insecure bool) node.RemoteOptions {
	return node.RemoteOptions{Insecure: insecure, Getenv: a.Getenv}
}

// transferring shows a copy on a terminal, and keeps what went wrong with remotes
// although another one helped.
type transferring struct {
	*app
	verb     string // what the copy does to bytes, such as "pulled"
	progress *term.Progress
	begun    time.Time
	trouble  []*trouble
}

// trouble is what went wrong with one remote.
type trouble struct {
	remote string
	count  int
	first  error
}

func (a *app) newTransferring(verb string) *transferring {
	return &transferring{app: a, verb: verb, progress: term.NewProgress(a.Err, a.Getenv)}
}

func (t *transferring) options() transfer.Options {
	return transfer.Options{OnProgress: t.update, OnFailure: t.failed}
}

func (t *transferring) done() { t.progress.Done() }

func (t *transferring) update(p transfer.Progress) {
	if t.begun.IsZero() {
		t.begun = t.Clock()
	}
	t.progress.Update("%s", t.line(p, t.Clock().Sub(t.begun)))
}

// line is "pulled 12.0 MiB of 256.0 MiB, 5.1 MiB/s, 48s left".
func (t *transferring) line(p transfer.Progress, took time.Duration) string {
	text := fmt.Sprintf("%s %s of %s", t.verb, byteSize(p.Bytes+p.Skipped), byteSize(p.Total))
	if took < time.Second || p.Bytes == 0 {
		return text
	}
	rate := float64(p.Bytes) / took.Seconds()
	left := time.Duration(float64(p.Total-p.Bytes-p.Skipped) / rate * float64(time.Second))
	return fmt.Sprintf("%s, %s/s, %v left", text, byteSize(int64(rate)), left.Round(time.Second))
}

// failed is told of a remote that failed or lied; of one that lied, that stands.
func (t *transferring) failed(name string, err error) {
	i := slices.IndexFunc(t.trouble, func(x *trouble) bool { return x.remote == name })
	if i < 0 {
		i = len(t.trouble)
		t.trouble = append(t.trouble, &trouble{remote: name, first: err})
	}
	x := t.trouble[i]
	x.count++
	if errors.Is(err, remote.ErrLies) && !errors.Is(x.first, remote.ErrLies) {
		x.first = err
	}
}

// tell says which remotes failed or lied, once a copy went well without them.
func (t *transferring) tell() {
	for _, x := range t.trouble {
		what := "failed"
		if errors.Is(x.first, remote.ErrLies) {
			what = "lied"
		}
		times := ""
		if x.count > 1 {
			times = fmt.Sprintf(" %d times", x.count)
		}
		t.note("remote %s %s%s; nothing that it sent wrong was kept: %v", x.remote, what, times, x.first)
	}
}

// troubleView is one remote that failed or lied in JSON.
type troubleView struct {
	Remote  string `json:"remote"`
	Lied    bool   `json:"lied"`
	Count   int    `json:"count"`
	Message string `json:"message"` // of the first failure
}

func (t *transferring) troubles() []troubleView {
	list := []troubleView{}
	for _, x := range t.trouble {
		list = append(list, troubleView{x.remote, errors.Is(x.first, remote.ErrLies), x.count, x.first.Error()})
	}
	return list
}
