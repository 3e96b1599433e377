//go:build !wasip1

package tool

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Serve answers the frames on stdin with f, one after the other, until the
// input ends. It is all that a tool's main does. What the tool prints goes to
// stderr, because stdout carries frames only.
func Serve(f Func) {
	out := os.Stdout
	os.Stdout = os.Stderr
	if err := serve(f, bufio.NewReaderSize(os.Stdin, 64<<10), out); err != nil {
		Log(Error, err.Error())
		os.Exit(1)
	}
}

// serve answers frames until in ends.
func serve(f Func, in frameReader, out io.Writer) error {
	for {
		request, err := readFrame(in, maxFrame)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		response := answer(f, request)
		frame := appendUvarint(make([]byte, 0, len(response)+4), uint64(len(response)))
		if _, err := out.Write(append(frame, response...)); err != nil {
			return err
		}
	}
}

func logLine(level Level, text string) {
	label := [...]string{"DEBUG", "INFO", "WARN", "ERROR"}[min(level, Error)]
	// A log that nobody reads is no reason to fail.
	_, _ = os.Stderr.WriteString(label + " " + strings.TrimSuffix(text, "\n") + "\n")
}

// NowMicros returns the time, microseconds since the Unix epoch. A wasm module
// needs the grant Clock.
func NowMicros() (int64, error) { return time.Now().UnixMicro(), nil }

// Random fills b with secure random bytes. A wasm module needs the grant Random.
func Random(b []byte) error {
	_, err := rand.Read(b)
	return err
}

// Dial connects to address, "host:port", through the proxy that the host serves
// for a call with the grant NetConnect (RFC-MYTHOS-0006 §12). network must be
// "tcp". It is ErrDenied where the grant does not cover address.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case network != "tcp":
		return nil, errors.New("dial " + network + ": only tcp is there")
	case strings.ContainsAny(address, " \r\n"):
		return nil, errors.New("dial " + strconv.Quote(address) + ": not an address")
	}
	conn, err := DialProxy(ctx)
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, conn, address); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// DialProxy connects to the proxy itself, which takes CONNECT and requests in
// absolute form. Without the grant NetConnect there is none: ErrDenied.
func DialProxy(ctx context.Context) (net.Conn, error) {
	path := os.Getenv("MYTHOS_NET")
	if path == "" {
		return nil, ErrDenied
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// connect asks the proxy at the other end of conn for a tunnel.
func connect(ctx context.Context, conn net.Conn, address string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, "CONNECT "+address+" HTTP/1.1\r\nHost: "+address+"\r\n\r\n"); err != nil {
		return err
	}
	head, err := readHead(conn)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	version, rest, _ := strings.Cut(head, " ")
	status, _, _ := strings.Cut(rest, " ")
	switch {
	case !strings.HasPrefix(version, "HTTP/1."):
		return errors.New("dial " + address + ": the proxy does not speak HTTP/1")
	case status == "403":
		return ErrDenied
	case status != "200":
		return errors.New("dial " + address + ": the proxy answers " + strconv.Quote(rest))
	}
	return nil
}

// readHead reads the head of the proxy's answer, byte by byte because what
// follows belongs to the tunnel, and returns its first line.
func readHead(r io.Reader) (string, error) {
	const limit = 8 << 10
	head := make([]byte, 0, 256)
	for len(head) < limit {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		head = append(head, b[0])
		if strings.HasSuffix(string(head), "\r\n\r\n") {
			line, _, _ := strings.Cut(string(head), "\r\n")
			return line, nil
		}
	}
	return "", errors.New("the proxy's answer has no end")
}
