//go:build wasip1

// Command stdio is a test guest for the stdio abi, written the way a stock Go
// program is: it echoes its request frame, tells what it finds around itself on
// stderr, and exits with the status that a request of the form "exit N" asks for.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	n, err := binary.ReadUvarint(in)
	if err != nil {
		fail(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		fail(err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		fail(fmt.Errorf("after the frame: %v", err))
	}
	if status, ok := strings.CutPrefix(string(body), "exit "); ok {
		code, _ := strconv.Atoi(status)
		os.Exit(code)
	}
	before := time.Now()
	time.Sleep(time.Hour)
	fmt.Fprintln(os.Stderr, os.Args, len(os.Environ()), before.UnixMilli() < 1000, time.Since(before).Round(time.Minute))
	if _, err := os.Stdout.Write(append(binary.AppendUvarint(nil, n), body...)); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
