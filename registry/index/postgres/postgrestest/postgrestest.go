// Package postgrestest gives tests a schema of their own for an index in
// PostgreSQL: on the server of MYTHOS_TEST_POSTGRES, which scripts/postgres.sh
// starts.
package postgrestest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/registry/index/postgres"
)

// server returns the address of the server to test with. Without one the test is
// skipped, and fails in CI.
func server(tb testing.TB) string {
	tb.Helper()
	address := os.Getenv("MYTHOS_TEST_POSTGRES")
	if address == "" {
		const how = "no PostgreSQL to test with: run the tests by scripts/postgres.sh, or set MYTHOS_TEST_POSTGRES"
		if os.Getenv("CI") == "true" {
			tb.Fatal(how)
		}
		tb.Skip(how)
	}
	return address
}

// Fresh returns options for an index of its own, which goes with the test.
func Fresh(tb testing.TB) postgres.Options {
	tb.Helper()
	o := postgres.Options{URL: server(tb), Schema: fmt.Sprintf("test_%d_%d", os.Getpid(), rand.Uint64())}
	tb.Cleanup(func() { Admin(tb, "DROP SCHEMA IF EXISTS "+o.Schema+" CASCADE") })
	return o
}

// Admin runs SQL beside the index.
func Admin(tb testing.TB, sql string) {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), server(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		tb.Fatal(err)
	}
}
