//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// call makes a request of alternating field numbers and values, by its id.
func call(id byte, fields ...any) *tool.Call {
	var pairs []tool.Pair
	for i := 0; i < len(fields); i += 2 {
		var v tool.Value
		switch x := fields[i+1].(type) {
		case string:
			v = tool.Text(x)
		case int:
			v = tool.Uint(uint64(x))
		case bool:
			v = tool.Bool(x)
		case tool.Value:
			v = x
		}
		pairs = append(pairs, record.Pair(uint64(fields[i].(int)), v))
	}
	return &tool.Call{Payload: tool.Map(pairs...), IdemID: [32]byte{id}}
}

func put(id byte, key, value string) *tool.Call { return call(id, 1, "put", 2, key, 3, value) }

// say runs a call and describes its answer.
func say(folder string, c *tool.Call) string {
	v, err := answer(folder, c)
	return describe(v, err)
}

func describe(v tool.Value, err error) string {
	var f *tool.Failure
	if errors.As(err, &f) {
		return fmt.Sprintf("%d %s", f.Status, f.Code)
	}
	if err != nil {
		return "error: " + err.Error()
	}
	r, err := record.Read(v, 2)
	if err != nil {
		return err.Error()
	}
	if r[1].Kind() == tool.KindList {
		keys, err1 := r.Texts(1, maxList)
		more, err2 := r[2].Bool()
		return fmt.Sprintf("%q %v", keys, more) + errorText(errors.Join(err1, err2))
	}
	was, err := r[1].Bool()
	text := fmt.Sprint(was) + errorText(err)
	if r.Has(2) {
		s, err := r[2].Text()
		text += " " + s + errorText(err)
	}
	return text
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

func TestStore(t *testing.T) {
	folder := t.TempDir()
	for _, step := range []struct {
		call *tool.Call
		want string
	}{
		{call(1, 1, "get", 2, "a"), "false"},
		{put(2, "a", "one"), "false"},
		{call(3, 1, "get", 2, "a"), "true one"},
		{put(4, "a", "two"), "true"},
		{put(2, "a", "one"), "false"}, // tried again: answered as before, and not made again
		{call(5, 1, "get", 2, "a"), "true two"},
		{put(2, "a", "three"), "409 idempotency_conflict"},
		{call(6, 1, "put", 2, "a", 3, "x", 7, true), "409 key_exists"},
		{call(7, 1, "put", 2, "b/../\x00é", 3, "odd", 7, true), "false"},
		{call(8, 1, "put", 2, "null"), "false"},
		{call(9, 1, "get", 2, "null"), "true"},
		{call(10, 1, "list"), `["a" "b/../\x00é" "null"] false`},
		{call(10, 1, "list", 6, 2), `["a" "b/../\x00é"] true`},
		{call(10, 1, "list", 5, "a", 6, 2), `["b/../\x00é" "null"] false`},
		{call(10, 1, "list", 4, "nu"), `["null"] false`},
		{call(11, 1, "delete", 2, "a"), "true"},
		{call(12, 1, "delete", 2, "a"), "false"},
		{put(13, "a", "new"), "false"},
		{call(11, 1, "delete", 2, "a"), "true"}, // again: what came after stays
		{call(14, 1, "get", 2, "a"), "true new"},
	} {
		if got := say(folder, step.call); got != step.want {
			t.Errorf("%x: got %s, want %s", step.call.Payload.Raw(), got, step.want)
		}
	}
	tidy(t, folder)
}

// tidy expects no file that a change left behind.
func tidy(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{doneDir, keysDir, "lock"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	folder := t.TempDir()
	for name, c := range map[string]struct {
		folder string
		call   *tool.Call
		want   string
	}{
		"no op":             {folder, call(1), "400 bad_request"},
		"unknown op":        {folder, call(1, 1, "drop"), "400 request_invalid"},
		"no key":            {folder, call(1, 1, "get"), "400 bad_request"},
		"an empty key":      {folder, call(1, 1, "get", 2, ""), "400 request_invalid"},
		"a long key":        {folder, call(1, 1, "get", 2, strings.Repeat("k", maxKey+1)), "400 request_invalid"},
		"a field too many":  {folder, call(1, 1, "get", 2, "a", 3, "x"), "400 request_invalid"},
		"an unknown field":  {folder, call(1, 1, "get", 2, "a", 9, "x"), "400 field_unknown"},
		"no list":           {folder, call(1, 1, "list", 6, 0), "400 request_invalid"},
		"a list too long":   {folder, call(1, 1, "list", 6, maxList+1), "400 request_invalid"},
		"a folder too many": {folder, call(1, 1, "list", 8, folder), "400 request_invalid"},
		"no folder":         {"", call(1, 1, "list"), "400 bad_request"},
		"a relative folder": {"", call(1, 1, "list", 8, "x"), "400 request_invalid"},
		"an unclean folder": {"", call(1, 1, "list", 8, folder+"/../x"), "400 request_invalid"},
		"another folder":    {"", call(1, 1, "list", 8, folder+"/none"), "503 store_unavailable"},
		"its own folder":    {"", call(1, 1, "list", 8, folder), "[] false"},
	} {
		if got := say(c.folder, c.call); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestNothingLeavesTheFolder(t *testing.T) {
	outside, folder := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(folder, keysDir)); err != nil {
		t.Fatal(err)
	}
	if got := say(folder, put(1, "a", "x")); !strings.HasPrefix(got, "error: ") {
		t.Errorf("a link led out of the folder: %s", got)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("%v %v", entries, err)
	}
}

func TestDamage(t *testing.T) {
	folder := t.TempDir()
	if got := say(folder, put(1, "a", "x")); got != "false" {
		t.Fatal(got)
	}
	for _, dir := range []string{keysDir, doneDir} {
		entries, err := os.ReadDir(filepath.Join(folder, dir))
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v %v", entries, err)
		}
		if err := os.WriteFile(filepath.Join(folder, dir, entries[0].Name()), []byte{6, 9}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []*tool.Call{call(2, 1, "get", 2, "a"), put(1, "a", "x")} {
		if got := say(folder, c); !strings.Contains(got, "damaged") {
			t.Errorf("got %s", got)
		}
	}
}

// errCrash ends a change in the middle.
var errCrash = errors.New("crash")

// crashAt makes a change that stops before its n-th durable step, and reports
// whether it had as many.
func crashAt(folder string, c *tool.Call, n int) (stopped bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != errCrash {
				panic(p)
			}
			stopped = true
		}
	}()
	count := 0
	s, err := openWith(folder, func(string) {
		if count++; count == n {
			panic(errCrash)
		}
	})
	if err != nil {
		return false
	}
	defer s.close() // as the end of a process would
	q, err := readRequest(folder, c.Payload)
	if err == nil {
		_, err = s.change(q, c)
	}
	return err != nil
}

// A change that is stopped at any durable step has happened whole or not at all;
// tried again it is answered as if nothing had stopped it, and what others did
// in between stays.
func TestCrashes(t *testing.T) {
	for _, c := range []struct {
		call  *tool.Call
		after string // what get says when it was made
	}{
		{put(9, "a", "new"), "true new"},
		{call(9, 1, "delete", 2, "a"), "false"},
	} {
		steps := 0
		for n := 1; ; n++ {
			folder := t.TempDir()
			if got := say(folder, put(1, "a", "old")); got != "false" {
				t.Fatal(got)
			}
			if !crashAt(folder, c.call, n) {
				break
			}
			steps++
			got, want := say(folder, call(2, 1, "get", 2, "a")), c.after
			if got != "true old" && got != c.after {
				t.Fatalf("step %d: %s", n, got)
			}
			if got == c.after {
				say(folder, put(3, "a", "later"))
				want = "true later"
			}
			if got := say(folder, c.call); got != "true" {
				t.Errorf("step %d: again: got %s, want true", n, got)
			}
			if got := say(folder, call(4, 1, "get", 2, "a")); got != want {
				t.Errorf("step %d: at the end: got %s, want %s", n, got, want)
			}
			tidy(t, folder)
		}
		if steps < 4 {
			t.Errorf("%d steps were stopped at", steps)
		}
	}
}

// Many at once: every put is seen, and of one idempotency id one alone.
func TestConcurrent(t *testing.T) {
	folder := t.TempDir()
	var wg sync.WaitGroup
	answers := make([]string, 40)
	for i := range answers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			n := byte(i / 2)
			answers[i] = say(folder, call(n, 1, "put", 2, fmt.Sprintf("%02d", n), 3, "x", 7, true))
		}()
	}
	wg.Wait()
	for i, a := range answers {
		if a != "false" {
			t.Errorf("put %d: %s", i, a)
		}
	}
	v, err := answer(folder, call(99, 1, "list"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Read(v, 2)
	if err != nil || r[1].Len() != 20 {
		t.Errorf("%d keys, %v", r[1].Len(), err)
	}
	tidy(t, folder)
}
