package sandbox

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The channel between host and shim is a pair of SOCK_SEQPACKET sockets, the
// shim's at descriptor 3. Each message is a kind and a body:
//
//	host to shim   S setup (JSON), F descriptors (SCM_RIGHTS), C part of the
//	               configuration (JSON), R run it
//	shim to host   P parked, T what the canary saw (JSON), G about to exec,
//	               X a FATAL line
//
// It closes by itself when the shim becomes the module.
const (
	kindSetup  = 'S'
	kindFiles  = 'F'
	kindChunk  = 'C'
	kindRun    = 'R'
	kindParked = 'P'
	kindSeen   = 'T'
	kindGo     = 'G'
	kindFatal  = 'X'

	channelFD   = 3
	chunkSize   = 48 << 10
	batchFiles  = 64
	maxMessage  = 64 << 10
	maxConfig   = 8 << 20
	maxReceived = maxMounts + maxFiles + 2
)

// channel is the host's end.
type channel struct {
	file *os.File
	raw  syscall.RawConn
}

// newChannel returns the host's end, and the shim's as a descriptor to hand
// over and close.
func newChannel() (*channel, int, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, err
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, -1, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	file := os.NewFile(uintptr(fds[0]), "sandbox-channel")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, -1, errors.Join(err, file.Close(), unix.Close(fds[1]))
	}
	return &channel{file, raw}, fds[1], nil
}

func (c *channel) deadline(t time.Time) error { return c.file.SetDeadline(t) }

func (c *channel) close() error { return c.file.Close() }

// send writes one message.
func (c *channel) send(kind byte, body []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	message := append([]byte{kind}, body...)
	var err error
	if e := c.raw.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), message, rights, nil, unix.MSG_NOSIGNAL)
		return err != unix.EAGAIN && err != unix.EINTR
	}); e != nil {
		return e
	}
	return err
}

// sendConfig writes descriptors and configuration, and starts the module.
func (c *channel) sendConfig(config []byte, fds []int) error {
	for len(fds) > 0 {
		n := min(len(fds), batchFiles)
		if err := c.send(kindFiles, nil, fds[:n]); err != nil {
			return err
		}
		fds = fds[n:]
	}
	for len(config) > 0 {
		n := min(len(config), chunkSize)
		if err := c.send(kindChunk, config[:n], nil); err != nil {
			return err
		}
		config = config[n:]
	}
	return c.send(kindRun, nil, nil)
}

// recv reads one message; io.EOF when the shim ended or became the module.
func (c *channel) recv() (byte, []byte, error) {
	buf := make([]byte, maxMessage)
	var n int
	var err error
	if e := c.raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), buf)
		return err != unix.EAGAIN && err != unix.EINTR
	}); e != nil {
		return 0, nil, e
	}
	switch {
	case err == unix.ECONNRESET || err == nil && n == 0:
		return 0, nil, io.EOF
	case err != nil:
		return 0, nil, err
	}
	return buf[0], buf[1:n], nil
}

// shimSend writes one message of the shim.
func shimSend(kind byte, body []byte) error {
	return unix.Sendmsg(channelFD, append([]byte{kind}, body...), nil, nil, unix.MSG_NOSIGNAL)
}

// shimRecv reads one message of the host. A host that is gone is an error.
func shimRecv(buf []byte) (byte, []byte, []int, error) {
	oob := make([]byte, unix.CmsgSpace(batchFiles*4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(channelFD, buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, nil, nil, err
		case n == 0:
			return 0, nil, nil, unix.EPIPE
		case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			return 0, nil, nil, unix.EMSGSIZE
		}
		fds, err := rights(oob[:oobn])
		return buf[0], buf[1:n], fds, err
	}
}

func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// shimConfig reads descriptors and configuration up to R.
func shimConfig() ([]byte, []int, error) {
	buf := make([]byte, maxMessage)
	var config []byte
	var fds []int
	for {
		kind, body, got, err := shimRecv(buf)
		if err != nil {
			return nil, nil, err
		}
		config, fds = append(config, body...), append(fds, got...)
		switch {
		case len(config) > maxConfig || len(fds) > maxReceived:
			return nil, nil, unix.E2BIG
		case kind == kindRun:
			return config, fds, nil
		case kind != kindFiles && kind != kindChunk:
			return nil, nil, unix.EBADMSG
		}
	}
}
