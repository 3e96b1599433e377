package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// migrations make a schema of version i+1 out of one of version i. Each is run
// once, in a transaction; what is released is never changed.
var migrations = [...]string{schema1, schema2}

// schema2 finds the states of rings, which are few, in a log of any length.
const schema2 = `CREATE INDEX entry_ring ON entry (seq) WHERE kind = 8`

// schema1 touches little per entry: one row in a table that only grows, its two
// or three index entries and those of its items. Fixed columns come first, so
// that none is padded.
const schema1 = `
CREATE TABLE entry (
	seq bigint PRIMARY KEY, time bigint NOT NULL, lease bigint, n integer NOT NULL, mark integer NOT NULL, kind smallint NOT NULL,
	key bytea NOT NULL, run bytea, body bytea NOT NULL, kept bytea, UNIQUE (key, n)
);
ALTER TABLE entry ALTER body SET STORAGE EXTERNAL, ALTER kept SET STORAGE EXTERNAL;
CREATE INDEX entry_run ON entry (run) WHERE run IS NOT NULL;
CREATE SEQUENCE entry_seq CACHE 1 OWNED BY entry.seq;
CREATE TABLE numbering (seq bigint PRIMARY KEY, idx bigint NOT NULL UNIQUE, count bigint NOT NULL);
CREATE TABLE lease (seq bigint PRIMARY KEY, until bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE spend (cap bytea PRIMARY KEY, used bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE item (id bigint NOT NULL, seq bigint NOT NULL, at integer NOT NULL, size integer NOT NULL);
CREATE INDEX item_id ON item (id);

-- The tree of the log: signed notes by size, leaf hashes in pieces, and the inner
-- nodes of levels 8, 16 and so on.
CREATE TABLE checkpoint (size bigint PRIMARY KEY, note bytea NOT NULL);
CREATE TABLE leaf (first bigint PRIMARY KEY, hashes bytea NOT NULL);
ALTER TABLE leaf ALTER hashes SET STORAGE EXTERNAL;
CREATE TABLE node (level smallint NOT NULL, idx bigint NOT NULL, hash bytea NOT NULL, PRIMARY KEY (level, idx));

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the log of a ledger is append-only' USING ERRCODE = 'MYL03';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON leaf FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON node FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- The ledger's clock, in microseconds.
CREATE FUNCTION ledger_now() RETURNS bigint LANGUAGE sql VOLATILE AS
	$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- append appends a group of entries, each as number n under its key or not at
-- all. If one's key has moved on, then nothing is appended (a unique violation),
-- or, where the caller asks for care, which costs more, that entry is not: seqs
-- has null for it. Nothing at all is done either if a lease that a register takes over from stands (barred names
-- those registers), or (MYL02) if the charges do not all fit.
CREATE FUNCTION append(
	barrier bigint, careful boolean,
	kinds smallint[], ns integer[], marks integer[], keys bytea[], runs bytea[], bodies bytea[], kepts bytea[], spans bigint[],
	ended bigint[], fences bigint[],
	item_ops integer[], item_ids bigint[], item_ats integer[], item_sizes integer[],
	new_caps bytea[], caps bytea[], totals bigint[], most bigint[],
	charge_ops integer[], charge_caps integer[], charge_counts bigint[],
	OUT clock bigint, OUT seqs bigint[], OUT barred integer[]
) LANGUAGE plpgsql AS $$
DECLARE
	charged integer;
BEGIN
	IF current_setting('fsync') <> 'on' OR current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
		RAISE EXCEPTION 'fsync is %, synchronous_commit is %', current_setting('fsync'), current_setting('synchronous_commit')
			USING ERRCODE = 'MYL01';
	END IF;
	PERFORM pg_advisory_xact_lock_shared(barrier);
	IF cardinality(fences) > 0 THEN
		PERFORM pg_advisory_xact_lock(f) FROM (SELECT DISTINCT f FROM unnest(fences) f WHERE f <> 0 ORDER BY f) locks;
		clock := ledger_now();
		barred := ARRAY(
			SELECT u.o::integer FROM unnest(fences, ended) WITH ORDINALITY u(f, s, o) JOIN entry e ON e.seq = u.s LEFT JOIN lease l ON l.seq = u.s
			WHERE u.f <> 0 AND coalesce(l.until, e.lease) > clock);
		IF cardinality(barred) > 0 THEN
			RETURN;
		END IF;
	END IF;
	IF cardinality(new_caps) > 0 THEN
		INSERT INTO spend SELECT c, 0 FROM unnest(new_caps) c ON CONFLICT DO NOTHING;
	END IF;
	IF cardinality(caps) > 0 THEN
		-- Not a join: its plan may scan all of spend, in any order.
		UPDATE spend s SET used = s.used + totals[array_position(caps, s.cap)]
		WHERE s.cap = ANY(caps) AND s.used <= most[array_position(caps, s.cap)];
		GET DIAGNOSTICS charged = ROW_COUNT;
		IF charged < cardinality(caps) THEN
			RAISE EXCEPTION 'the charges do not fit' USING ERRCODE = 'MYL02';
		END IF;
	END IF;
	clock := ledger_now();
	IF careful THEN
		WITH appended AS (
			INSERT INTO entry (seq, time, lease, n, mark, kind, key, run, body, kept)
			SELECT nextval('entry_seq'), clock, CASE WHEN u.span >= 0 THEN clock + u.span END, u.n, u.mark, u.kind, u.key, u.run, u.body, u.kept
			FROM unnest(kinds, ns, marks, keys, runs, bodies, kepts, spans) u(kind, n, mark, key, run, body, kept, span)
			ON CONFLICT (key, n) DO NOTHING RETURNING seq
		) SELECT array_agg(seq ORDER BY seq) INTO seqs FROM appended;
	ELSE
		WITH appended AS (
			INSERT INTO entry (seq, time, lease, n, mark, kind, key, run, body, kept)
			SELECT nextval('entry_seq'), clock, CASE WHEN u.span >= 0 THEN clock + u.span END, u.n, u.mark, u.kind, u.key, u.run, u.body, u.kept
			FROM unnest(kinds, ns, marks, keys, runs, bodies, kepts, spans) u(kind, n, mark, key, run, body, kept, span)
			RETURNING seq
		) SELECT array_agg(seq ORDER BY seq) INTO seqs FROM appended;
	END IF;
	IF seqs IS NULL OR cardinality(seqs) < cardinality(kinds) THEN
		seqs := ARRAY(
			SELECT (SELECT e.seq FROM entry e WHERE e.key = u.key AND e.n = u.n AND e.seq = ANY(seqs))
			FROM unnest(keys, ns) WITH ORDINALITY u(key, n, o) ORDER BY u.o);
		UPDATE spend s SET used = s.used - u.total
		FROM (SELECT caps[x.c] AS cap, sum(x.k) AS total FROM unnest(charge_ops, charge_caps, charge_counts) x(o, c, k)
			WHERE seqs[x.o] IS NULL GROUP BY 1) u
		WHERE s.cap = u.cap;
		ended := ARRAY(SELECT CASE WHEN seqs[u.o] IS NULL THEN 0 ELSE u.s END FROM unnest(ended) WITH ORDINALITY u(s, o) ORDER BY u.o);
	END IF;
	IF cardinality(ended) > 0 THEN
		DELETE FROM lease WHERE seq = ANY(ended);
	END IF;
	IF cardinality(item_ops) > 0 THEN
		INSERT INTO item (id, seq, at, size)
		SELECT u.id, seqs[u.op], u.at, u.size FROM unnest(item_ops, item_ids, item_ats, item_sizes) u(op, id, at, size)
		WHERE seqs[u.op] IS NOT NULL;
	END IF;
END $$;

-- extend prolongs the lease of the register at register_seq, if its key still has
-- as many entries as the caller decided on.
CREATE FUNCTION extend(fence bigint, register_key bytea, entries integer, register_seq bigint, span bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(fence);
	IF EXISTS (SELECT FROM entry WHERE key = register_key AND n >= entries) THEN
		RETURN false;
	END IF;
	INSERT INTO lease AS l (seq, until) VALUES (register_seq, ledger_now() + span) ON CONFLICT (seq) DO UPDATE SET until = excluded.until;
	RETURN true;
END $$;

-- number gives every entry an index and returns the seq of the last one. It waits
-- for the writers that are on their way; those that come later draw a higher seq.
CREATE FUNCTION number(barrier bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	l numbering;
	last bigint;
	next bigint;
BEGIN
	FOR i IN 1..2 LOOP
		SELECT * INTO l FROM numbering ORDER BY seq DESC LIMIT 1;
		last := coalesce(l.seq + l.count - 1, 0);
		next := coalesce(l.idx + l.count, 0);
		IF NOT EXISTS (SELECT FROM entry WHERE entry.seq > last) THEN
			RETURN last;
		END IF;
		IF i = 1 THEN
			PERFORM pg_advisory_xact_lock(barrier);
		END IF;
	END LOOP;
	WITH fresh AS (SELECT e.seq, row_number() OVER (ORDER BY e.seq) AS r FROM entry e WHERE e.seq > last),
	stretch AS (SELECT min(f.seq) AS first, next + min(f.r) - 1 AS idx, count(*) AS count FROM fresh f GROUP BY f.seq - f.r),
	joined AS (UPDATE numbering m SET count = m.count + s.count FROM stretch s WHERE m.seq = l.seq AND s.first = last + 1)
	INSERT INTO numbering SELECT s.first, s.idx, s.count FROM stretch s WHERE l.seq IS NULL OR s.first > last + 1;
	RETURN (SELECT max(e.seq) FROM entry e);
END $$;
`

