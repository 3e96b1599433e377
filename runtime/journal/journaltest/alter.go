package journaltest

import (
	"errors"
	"path/filepath"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Alter runs SQL on the embedded ledger in a folder, as somebody does who can
// write its files.
func Alter(dir, sql string) error {
	conn, err := sqlite.OpenConn(filepath.Join(dir, "ledger.db"), sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	return errors.Join(sqlitex.ExecuteScript(conn, sql, nil), conn.Close())
}
