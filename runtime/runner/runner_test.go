package runner

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/abi"
)

func TestFrame(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, c := range map[string]struct {
		stream  string
		outcome Outcome
		body    string
	}{
		"nothing":            {"", NoResponse, ""},
		"empty body":         {"\x00", Answered, ""},
		"short":              {"\x05hello", Answered, "hello"},
		"long":               {"\xc8\x01" + long, Answered, long},
		"cut length":         {"\xc8", NoResponse, ""},
		"cut body":           {"\x05hell", NoResponse, ""},
		"trailing":           {"\x05hello\n", NoResponse, ""},
		"two frames":         {"\x05hello\x05hello", NoResponse, ""},
		"text":               {"{\"a\":1}", NoResponse, ""},
		"not minimal":        {"\x85\x00hello", NoResponse, ""},
		"at the limit":       {"\x80\x02" + strings.Repeat("x", 256), Answered, strings.Repeat("x", 256)},
		"over the limit":     {"\x81\x02" + strings.Repeat("x", 257), ResponseTooLarge, ""},
		"only announced":     {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ResponseTooLarge, ""},
		"length of 65 bits":  {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", NoResponse, ""},
		"length of 11 bytes": {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", NoResponse, ""},
	} {
		t.Run(name, func(t *testing.T) {
			whole, bytewise := NewFrame(256), NewFrame(256)
			_, _ = whole.Write([]byte(c.stream))
			for i := range len(c.stream) {
				_, _ = bytewise.Write([]byte{c.stream[i]})
			}
			for _, f := range []*Frame{whole, bytewise} {
				outcome, body, detail := f.Result()
				if outcome != c.outcome || string(body) != c.body || (detail == "") != (outcome == Answered) {
					t.Errorf("got %v %q (%s), want %v %q", outcome, body, detail, c.outcome, c.body)
				}
			}
		})
	}
}

// TestFrameRoundTrip: what abi.AppendFrame writes, a Frame reads, however it is cut.
func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		stream := abi.AppendFrame(nil, body)
		f := NewFrame(uint64(len(body)))
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "n")
			_, _ = f.Write(stream[:n])
			stream = stream[n:]
		}
		if outcome, got, detail := f.Result(); outcome != Answered || !bytes.Equal(got, body) {
			t.Fatalf("%v % x (%s)", outcome, got, detail)
		}
	})
}

func TestLog(t *testing.T) {
	for name, c := range map[string]struct {
		limit uint64
		write func(*Log)
		want  string
		cut   bool
	}{
		"nothing":         {0, func(*Log) {}, "", false},
		"a line":          {100, func(l *Log) { l.Add("INFO", []byte("hi")) }, "INFO hi\n", false},
		"ending newline":  {100, func(l *Log) { l.Add("INFO", []byte("hi\n")) }, "INFO hi\n", false},
		"empty":           {100, func(l *Log) { l.Add("INFO", nil) }, "INFO \n", false},
		"lines":           {100, func(l *Log) { l.Add("INFO", []byte("a\n\nb")) }, "INFO a\nINFO \nINFO b\n", false},
		"escapes":         {100, func(l *Log) { l.Add("INFO", []byte("\x1b[2J\r\t\u202e\u0085é\xff")) }, "INFO \\x1b[2J\\r\\t\\u202e\\u0085é\\xff\n", false},
		"exact":           {8, func(l *Log) { l.Add("INFO", []byte("hi")) }, "INFO hi\n", false},
		"cut":             {7, func(l *Log) { l.Add("INFO", []byte("hi")) }, "INFO h\n", true},
		"cut escape":      {9, func(l *Log) { l.Add("INFO", []byte("\xff")) }, "INFO \n", true},
		"no room":         {5, func(l *Log) { l.Add("INFO", []byte("hi")) }, "", true},
		"nothing follows": {9, func(l *Log) { l.Add("INFO", []byte("hihihi")); l.Add("A", nil) }, "INFO hih\n", true},
		"stream": {100, func(l *Log) {
			for _, s := range []string{"a", "b\nc", "", "\nd"} {
				_, _ = l.Write([]byte(s))
			}
		}, "STDERR ab\nSTDERR c\nSTDERR d\n", false},
		"stream, then a line": {100, func(l *Log) {
			_, _ = l.Write([]byte("part"))
			l.Add("INFO", []byte("x"))
		}, "STDERR part\nINFO x\n", false},
		"long stream": {20, func(l *Log) {
			for range 1000 {
				_, _ = l.Write([]byte("0123456789"))
			}
		}, "STDERR 012345678901\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLog(c.limit)
			c.write(l)
			if got, cut := l.Bytes(); string(got) != c.want || cut != c.cut {
				t.Errorf("got %q, %v; want %q, %v", got, cut, c.want, c.cut)
			}
		})
	}
}

