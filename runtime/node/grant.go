package node

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrGrant is the code of a grant that cannot be read.
const ErrGrant fault.Code = "grant_invalid"

// Defaults of what a grant leaves out.
const (
	grantPort  = 443
	grantBytes = 64 << 20
)

// GrantForms is what ParseGrant reads, for help texts.
const GrantForms = "clock, random, net=HOST[:PORT][,METHOD...], fs-read=PATH, fs-write=PATH[:BYTES], secret=NAME, blob=CID"

// ParseGrant reads a power that a user hands to a run, in one of GrantForms. A
// relative path is taken from the working folder, and symbolic links in it are
// resolved: the power is over the place that the path means now.
func ParseGrant(text string) (caps.Scope, error) {
	kind, arg, _ := strings.Cut(text, "=")
	power, err := parsePower(kind, arg)
	if err != nil {
		return caps.Scope{}, fault.New(ErrGrant, "%w", err).About("--grant " + text)
	}
	scope := caps.ScopeOf(power)
	if err := caps.CheckScope(scope); err != nil {
		return caps.Scope{}, fault.New(ErrGrant, "%w", err).About("--grant " + text)
	}
	return scope, nil
}

// PowerForms is what ParsePower reads, for help texts.
const PowerForms = GrantForms + ", blob-write=NAMESPACE:BYTES,MEDIA[,MEDIA...], run=PACKAGE_ID[:RING], publish=PREFIX"

// ParsePower reads a power that somebody issues, in one of PowerForms: what a run can
// be handed, and what is over a node.
func ParsePower(text string) (caps.Scope, error) {
	kind, arg, _ := strings.Cut(text, "=")
	var power caps.Power
	var err error
	switch kind {
	case "blob-write":
		power, err = parseBlobWrite(arg)
	case "run":
		power, err = parsePackageRun(arg)
	case "publish":
		power = &caps.PackagePublish{NamePrefix: arg}
		if arg == "" {
			err = errors.New("a prefix of package names is missing, as in publish=acme/")
		}
	default:
		return ParseGrant(text)
	}
	if err == nil {
		err = caps.CheckScope(caps.ScopeOf(power))
	}
	if err != nil {
		return caps.Scope{}, fault.New(ErrGrant, "%w", err).About("--grant " + text)
	}
	return caps.ScopeOf(power), nil
}

// parseBlobWrite reads NAMESPACE:BYTES,MEDIA[,MEDIA...].
func parseBlobWrite(arg string) (caps.Power, error) {
	list := strings.Split(arg, ",")
	i := strings.LastIndexByte(list[0], ':')
	if i < 0 || len(list) < 2 {
		return nil, errors.New("want blob-write=NAMESPACE:BYTES,MEDIA, as in blob-write=scratch:1000000,text/plain")
	}
	n, err := strconv.ParseUint(list[0][i+1:], 10, 63)
	if err != nil {
		return nil, fmt.Errorf("%q is no number of bytes", list[0][i+1:])
	}
	return &caps.BlobWrite{Namespace: list[0][:i], MaxSize: n, MediaAllow: list[1:]}, nil
}

// parsePackageRun reads PACKAGE_ID[:RING].
func parsePackageRun(arg string) (caps.Power, error) {
	id, ring := arg, uint64(0)
	if hash, text, found := strings.Cut(strings.TrimPrefix(arg, "sha256:"), ":"); found {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return nil, fmt.Errorf("ring %q is no number from 0 to 255", text)
		}
		id, ring = "sha256:"+hash, n
	}
	h, err := cid.Parse(id)
	return &caps.PackageRun{PackageID: h, Ring: uint8(ring)}, err
}

func parsePower(kind, arg string) (caps.Power, error) {
	bare := kind == "clock" || kind == "random"
	if bare == (arg != "") {
		return nil, fault.New(ErrGrant, "want one of %s", GrantForms)
	}
	switch kind {
	case "clock":
		return &caps.Clock{}, nil
	case "random":
		return &caps.Random{}, nil
	case "net":
		return parseNet(arg)
	case "fs-read":
		path, err := place(arg)
		return &caps.FsRead{Path: path}, err
	case "fs-write":
		return parseWrite(arg)
	case "secret":
		return &caps.SecretRead{Name: arg}, nil
	case "blob":
		id, err := cid.Parse(arg)
		return &caps.BlobRead{CID: id}, err
	}
	return nil, fault.New(ErrGrant, "want one of %s", GrantForms)
}

// parseNet reads HOST[:PORT][,METHOD...]; HOST may be an address, in brackets if it
// holds colons and a port follows.
func parseNet(arg string) (caps.Power, error) {
	list := strings.Split(arg, ",")
	host, port := strings.ToLower(list[0]), uint64(grantPort)
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return &caps.NetConnect{Hosts: []string{a.Unmap().String()}, Ports: []uint32{grantPort}, Methods: methods(list[1:])}, nil
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		n, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil {
			return nil, fault.New(ErrGrant, "port %q is no number from 1 to 65535", host[i+1:])
		}
		host, port = strings.Trim(host[:i], "[]"), n
	}
	return &caps.NetConnect{Hosts: []string{host}, Ports: []uint32{uint32(port)}, Methods: methods(list[1:])}, nil
}

func methods(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list)
	for i := range out {
		out[i] = strings.ToUpper(out[i])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// parseWrite reads PATH[:BYTES].
func parseWrite(arg string) (caps.Power, error) {
	limit := uint64(grantBytes)
	if i := strings.LastIndexByte(arg, ':'); i >= 0 {
		if n, err := strconv.ParseUint(arg[i+1:], 10, 63); err == nil {
			arg, limit = arg[:i], n
		}
	}
	path, err := place(arg)
	return &caps.FsWrite{Path: path, MaxBytes: limit}, err
}

// place returns the absolute path without symbolic links of what exists at path.
func place(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	return filepath.ToSlash(abs), cause(err)
}

// grantedTools returns the tools whose modules, all of them, require no kind of
// capability but those of the grants.
func grantedTools(pkg *gate.Package, grants []caps.Scope) []cid.Hash {
	var tools []cid.Hash
	needy := map[cid.Hash]bool{}
	for _, b := range pkg.Manifest().Modules {
		if !slices.Contains(tools, b.ToolID) {
			tools = append(tools, b.ToolID)
		}
		for _, want := range b.Module.CapsRequired {
			given := slices.ContainsFunc(grants, func(s caps.Scope) bool { return s.Kind == want.Kind })
			needy[b.ToolID] = needy[b.ToolID] || !given
		}
	}
	return slices.DeleteFunc(tools, func(id cid.Hash) bool { return needy[id] })
}