// prepare makes or migrates the schema, one process at a time; one of a newer
// release is refused, and nothing is written.
func prepare(ctx context.Context, conn *pgx.Conn, schema string, readOnly bool) error {
	version, err := schemaVersion(ctx, conn, schema)
	switch {
	case err != nil:
		return err
	case version > len(migrations):
		return fault.New(rules.ErrSchemaNewer, "the ledger has schema %d, this release knows %d", version, len(migrations))
	case version == len(migrations):
		return checkTables(ctx, conn)
	case readOnly && version == 0:
		return fault.New(rules.ErrUnavailable, "the database has no ledger in schema %s", schema)
	case readOnly:
		return fault.New(rules.ErrUnavailable, "the ledger has the older schema %d; a run migrates it", version)
	}
	if err := migrate(ctx, conn, schema); err != nil {
		return err
	}
	return checkTables(ctx, conn)
}

func migrate(ctx context.Context, conn *pgx.Conn, schema string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", locks{schema}.migration()); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, conn, schema) // another process may have been here
		if err != nil {
			return err
		}
		steps := []string{}
		if version == 0 {
			steps = append(steps, "CREATE SCHEMA IF NOT EXISTS "+schema, "CREATE TABLE version (version integer NOT NULL)", "INSERT INTO version VALUES (0)")
		}
		for _, m := range migrations[min(version, len(migrations)):] {
			steps = append(steps, m, "UPDATE version SET version = version + 1")
		}
		for _, step := range steps {
			if _, err := tx.Exec(ctx, step, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return nil
	})
}

