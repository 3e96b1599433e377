// Command serve serves the OCI distribution API alone, for everybody on this
// machine, over a folder: for the conformance program and for trials.
//
//	go run ./registry/ociapi/serve -dir FOLDER [-listen 127.0.0.1:0] [-sparse]
//
// It prints one line, "serving http://HOST:PORT", and serves until it is told to
// end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/registry/ociapi"
	"github.com/mythos-run/mythos/registry/ociapi/catalog/sqlite"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir := flag.String("dir", "", "folder of objects, catalog and uploads")
	listen := flag.String("listen", "127.0.0.1:0", "loopback address to listen on")
	sparse := flag.Bool("sparse", false, "take manifests of which parts are missing")
	flag.Parse()
	if *dir == "" {
		return errors.New("-dir is needed")
	}
	known, err := sqlite.Open(ctx, *dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, known.Close()) }()
	area, err := staging.InFolder(filepath.Join(*dir, "uploads"))
	if err != nil {
		return err
	}
	api := ociapi.New(ociapi.Options{
		Objects: remote.Over(folder.Open(*dir)), Catalog: known, Staging: area, Clock: time.Now, Sparse: *sparse,
		Failed: func(r *http.Request, err error) { fmt.Fprintln(os.Stderr, r.Method, r.URL, err) },
	})
	if err := api.Sweep(ctx); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	if host, _, err := net.SplitHostPort(l.Addr().String()); err != nil || !net.ParseIP(host).IsLoopback() {
		return errors.Join(errors.New("everybody may write here: -listen must be a loopback address"), l.Close())
	}
	fmt.Println("serving http://" + l.Addr().String())
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(late)
}
