package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/postgres"
)

// TestPagePlans: a page of one run or one id is found by its index, however long the
// log is, also by the plan that is made once for any values.
func TestPagePlans(t *testing.T) {
	o := fresh(t)
	open(t, o)
	admin(t, o, `INSERT INTO entry (seq, time, n, mark, kind, key, run, body)
		SELECT i, 0, i % 5, 0, 1, sha256((i / 5)::text::bytea), sha256((i / 5)::text::bytea), '' FROM generate_series(1, 50000) i; ANALYZE entry`)
	conn, exec := console(t, server(t))
	exec("SET search_path = " + o.Schema + "; SET plan_cache_mode = force_generic_plan")
	for index, query := range postgres.Pages {
		exec("PREPARE page_" + index + "(bigint, bigint, bytea) AS " + query)
		rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE page_"+index+`(0, 1000000, '\x00')`)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if plan := strings.Join(lines, "\n"); !strings.Contains(plan, index) || strings.Contains(plan, "entry_pkey") {
			t.Errorf("it walks the log:\n%s", plan)
		}
	}
}
