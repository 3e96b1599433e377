package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// place is where the ledgers of a campaign are.
type place interface {
	// fill says in an order which ledger is meant.
	fill(o *Order, name string)
	// open opens a ledger for the harness itself, at a shifted clock.
	open(ctx context.Context, name string, shift time.Duration) (ledger.Log, error)
	// leaseOver returns by how much the clocks of executors are to be moved, and how
	// long to wait, until every lease is over.
	leaseOver() (shift, wait time.Duration)
	// crash pulls the plug of the server; false if there is none.
	crash() (bool, error)
	close() error
}

// embedded keeps ledgers in folders of the world.
type embedded struct{ world *World }

func (e embedded) fill(o *Order, name string) { o.Ledger = e.world.ledgerDir(name) }

func (e embedded) open(ctx context.Context, name string, shift time.Duration) (ledger.Log, error) {
	c := &skewedClock{}
	c.set(shift, true)
	return journal.Open(ctx, journal.Options{Dir: e.world.ledgerDir(name), Clock: c.now, Boot: c.boot(), Signer: keys().executor})
}

func (e embedded) leaseOver() (shift, wait time.Duration) { return time.Minute, 0 }

func (e embedded) crash() (bool, error) { return false, nil }

func (e embedded) close() error { return nil }

// server is a private PostgreSQL server, with one schema for each ledger.
type server struct {
	script, url, folder string
	cmd                 *exec.Cmd
	in                  io.Closer
}

// startServer starts one with scripts/postgres.sh.
func startServer(script string) (*server, error) {
	s := &server{script: script, cmd: exec.Command("bash", script)}
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", script, err), s.close())
	}
	s.url, s.folder, _ = strings.Cut(strings.TrimSpace(line), " ")
	return s, nil
}

func (s *server) fill(o *Order, name string) { o.Ledger, o.Schema = s.url, name }

func (s *server) open(ctx context.Context, name string, _ time.Duration) (ledger.Log, error) {
	return postgres.Open(ctx, postgres.Options{URL: s.url, Schema: name, Signer: keys().executor})
}

// leaseOver: the server's clock decides, and nobody moves that.
func (s *server) leaseOver() (shift, wait time.Duration) {
	return 0, moduleTimeout + 11*time.Second
}

func (s *server) crash() (bool, error) {
	out, err := exec.Command("bash", s.script, "--restart", s.folder).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return true, err
}

func (s *server) close() error {
	s.in.Close() // it ends with its input
	return s.cmd.Wait()
}
