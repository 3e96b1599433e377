package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// guides are the chapters of the user guide that are scripts as well: each line
// "$ mythos ..." stands, in this order, in the script of that name.
var guides = map[string]string{"capabilities.md": "caps_guide.txtar", "rings.md": "rings_guide.txtar"}

// TestGuideIsAStory holds a chapter of the guide against its script: what a reader is
// told to type is what TestStories runs.
func TestGuideIsAStory(t *testing.T) {
	for chapter, script := range guides {
		guide, err := os.ReadFile(filepath.Join("../../spec/guide", chapter))
		if err != nil {
			t.Fatal(err)
		}
		story, err := os.ReadFile(filepath.Join("testdata/script", script))
		if err != nil {
			t.Fatal(err)
		}
		var typed, run []string
		for line := range strings.Lines(string(guide)) {
			if cmd, ok := strings.CutPrefix(strings.TrimSpace(line), "$ mythos "); ok {
				cmd, _, _ = strings.Cut(cmd, " > ") // scripts copy standard output themselves
				typed = append(typed, cmd)
			}
		}
		for line := range strings.Lines(string(story)) {
			line = strings.ReplaceAll(strings.TrimSpace(line), "$ROOT/", "")
			if _, cmd, ok := strings.Cut(line, "mythos "); ok && (strings.HasPrefix(line, "exec ") || strings.HasPrefix(line, "exits ")) {
				run = append(run, cmd)
			}
		}
		if len(typed) == 0 {
			t.Errorf("%s shows no command", chapter)
		}
		for _, cmd := range typed {
			at := 0
			for at < len(run) && run[at] != cmd {
				at++
			}
			if at == len(run) {
				t.Errorf("%s says, and %s does not run next: mythos %s", chapter, script, cmd)
				continue
			}
			run = run[at+1:]
		}
	}
}
