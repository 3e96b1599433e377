package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

const (
	maxMessage = 64 << 20 // of one row that the server sends; an entry is far below

	connectTimeout   = 10 * time.Second
	statementTimeout = 60 * time.Second // then the connection counts as lost

	defaultConns    = 8
	defaultPatience = 15 * time.Second
)

// connector opens connections, each checked.
type connector struct {
	url         string
	schema      string
	password    func(context.Context) (string, error)
	patience    time.Duration
	onReconnect func(why error)
}

func newConnector(o Options) (*connector, error) {
	c := &connector{o.URL, o.Schema, o.Password, o.Patience, o.OnReconnect}
	if c.schema == "" {
		c.schema = "mythos"
	}
	if c.patience <= 0 {
		c.patience = defaultPatience
	}
	if c.onReconnect == nil {
		c.onReconnect = func(error) {}
	}
	if !validSchema(c.schema) {
		return nil, fault.New(ErrURL, "%q is no name for a schema: lower-case letters, digits and _, at most 63", c.schema)
	}
	u, err := checkURL(o.URL)
	if err != nil {
		return nil, err
	}
	c.url = u
	_, err = c.config()
	return c, err
}

// Redacted returns what of a database's address may be shown: neither its user
// nor its settings.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the database"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// checkURL refuses what is no address or holds a password, and asks for a
// verified server where the address leaves that open and the network is not this
// host's own.
func checkURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", fault.New(ErrURL, "the address of the ledger is not of the form postgres://user@host:port/database")
	}
	query := u.Query()
	if _, has := u.User.Password(); has || query.Has("password") || query.Has("sslpassword") {
		return "", fault.New(ErrURL, "a password does not belong in an address; use a password file or PGPASSWORD").About(Redacted(address))
	}
	if !query.Has("sslmode") && os.Getenv("PGSSLMODE") == "" && !onThisHost(u.Host, query.Get("host")) {
		query.Set("sslmode", "verify-full")
		u.RawQuery = query.Encode()
	}
	return u.String(), nil
}

func onThisHost(lists ...string) bool {
	for _, list := range lists {
		for host := range strings.SplitSeq(list, ",") {
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name
			}
			ip := net.ParseIP(strings.Trim(host, "[]"))
			if host != "" && host != "localhost" && host[0] != '/' && (ip == nil || !ip.IsLoopback()) {
				return false
			}
		}
	}
	return true
}

// config reads the address and, beside it, files and the environment anew, so
// that a password may change while the store is open.
func (c *connector) config() (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(c.url)
	if err != nil { // its text may quote the address
		return nil, fault.New(ErrURL, "the address or the libpq settings in the environment are not understood").About(Redacted(c.url))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.MaxProtocolMessageBodyLen = maxMessage
	config.ValidateConnect, config.OnNotice = checkServer, onNotice
	for name, value := range map[string]string{
		"search_path":                   c.schema + ", pg_temp",
		"default_transaction_isolation": "read committed",
		// A plan that was made while a table was empty must not scan it later.
		"plan_cache_mode":  "force_generic_plan",
		"enable_seqscan":   "off",
		"enable_hashjoin":  "off",
		"enable_mergejoin": "off",
		"jit":              "off",
		// A statement has statementTimeout, and no other bound.
		"statement_timeout": "0",
		"lock_timeout":      "0",
	} {
		config.RuntimeParams[name] = value
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "mythos"
	}
	return config, nil
}

func (c *connector) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	if c.password != nil {
		if config.Password, err = c.password(ctx); err != nil {
			return nil, fault.New(ErrAccess, "the password: %w", err).About(Redacted(c.url))
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, connectError(c.url, err)
	}
	return conn, nil
}

// checkServer refuses a standby, and a server whose commits a crash may undo. The
// settings are looked at again with every group of entries.
func checkServer(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_version_num')::integer < "+oldestServer+", current_setting('server_version')").ReadAll()
	if err != nil {
		return err
	}
	row := results[0].Rows[0]
	recovering, sync, commit, old, version := string(row[0]), string(row[1]), string(row[2]), string(row[3]), string(row[4])
	switch {
	case recovering != "f":
		return fault.New(ErrNotPrimary, "the server is a standby; a ledger is kept and read on the primary alone")
	case old != "f":
		return fault.New(rules.ErrUnavailable, "PostgreSQL %s is older than 14", version)
	}
	return durable(sync, commit)
}

// durable judges two settings of a server.
func durable(sync, commit string) error {
	if sync != "on" || commit != "on" && commit != "remote_apply" {
		return fault.New(ErrNotDurable, "fsync is %s and synchronous_commit is %s, want on and on", sync, commit)
	}
	return nil
}

// unreplicated is set beside a connection whose wait for a standby was broken off by
// somebody: its statement succeeds, with a warning that has no code of its own.
const unreplicated = "unreplicated"

func onNotice(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[unreplicated] = true
	}
}

// replicated is the error of a statement, and ends its connection if the standbys may
// lack what it wrote: the outcome is not known then, as if the connection was lost.
func replicated(conn *pgx.Conn, err error) error {
	if err == nil && conn.PgConn().CustomData()[unreplicated] != nil {
		hangUp(conn)
		err = errors.New("the server gave up waiting for a standby")
	}
	return err
}

const oldestServer = "140000" // server_version_num

// PasswordFile returns an Options.Password that reads a file of at most 4 KiB,
// without the line end after the password. A file that others can read is
// refused.
func PasswordFile(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o077 != 0 || info.Size() > 4<<10 {
			return "", fault.New(ErrAccess, "a password file has mode 0600 and at most 4 KiB, got %v and %d bytes", info.Mode().Perm(), info.Size()).About(path)
		}
		raw, err := os.ReadFile(path)
		return strings.TrimRight(string(raw), "\r\n"), err
	}
}

// locks names the advisory locks of one schema's ledger. Two that collide by
// chance wait for each other without need, and nothing else.
type locks struct{ schema string }

func (l locks) of(what string) int64 {
	sum := cid.Sum([]byte("mythos ledger\x00" + l.schema + "\x00" + what))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

func (l locks) migration() int64 { return l.of("migration") }

// barrier is held shared by whoever appends, alone by whoever numbers.
func (l locks) barrier() int64 { return l.of("barrier") }

// signer is held by whoever signs a checkpoint.
func (l locks) signer() int64 { return l.of("signer") }

// fence is held by whoever extends a lease of a key or takes over from one; never
// 0, which stands for none.
func (l locks) fence(key cid.Hash) int64 {
	if n := l.of("fence" + string(key[:])); n != 0 {
		return n
	}
	return 1
}