// schemaVersion returns 0 for a schema that is missing or empty; one that holds
// something else is refused.
func schemaVersion(ctx context.Context, conn *pgx.Conn, schema string) (version int, err error) {
	var tables int
	var ours bool
	err = conn.QueryRow(ctx, "SELECT count(*), count(*) FILTER (WHERE tablename = 'version') > 0 FROM pg_tables WHERE schemaname = $1", schema).Scan(&tables, &ours)
	if err != nil || tables == 0 {
		return 0, err
	}
	if ours {
		err = conn.QueryRow(ctx, "SELECT version FROM version").Scan(&version)
	}
	if !ours || errors.Is(err, pgx.ErrNoRows) || err == nil && version < 1 {
		return 0, fault.New(ledger.ErrCorrupt, "the schema %s of the database holds %d tables and no MYTHOS ledger", schema, tables)
	}
	return version, err
}

// checkTables refuses tables that do not survive a crash.
func checkTables(ctx context.Context, conn *pgx.Conn) error {
	var unlogged string
	err := conn.QueryRow(ctx, "SELECT coalesce(string_agg(relname, ', '), '') FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'S', 'i') AND relpersistence <> 'p'").Scan(&unlogged)
	if err == nil && unlogged != "" {
		err = fault.New(ErrNotDurable, "a crash empties what is unlogged: %s", unlogged)
	}
	return err
}

func validSchema(name string) bool {
	return name != "" && len(name) <= 63 && !strings.HasPrefix(name, "pg_") && (name[0] < '0' || name[0] > '9') &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
