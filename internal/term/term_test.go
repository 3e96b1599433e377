package term

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestNotATerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, stream := range map[string]interface{ Write([]byte) (int, error) }{"buffer": &bytes.Buffer{}, "file": f, "pipe": w} {
		if IsTerminal(stream) || Colour(stream, env("TERM", "xterm")) || Width(stream) != DefaultWidth {
			t.Errorf("a %s was taken for a terminal", name)
		}
	}
	if IsTerminal(nil) {
		t.Error("nil was taken for a terminal")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"plain text, 100%":           "plain text, 100%",
		`C:\path`:                    `C:\path`,
		"Grüße, 世界 ✓":                "Grüße, 世界 ✓",
		"\x1b[31mred\x1b[0m":         `\x1b[31mred\x1b[0m`,
		"a\nb\tc\r\x00\x7f":          `a\nb\tc\r\x00\x7f`,
		"\u009b31m":                  `\u009b31m`,
		"abc\u202etxt.exe":           `abc\u202etxt.exe`,
		"zero\u200bwidth\ufeff":      `zero\u200bwidth\ufeff`,
		"no\u00a0break\u2028":        `no\u00a0break\u2028`,
		"bad\xff\xc3utf8":            `bad\xff\xc3utf8`,
		"real \ufffd":                "real \ufffd",
		"tag \U000e0041, \U0010ffff": `tag \U000e0041, \U0010ffff`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCleanIsPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		got := Clean(in)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("Clean(%q) = %q holds %U", in, got, r)
			}
		}
		if again := Clean(got); again != got {
			t.Fatalf("Clean(%q) changed to %q", got, again)
		}
	})
}

func TestTable(t *testing.T) {
	tab := NewTable("NAME", "SIZE", "NOTE").Right(1)
	tab.Row("echo", "7", "")
	tab.Row("世界", "1024", "two\ncolumns")
	tab.Row("e\u0301", "12345678", " padded ")
	tab.Row("short")
	tab.Row("long", "1", "x", "extra")
	var b bytes.Buffer
	if err := tab.Write(&b, false); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"NAME       SIZE  NOTE",
		"echo          7  -",
		"世界       1024  two\\ncolumns",
		"e\u0301      12345678  padded",
		"short",
		"long          1  x             extra",
		"",
	}, "\n")
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if tab.Len() != 5 {
		t.Errorf("Len is %d, want 5", tab.Len())
	}
	b.Reset()
	if err := tab.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	bold, rest, _ := strings.Cut(b.String(), "\n")
	if bold != "\x1b[1mNAME       SIZE  NOTE\x1b[0m" || strings.Contains(rest, "\x1b") {
		t.Errorf("bold: %q, rest %q", bold, rest)
	}
}

func TestTableProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := NewTable(rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "header")...).Right(1)
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.String(), 1, 4), 0, 5).Draw(t, "rows")
		for _, row := range rows {
			tab.Row(row...)
		}
		var b bytes.Buffer
		if err := tab.Write(&b, false); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		extra := 1 // what follows the last newline
		if len(tab.header) > 0 {
			extra++
		}
		if len(lines) != len(rows)+extra {
			t.Fatalf("%d lines for %d rows: %q", len(lines), len(rows), lines)
		}
		for _, line := range lines {
			if strings.TrimRight(line, " ") != line {
				t.Fatalf("trailing spaces: %q", line)
			}
		}
	})
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

func TestTableWriteError(t *testing.T) {
	broken := errors.New("broken pipe")
	if err := NewTable("A").Write(failing{broken}, false); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestProgressInAPipeIsSilent(t *testing.T) {
	var b, out bytes.Buffer
	p := NewProgress(&b, env("TERM", "xterm"))
	p.Update("%d %%", 50)
	if err := p.Print(&out, "result"); err != nil {
		t.Fatal(err)
	}
	p.Done()
	if b.Len() != 0 || out.String() != "result\n" {
		t.Errorf("wrote %q and %q", b.String(), out.String())
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := newProgress(&b, 10, func() time.Time { return now })
	p.Done() // nothing was drawn
	p.Update("one")
	now = now.Add(refresh - 1)
	p.Update("too soon")
	now = now.Add(1)
	p.Update("much\x1b longer than the line")
	if err := p.Print(&b, "above"); err != nil {
		t.Fatal(err)
	}
	p.Update("世界世界世界")
	p.Done()
	p.Done()
	want := "\r\x1b[Kone" + "\r\x1b[Kmuch\\x1b " + "\r\x1b[K" + "above\n" + "\r\x1b[K世界世界" + "\r\x1b[K"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
