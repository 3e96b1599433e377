package pack

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// secretPattern is a text that gives a secret away. Only a buffer that holds
// the hint is searched with the expression.
type secretPattern struct {
	what string
	hint string
	text *regexp.Regexp
}

// secretPatterns returns what no package should hold. A key needs its content
// to be found: programs that read PEM files name the header, too.
func secretPatterns() []secretPattern {
	return []secretPattern{
		{"a PEM private key", "PRIVATE KEY", regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\r|\\n){1,8}(?:[A-Za-z0-9+/=]{16}|[A-Z][A-Za-z-]{2,20}: )`)},
		{"a MYTHOS secret key", "MYTHOS SECRET KEY", regexp.MustCompile(`MYTHOS SECRET KEY v1\r?\nrole: `)},
		{"an AWS access key", "AKIA", regexp.MustCompile(`(?:^|[^A-Za-z0-9])AKIA[A-Z2-7]{16}(?:$|[^A-Za-z0-9])`)},
		{"an AWS access key", "ASIA", regexp.MustCompile(`(?:^|[^A-Za-z0-9])ASIA[A-Z2-7]{16}(?:$|[^A-Za-z0-9])`)},
		{"a GitHub token", "ghp_", regexp.MustCompile(`(?:^|[^A-Za-z0-9_])ghp_[A-Za-z0-9]{36}(?:$|[^A-Za-z0-9])`)},
	}
}

// secretReach is more than any pattern can span.
const secretReach = 256

// secretScan looks for secrets in what is written to it.
type secretScan struct {
	patterns []secretPattern
	tail     []byte // the last bytes of what came before
	what     string // what was found, "" for nothing
}

// Write never fails.
func (s *secretScan) Write(p []byte) (int, error) {
	if s.patterns == nil {
		s.patterns = secretPatterns()
	}
	if s.what == "" {
		buf := append(s.tail, p...)
		for _, x := range s.patterns {
			if bytes.Contains(buf, []byte(x.hint)) && x.in(buf) {
				s.what = x.what
				break
			}
		}
		s.tail = append(s.tail[:0], buf[max(0, len(buf)-secretReach):]...)
	}
	return len(p), nil
}

// in reports whether b holds the pattern. The keys that handbooks print are not
// secret and say so.
func (x *secretPattern) in(b []byte) bool {
	return slices.ContainsFunc(x.text.FindAll(b, -1), func(m []byte) bool { return !bytes.Contains(m, []byte("EXAMPLE")) })
}

// secretName refuses files whose names say that they hold a secret.
func (c *collector) secretName(p string) error {
	base := strings.ToLower(path.Base(p))
	named := slices.Contains([]string{".env", ".npmrc", ".netrc", ".pypirc", "id_rsa", "id_ecdsa", "id_ed25519"}, base)
	ended := slices.Contains([]string{".key", ".p12", ".pfx", ".jks"}, path.Ext(base))
	if c.allowSecrets || !named && !ended {
		return nil
	}
	return fault.New(ErrSecret, "files of that name hold secrets").About(p)
}
