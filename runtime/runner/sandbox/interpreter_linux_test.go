package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestAttackInterpreters repeats what matters from Python and Node.
func TestAttackInterpreters(t *testing.T) {
	h, secret, port := sandboxHost(t), hostFile(t), listenTCP(t)
	python := "import socket\ntry: open(%q); print('read: ok')\nexcept Exception as e: print('read:', type(e).__name__)\n" +
		"try: socket.create_connection(('127.0.0.1', %s)); print('tcp: ok')\nexcept Exception as e: print('tcp:', type(e).__name__)\n"
	node := "try { require('fs').readFileSync(%q); console.log('read: ok') } catch (e) { console.log('read: ' + e.code) }\n" +
		"require('net').connect(%s, '127.0.0.1').on('connect', function () { console.log('tcp: ok'); this.destroy() }).on('error', e => console.log('tcp: ' + e.code))\n"
	for _, c := range []struct {
		program string
		args    []string
		code    string
		want    map[string]string
	}{
		{"/usr/bin/python3", []string{"-I", "-S", "-B", "-c"}, python, map[string]string{"read": "FileNotFoundError", "tcp": "PermissionError"}},
		{"/usr/bin/node", []string{"-e"}, node, map[string]string{"read": "ENOENT", "tcp": "EACCES"}},
	} {
		if _, err := os.Stat(c.program); err != nil {
			t.Logf("SKIPPED: %v", err)
			continue
		}
		argv := append(append([]string{c.program}, c.args...), fmt.Sprintf(c.code, secret, port))
		b, err := exec.Command(argv[0], argv[1:]...).Output()
		if err != nil {
			t.Fatal(err)
		}
		want(t, "control", string(b), map[string]string{"read": "ok", "tcp": "ok"})
		p := start(t, h, interpreterSpec(argv))
		out, exit := output(t, p)
		want(t, c.program, out, c.want)
		if exit.Code != 0 {
			t.Errorf("%s: %+v", c.program, exit)
		}
	}
}

// interpreterSpec shows the system's programs and libraries.
func interpreterSpec(argv []string) Spec {
	s := Spec{Argv: argv, Env: []string{"HOME=/tmp", "TMPDIR=/tmp"}, Limits: Limits{Memory: 512 << 20}}
	for _, p := range []string{"/usr", "/lib", "/lib64"} {
		if exists(p) {
			s.Mounts = append(s.Mounts, Mount{Source: p, Target: p})
		}
	}
	return s
}
