package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
)

// ErrCredentials is the code of a credentials file that is damaged.
const ErrCredentials fault.Code = "credentials_file"

const (
	credentialsSchema = "mythos.registries/1"
	maxCredentials    = 1 << 20 // bytes of the file
	maxToken          = 16 << 10
)

// Credential is what a registry is shown: a token, or a name and a password.
type Credential struct {
	Token    string `json:"token,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
}

// Credentials is the credentials file: for each registry, as https://HOST or
// oci://HOST, what to show it.
type Credentials struct {
	Schema     string                `json:"schema"`
	Registries map[string]Credential `json:"registries"`

	token string // of MYTHOS_REGISTRY_TOKEN, for a registry that the file does not name
}

// of returns what to show to a registry; the zero value is nothing.
func (c *Credentials) of(u *url.URL) Credential { return c.Registries[credentialKey(u)] }

// Hosts lists the registries, ascending.
func (c *Credentials) Hosts() []string { return slices.Sorted(maps.Keys(c.Registries)) }

// credentialKey names a registry in the file. Paths and repositories do not count,
// and a token for https is not sent over http.
func credentialKey(u *url.URL) string { return u.Scheme + "://" + u.Host }

// CredentialsPath returns where the credentials file is.
func (n *Node) CredentialsPath() string { return filepath.Join(n.Paths.Config, "registries.json") }

// Credentials reads the credentials file; a missing one is empty. One that others
// may read is refused.
func (n *Node) Credentials() (*Credentials, error) {
	c := &Credentials{Schema: credentialsSchema, Registries: map[string]Credential{}}
	path := n.CredentialsPath()
	f, err := os.Open(path)
	if isMissing(err) {
		return c, nil
	}
	if err != nil {
		return nil, pathError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, pathError(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.New(ErrKeyMode, "mode %#o lets others read it: run chmod 600", mode).About(path)
	}
	raw, err := readAll(f, path, maxCredentials)
	if err != nil {
		return nil, err
	}
	// Errors of the decoder may repeat what it read, which is secret.
	if json.Unmarshal(raw, c) != nil || c.Schema != credentialsSchema {
		return nil, fault.New(ErrCredentials, "it is no file that mythos login wrote").About(path)
	}
	if c.Registries == nil {
		c.Registries = map[string]Credential{}
	}
	return c, nil
}

// Login keeps what to show to the registry that a URL names, in place of what was
// kept for it, and returns the registry's name in the file.
func (n *Node) Login(ctx context.Context, address string, c Credential, o RemoteOptions) (string, error) {
	u, err := registryURL(address)
	if err != nil {
		return "", err
	}
	if err := mayBePlain(u, o); err != nil {
		return "", aboutRemote(address, err)
	}
	for _, secret := range []string{c.Token, c.Username, c.Password} {
		if len(secret) > maxToken || slices.ContainsFunc([]byte(secret), func(b byte) bool { return b < ' ' || b == 0x7f }) {
			return "", fault.New(ErrCredentials, "a token or password is one line of text, of at most %d bytes", maxToken).About(address)
		}
	}
	if (c.Token == "") == (c.Password == "") || (c.Username == "") != (c.Password == "") || c.Username != "" && u.Scheme != "oci" {
		return "", fault.New(ErrCredentials, "a registry is shown a token; an OCI registry may be shown a name and a password instead").About(address)
	}
	key := credentialKey(u)
	return key, n.changeCredentials(ctx, func(all map[string]Credential) bool {
		all[key] = c
		return true
	})
}

// Logout forgets what was kept for a registry, and reports whether there was
// anything.
func (n *Node) Logout(ctx context.Context, address string) (name string, there bool, err error) {
	u, err := registryURL(address)
	if err != nil {
		return "", false, err
	}
	name = credentialKey(u)
	err = n.changeCredentials(ctx, func(all map[string]Credential) bool {
		_, there = all[name]
		delete(all, name)
		return there
	})
	return name, there, err
}

// CheckRegistry refuses a URL that Login would refuse.
func CheckRegistry(address string) error {
	_, err := registryURL(address)
	return err
}

func registryURL(address string) (*url.URL, error) {
	u, err := parseRemote(address)
	if err == nil && !isHTTP(u) && u.Scheme != "oci" {
		err = fault.New(remote.ErrURL, "credentials of %s remotes come from the environment", u.Scheme).About(address)
	}
	return u, err
}

// changeCredentials changes the file, unless change says that nothing changed.
func (n *Node) changeCredentials(ctx context.Context, change func(map[string]Credential) bool) error {
	path := n.CredentialsPath()
	lock, err := lockOwn(ctx, path)
	if err != nil {
		return err
	}
	defer lock.Close()
	c, err := n.Credentials()
	if err != nil || !change(c.Registries) {
		return err
	}
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return pathError(path, atomicfile.Write(path, append(raw, '\n'), 0o600))
}

// ReadSecret reads a token or password: one line, without its end.
func ReadSecret(r io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxToken+2))
	if err != nil {
		return "", err
	}
	text := string(raw)
	for _, end := range []string{"\n", "\r"} {
		if n := len(text); n > 0 && text[n-1:] == end {
			text = text[:n-1]
		}
	}
	if text == "" || len(text) > maxToken {
		return "", errors.New("one line of text is due")
	}
	return text, nil
}

// lockOwn takes the lock beside a file of this home.
func lockOwn(ctx context.Context, path string) (*os.File, error) {
	f, err := lockFile(ctx, path+".lock")
	if errors.Is(err, gate.ErrTrustUnreadable) { // which it says of any file
		return nil, fault.New(ErrPath, "the lock beside it cannot be taken").About(path)
	}
	return f, err
}
