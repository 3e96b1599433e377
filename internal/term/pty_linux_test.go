package term

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pty returns both ends of a new pseudo-terminal of the given width.
func pty(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 24}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestTerminal(t *testing.T) {
	master, slave := pty(t, 43)
	if !IsTerminal(slave) {
		t.Error("a terminal was not recognised")
	}
	if w := Width(slave); w != 43 {
		t.Errorf("width %d, want 43", w)
	}
	for _, c := range []struct {
		env    func(string) string
		colour bool
	}{
		{env("TERM", "xterm"), true},
		{env("TERM", "xterm", "NO_COLOR", ""), true},
		{env("TERM", "xterm", "NO_COLOR", "1"), false},
		{env("TERM", "dumb"), false},
		{env(), false},
	} {
		if got := Colour(slave, c.env); got != c.colour {
			t.Errorf("TERM=%q NO_COLOR=%q: colour %v", c.env("TERM"), c.env("NO_COLOR"), got)
		}
	}
	dumb := NewProgress(slave, env("TERM", "dumb"))
	dumb.Update("unseen")
	dumb.Done()
	p := NewProgress(slave, env("TERM", "xterm", "NO_COLOR", "1"))
	p.Update("seen")
	p.Done()
	buf := make([]byte, 100)
	n, err := master.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(buf[:n]), "\r\x1b[Kseen\r\x1b[K"; !strings.HasPrefix(want, got) {
		t.Errorf("the terminal got %q, want %q", got, want)
	}
}
