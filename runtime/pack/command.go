package pack

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// maxBuildOutput is how much of a failed command's output an error shows.
const maxBuildOutput = 8 << 10

// passedOn lists the variables of the caller's environment that a build command
// sees: where programs, homes and caches are, and how to reach the network.
// Nothing else, so that neither a locale nor a stray flag changes what is built,
// and no secret of the caller's reaches a build.
func passedOn() []string {
	return []string{
		"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
		"SYSTEMROOT", "COMSPEC", "PATHEXT", "USERPROFILE", "LOCALAPPDATA", "APPDATA",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOSUMDB", "GONOPROXY", "GOTOOLCHAIN", "GOENV", "GOTMPDIR",
		"CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "NPM_CONFIG_CACHE", "npm_config_cache", "PIP_CACHE_DIR", "WASI_SDK_PATH",
	}
}

// buildEnv is the environment of a build command: what is passed on, fixed
// values that keep builds alike, and what the source adds, the last one winning.
func buildEnv(lookup func(string) (string, bool), added []string) []string {
	var env []string
	for _, name := range passedOn() {
		if v, ok := lookup(name); ok {
			env = append(env, name+"="+v)
		}
	}
	// 1980-01-01 is the earliest time that every archiver can write.
	env = append(env, "LC_ALL=C.UTF-8", "LANG=C.UTF-8", "TZ=UTC", "SOURCE_DATE_EPOCH=315532800")
	return append(env, added...)
}

// runBuilds runs each module's build command, and one that stands twice only
// once.
func runBuilds(ctx context.Context, opt BuildOptions, r *recipe) error {
	var done []*buildRecipe
	for i := range r.modules {
		b := r.modules[i].build
		if b == nil || slices.ContainsFunc(done, b.equal) {
			continue
		}
		if err := b.run(ctx, opt); err != nil {
			return err
		}
		done = append(done, b)
	}
	return nil
}

func (b *buildRecipe) equal(o *buildRecipe) bool {
	return slices.Equal(b.command, o.command) && slices.Equal(b.env, o.env)
}

// run runs a build command in the source folder.
func (b *buildRecipe) run(ctx context.Context, opt BuildOptions) error {
	cmd := exec.CommandContext(ctx, b.command[0], b.command[1:]...)
	cmd.Dir = opt.Dir
	cmd.Env = buildEnv(os.LookupEnv, b.env)
	cmd.WaitDelay = 5 * time.Second // for what the command leaves running
	out := &lastBytes{limit: maxBuildOutput}
	var w io.Writer = out
	if opt.Log != nil {
		w = io.MultiWriter(out, opt.Log)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	subject := "build " + strings.Join(b.command, " ")
	if errors.Is(err, exec.ErrNotFound) {
		return fault.New(ErrModuleBuild, "%s is not installed", b.command[0]).About(subject)
	}
	return fault.New(ErrModuleBuild, "%w\n%s", err, out.text()).About(subject)
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct {
	limit int
	b     []byte
	cut   bool
}

// Write never fails.
func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if over := len(l.b) - l.limit; over > 0 {
		l.b = append(l.b[:0], l.b[over:]...)
		l.cut = true
	}
	return len(p), nil
}

// text renders what was kept without anything that drives a terminal.
func (l *lastBytes) text() string {
	s := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(l.b), "?"))
	if l.cut {
		s = "... " + s
	}
	return strings.TrimRight(s, "\n")
}
