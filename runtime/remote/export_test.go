package remote

import (
	"net"
	"time"
)

// NewClient is Client with a patience of its own.
var NewClient = newClient

// Moving returns a connection that fails when nothing moves on it.
func Moving(c net.Conn, patience time.Duration) net.Conn { return &movingConn{c, patience} }
