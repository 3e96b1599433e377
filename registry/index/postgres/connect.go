package postgres

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrURL is the code of an address that is none of a database, or that holds a
// password.
const ErrURL fault.Code = "registry_index_url"

const (
	maxMessage     = 16 << 20 // of one row that the server sends; a version is far below
	connectTimeout = 10 * time.Second
	defaultConns   = 8
	oldestServer   = "140000" // server_version_num
	defaultSchema  = "mythos_registry"
)

// checkURL refuses what is no address or holds a password, and asks for a
// verified server where the address leaves that open and the network is not this
// host's own.
func checkURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", fault.New(ErrURL, "the address of the index is not of the form postgres://user@host:port/database")
	}
	query := u.Query()
	if _, has := u.User.Password(); has || query.Has("password") || query.Has("sslpassword") {
		return "", fault.New(ErrURL, "a password does not belong in an address; use a password file or PGPASSFILE").About(Redacted(address))
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

// Redacted returns what of a database's address may be shown: neither its user
// nor its settings.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the database"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// connector opens connections, each checked.
type connector struct {
	url, schema string
	password    func(context.Context) (string, error)
}

// config reads the address and, beside it, files and the environment anew, so
// that a password may change while the index is open.
func (c *connector) config() (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(c.url)
	if err != nil { // its text may quote the address
		return nil, fault.New(ErrURL, "the address or the libpq settings in the environment are not understood").About(Redacted(c.url))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.MaxProtocolMessageBodyLen = maxMessage
	config.ValidateConnect = checkServer
	params := config.RuntimeParams
	params["search_path"] = c.schema + ", pg_temp"
	params["default_transaction_isolation"] = "read committed"
	params["statement_timeout"] = "60s"
	if params["application_name"] == "" {
		params["application_name"] = "mythos registry"
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
			return nil, fault.New(index.ErrUnavailable, "the password: %w", err)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return conn, nil
	}
	var e *fault.Error
	if errors.As(err, &e) { // what checkServer says stands alone
		return nil, e
	}
	return nil, lostIf(sqlState(err) == "", err)
}

// pool lends connections.
type pool struct {
	c     *connector
	slots chan struct{} // one for each connection that is lent

	mu     sync.Mutex
	idle   []*pgx.Conn
	closed bool
}

// lend runs do with a connection.
func (p *pool) lend(ctx context.Context, do func(*pgx.Conn) error) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.slots }()
	conn, err := p.take(ctx)
	if err != nil {
		return err
	}
	err = do(conn)
	err = lostIf(conn.IsClosed() && fault.CodeOf(err) == "", err)
	p.put(conn)
	if isLost(err) { // the others were lost with it
		p.drop()
	}
	return err
}

func (p *pool) take(ctx context.Context) (*pgx.Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, fault.New(index.ErrUnavailable, "the index is closed")
	}
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()
	return p.c.connect(ctx)
}

// put takes a connection back; one that ended, or is inside a transaction, is
// closed.
func (p *pool) put(conn *pgx.Conn) {
	p.mu.Lock()
	keep := !p.closed && !conn.IsClosed() && conn.PgConn().TxStatus() == 'I'
	if keep {
		p.idle = append(p.idle, conn)
	}
	p.mu.Unlock()
	if !keep {
		hangUp(conn)
	}
}

// drop closes the connections that nobody uses.
func (p *pool) drop() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, conn := range idle {
		hangUp(conn)
	}
}

// close waits for those that are lent.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	p.drop()
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx) // whatever it says, nothing depends on it
}

// checkServer refuses a standby, and a server whose commits a crash may undo.
func checkServer(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, "SELECT pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_version_num')::integer < "+oldestServer+", current_setting('server_version')").ReadAll()
	if err != nil {
		return err
	}
	row := results[0].Rows[0]
	recovering, sync, commit, old, version := string(row[0]), string(row[1]), string(row[2]), string(row[3]), string(row[4])
	switch {
	case recovering != "f":
		return fault.New(index.ErrUnavailable, "the server is a standby; an index is kept and read on the primary alone")
	case old != "f":
		return fault.New(index.ErrUnavailable, "PostgreSQL %s is older than 14", version)
	case sync != "on" || commit != "on" && commit != "remote_apply":
		return fault.New(index.ErrUnavailable, "fsync is %s and synchronous_commit is %s, want on and on", sync, commit)
	}
	return nil
}

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
			return "", fault.New(index.ErrUnavailable, "a password file has mode 0600 and at most 4 KiB, got %v and %d bytes", info.Mode().Perm(), info.Size()).About(path)
		}
		raw, err := os.ReadFile(path)
		return strings.TrimRight(string(raw), "\r\n"), err
	}
}