// TestLogBound: whatever is written, the log is within its limit, printable, and
// made of whole lines.
func TestLogBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64Range(0, 64).Draw(t, "limit")
		l := NewLog(limit)
		for range rapid.IntRange(0, 8).Draw(t, "writes") {
			text := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "text")
			if rapid.Bool().Draw(t, "stream") {
				_, _ = l.Write(text)
			} else {
				l.Add("INFO", text)
			}
		}
		got, _ := l.Bytes()
		if uint64(len(got)) > limit || (len(got) > 0 && got[len(got)-1] != '\n') {
			t.Fatalf("limit %d: %q", limit, got)
		}
		for line := range strings.Lines(string(got)) {
			if !strings.HasPrefix(line, "INFO ") && !strings.HasPrefix(line, "STDERR ") {
				t.Fatalf("forged line %q", line)
			}
		}
	})
}

// FuzzFrame: no stream makes a Frame keep more than its limit.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x05hello"), uint64(8))
	f.Add([]byte("\x85\x00hello"), uint64(8))
	f.Fuzz(func(t *testing.T, stream []byte, limit uint64) {
		frame := NewFrame(limit)
		_, _ = frame.Write(stream)
		outcome, body, _ := frame.Result()
		if outcome == Answered && (uint64(len(body)) > limit || !bytes.Equal(abi.AppendFrame(nil, body), stream)) {
			t.Fatalf("limit %d, % x: % x", limit, stream, body)
		}
	})
}

// TestFrameProgress: a caller that must not wait for the end of the stream knows
// when the frame is there, and when none can come any more.
func TestFrameProgress(t *testing.T) {
	frame := NewFrame(8)
	for i, c := range []byte("\x03abc") {
		if frame.Complete() || frame.Failed() {
			t.Fatalf("before byte %d: complete %v, failed %v", i, frame.Complete(), frame.Failed())
		}
		_, _ = frame.Write([]byte{c})
	}
	if !frame.Complete() || frame.Failed() {
		t.Error("a whole frame is not complete")
	}
	_, _ = frame.Write([]byte("d"))
	if frame.Complete() || !frame.Failed() {
		t.Error("a byte after the frame leaves it whole")
	}
	large := NewFrame(8)
	_, _ = large.Write([]byte("\x80\x80\x80\x80\x10")) // 4 GiB
	if outcome, _, _ := large.Result(); !large.Failed() || outcome != ResponseTooLarge || cap(large.body) != 0 {
		t.Errorf("a frame that claims 4 GiB: %v, %d bytes reserved", outcome, cap(large.body))
	}
	if empty := NewFrame(8); empty.Complete() {
		t.Error("nothing is complete")
	}
}

func TestOutcomeNames(t *testing.T) {
	seen := map[string]bool{}
	for o := Answered; o <= ResponseTooLarge; o++ {
		if name := o.String(); name == "unknown" || seen[name] {
			t.Errorf("outcome %d is %q", o, name)
		} else {
			seen[name] = true
		}
	}
	if Outcome(0).String() != "unknown" || Outcome(99).String() != "unknown" {
		t.Error("an unknown outcome has a name")
	}
}

// TestLogFullWithoutLineEnd: what cannot fit any more ends the log at once, so
// that a module's endless line is not searched again and again for its end.
func TestLogFullWithoutLineEnd(t *testing.T) {
	l := NewLog(32)
	_, _ = l.Write(bytes.Repeat([]byte("x"), 20))
	if l.Full() {
		t.Error("the log is full of a line that fits")
	}
	_, _ = l.Write(bytes.Repeat([]byte("x"), 20))
	if !l.Full() {
		t.Error("the log waits for the end of a line that does not fit")
	}
	_, _ = l.Write([]byte("y\nz\n"))
	if got, cut := l.Bytes(); string(got) != "STDERR "+strings.Repeat("x", 24)+"\n" || !cut {
		t.Errorf("got %q, %v", got, cut)
	}
}
