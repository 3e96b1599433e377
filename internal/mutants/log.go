package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// runLog keeps the outcomes of a run that may be interrupted, one JSON document
// a line. The first line names the program without a mutation, which holds the
// vectors as well: outcomes of another program are worth nothing.
type runLog struct {
	mu   sync.Mutex
	file *os.File
	done map[string]logged // by key
}

// logged is one line.
type logged struct {
	Program string `json:"program,omitempty"`
	Key     string `json:"key,omitempty"`
	Verdict string `json:"verdict,omitempty"`
	By      string `json:"by,omitempty"`
}

// openLog continues a log, or begins it anew if it is of another program.
func openLog(name string, program [32]byte) (*runLog, error) {
	id := hex.EncodeToString(program[:])
	done, err := readLog(name, id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if done == nil {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	l := &runLog{file: file, done: done}
	if done == nil {
		l.done = map[string]logged{}
		return l, l.write(logged{Program: id})
	}
	_, err = file.WriteString("\n") // behind a line that was being written when the run ended
	return l, err
}

// readLog returns the outcomes of program, nil if the log is not of it.
func readLog(name, program string) (map[string]logged, error) {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var done map[string]logged
	for s := bufio.NewScanner(file); ; {
		if !s.Scan() {
			return done, s.Err()
		}
		var x logged
		switch err := json.Unmarshal(s.Bytes(), &x); {
		case done == nil && (err != nil || x.Program != program):
			return nil, nil
		case done == nil:
			done = map[string]logged{}
		case err == nil:
			done[x.Key] = x
		}
	}
}

func (l *runLog) write(x logged) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.file.Write(append(b, '\n'))
	return err
}

// keep wraps try: what the log has is not tried again.
func (l *runLog) keep(try func(context.Context, mutant) (outcome, error)) func(context.Context, mutant) (outcome, error) {
	return func(ctx context.Context, m mutant) (outcome, error) {
		if x, ok := l.done[m.Key()]; ok {
			return outcome{m, x.Verdict, x.By}, nil
		}
		o, err := try(ctx, m)
		if err == nil {
			err = l.write(logged{Key: m.Key(), Verdict: o.verdict, By: o.by})
		}
		return o, err
	}
}
