package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// program is what is built, and what is run of it.
const program = "./runtime/cmd/mythos"

// Limits on one mutant.
const (
	buildLimit = 10 * time.Minute
	waitLimit  = 5 * time.Second // for what a program that was killed has started
	maxWait    = time.Hour       // for a run, on a machine that is busy with other things
	maxData    = 6 << 30         // bytes of memory of a run
)

// outcome is what became of a mutant.
type outcome struct {
	mutant
	verdict string // refused, same, survived or caught
	by      string // what caught it
}

// The verdicts.
const (
	refused  = "refused"  // it does not compile
	same     = "same"     // it compiles to the same program
	survived = "survived" // every vector passes
	caught   = "caught"
)

// lab builds and runs mutants of the project under root.
type lab struct {
	root  string
	work  string        // a folder of its own
	limit time.Duration // of one run, in time of a processor; whole seconds
	plain [32]byte      // digest of the program without a mutation
}

// prepare builds the program as it is and demands that every vector passes:
// otherwise everything would count as caught.
func (l *lab) prepare(ctx context.Context) error {
	dir := filepath.Join(l.work, "plain")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	bin, message, err := l.build(ctx, dir, nil)
	if err != nil {
		return err
	}
	if bin == "" {
		return fmt.Errorf("the program does not build:\n%s", message)
	}
	if l.plain, err = digest(bin); err != nil {
		return err
	}
	by, err := l.run(ctx, dir, bin, nil)
	if err == nil && by != "" {
		err = fmt.Errorf("the program fails without a mutation: %s", by)
	}
	return err
}

// try builds and runs one mutant in a folder of its own.
func (l *lab) try(ctx context.Context, m mutant) (outcome, error) {
	o := outcome{mutant: m}
	dir, err := os.MkdirTemp(l.work, "mutant")
	if err != nil {
		return o, err
	}
	defer os.RemoveAll(dir)
	original := filepath.Join(l.root, filepath.FromSlash(m.File))
	src, err := os.ReadFile(original)
	if err != nil {
		return o, err
	}
	changed := filepath.Join(dir, filepath.Base(original))
	if err := os.WriteFile(changed, m.apply(src), 0o644); err != nil {
		return o, err
	}
	bin, message, err := l.build(ctx, dir, map[string]string{original: changed})
	switch {
	case err != nil:
		return o, err
	case bin == "":
		if !strings.Contains(message, filepath.Base(original)+":") {
			return o, fmt.Errorf("%s: the build failed and blames another file:\n%s", m.ID(), message)
		}
		o.verdict = refused
		return o, nil
	}
	sum, err := digest(bin)
	if err != nil {
		return o, err
	}
	if sum == l.plain {
		o.verdict = same
		return o, nil
	}
	o.by, err = l.run(ctx, dir, bin, nearest(m.File))
	if err == nil && o.by == "" {
		o.by, err = l.run(ctx, dir, bin, nil)
	}
	if o.verdict = caught; o.by == "" {
		o.verdict = survived
	}
	return o, err
}

// build builds the program with some files replaced and returns where it is, or
// "" and what the compiler says. Nothing of the build is in the program, and
// neither is the README that the pack embeds, so that equal programs are equal
// files.
func (l *lab) build(ctx context.Context, dir string, replace map[string]string) (bin, message string, err error) {
	readme := filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte("# \n"), 0o644); err != nil {
		return "", "", err
	}
	all := map[string]string{filepath.Join(l.root, "ctvp", "README.md"): readme}
	maps.Copy(all, replace)
	overlay, err := json.Marshal(map[string]any{"Replace": all})
	if err != nil {
		return "", "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	bin = filepath.Join(dir, "mythos")
	cmd := exec.CommandContext(ctx, "go", "build", "-p", "1", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid=", "-overlay", list, "-o", bin, program)
	cmd.Dir = l.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.WaitDelay = waitLimit
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", "", fmt.Errorf("go build: %w", ctx.Err())
	case errors.As(err, &failed):
		return "", string(out), nil
	case err != nil:
		return "", "", err
	}
	return bin, "", nil
}

// run runs the vectors of some suites (none: of all) and returns what failed, or
// "" if all passed. An error means that the program ended in a way that says
// nothing about the mutant.
func (l *lab) run(ctx context.Context, dir, bin string, suites []string) (string, error) {
	args := []string{"ctvp", "verify", "--report", "json"}
	for _, s := range suites {
		args = append(args, "--suite", s)
	}
	limited, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	cmd := exec.CommandContext(limited, "sh", append([]string{"-c", l.limits(), bin}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "MYTHOS_HOME="+filepath.Join(dir, "home"))
	cmd.WaitDelay = waitLimit
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case limited.Err() != nil:
		return "", fmt.Errorf("%s: %w", bin, limited.Err())
	case err == nil:
		return "", passed(stdout.Bytes())
	case !errors.As(err, &exit):
		return "", err
	case !exit.Exited() && exit.UserTime()+exit.SystemTime() > l.limit/2: // the kernel counts otherwise than it reports
		return fmt.Sprintf("timeout: it used a processor for %s", l.limit), nil
	}
	return failure(exit.ExitCode(), stdout.Bytes(), stderr.String())
}

// limits is the shell text that runs a program with bounds on the time that it
// may use a processor, which other work on the machine does not shorten, and on
// its memory: a mutant that loops may allocate without end.
func (l *lab) limits() string {
	return fmt.Sprintf("ulimit -t %d && ulimit -d %d && exec \"$0\" \"$@\"", int(l.limit.Seconds()), maxData>>10)
}

// report is the part of "mythos ctvp verify --report json" that is read here.
type report struct {
	Results []struct{ ID, Outcome string }
}

// first returns the first vector that did not pass, or "", and how many there
// are.
func (r report) first() (id string, all int) {
	for _, x := range r.Results {
		if x.Outcome != "passed" {
			return x.ID, len(r.Results)
		}
	}
	return "", len(r.Results)
}

// passed checks that a program that says that all is well has run vectors.
func passed(stdout []byte) error {
	var r report
	if err := json.Unmarshal(stdout, &r); err != nil {
		return fmt.Errorf("exit status 0 without a report: %w", err)
	}
	if id, all := r.first(); id != "" || all == 0 {
		return fmt.Errorf("exit status 0 with %d vectors and the failure %q", all, id)
	}
	return nil
}

var crash = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: |unexpected fault address)`)

// failure says what ended a program that did not end with 0.
func failure(code int, stdout []byte, stderr string) (string, error) {
	const failed = 3 // the exit status of "ctvp verify"
	var r report
	err := json.Unmarshal(stdout, &r)
	id, _ := r.first()
	switch {
	case code == failed && err == nil && id != "":
		return id, nil
	case code == failed && len(stdout) == 0:
		return "the pack's own check", nil
	case crash.MatchString(stderr):
		return "crash", nil
	}
	return "", fmt.Errorf("exit status %d: %s", code, head(stderr))
}

// digest is the SHA-256 of a file.
func digest(file string) ([32]byte, error) {
	b, err := os.ReadFile(file)
	return sha256.Sum256(b), err
}
