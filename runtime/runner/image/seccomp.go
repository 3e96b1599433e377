package image

// seccomp is the filter of a config.json.
type seccomp struct {
	Default       string     `json:"defaultAction"`
	Architectures []string   `json:"architectures"`
	Syscalls      []syscalls `json:"syscalls"`
}

type syscalls struct {
	Names  []string `json:"names"`
	Action string   `json:"action"`
	Errno  *uint    `json:"errnoRet,omitempty"`
	Args   []arg    `json:"args,omitempty"`
}

type arg struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

// denied names the calls that the sandbox of processes denies (denylist-v1; a test
// compares the two), of all architectures: libseccomp passes over a name that an
// architecture does not have. It also passes over those that are newer than
// itself. Of these open_tree_attr and the like still need a capability that no
// module has, and cannot get, because no namespace can be made.
func denied() []string {
	return []string{
		"mount", "umount2", "pivot_root", "move_mount", "fsopen", "fsmount", "fsconfig", "fspick", "open_tree", "mount_setattr", "setns", "unshare", "chroot",
		"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "process_mrelease",
		"bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register",
		"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "syslog", "acct", "quotactl", "quotactl_fd",
		"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "name_to_handle_at", "open_by_handle_at",
		"personality", "vhangup", "memfd_secret", "fanotify_init", "fanotify_mark", "vmsplice", "migrate_pages", "move_pages", "mbind", "set_mempolicy", "set_mempolicy_home_node",
		"iopl", "ioperm", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl", "open_tree_attr",
	}
}

// Values in filters.
const (
	eperm, eacces, enosys = 1, 13, 38
	afUnix                = 1
	tiocsti, tioclinux    = 0x5412, 0x541c
	// newNamespaces are the flags of clone that make a namespace.
	newNamespaces = 0x10000000 | 0x20000000 | 0x00020000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
)

// denylist is the filter denylist-v1 for a runtime that loads it by libseccomp,
// which kills calls of every architecture that is not listed. Of clone's flags
// each namespace's bit is looked at by itself: a masked comparison asks for one
// value.
func denylist(arch string) *seccomp {
	const allow, deny = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
	errno := func(n uint) *uint { return &n }
	s := &seccomp{Default: allow}
	if name, ok := map[string]string{"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}[arch]; ok {
		s.Architectures = []string{name}
	}
	s.Syscalls = []syscalls{
		{Names: denied(), Action: deny, Errno: errno(eperm)},
		{Names: []string{"clone3"}, Action: deny, Errno: errno(enosys)},
		{Names: []string{"socket", "socketpair"}, Action: deny, Errno: errno(eacces), Args: []arg{{Index: 0, Value: afUnix, Op: "SCMP_CMP_NE"}}},
	}
	for bit := uint64(1); bit <= newNamespaces; bit <<= 1 {
		if bit&newNamespaces != 0 {
			s.Syscalls = append(s.Syscalls, syscalls{
				Names: []string{"clone"}, Action: deny, Errno: errno(eperm),
				Args: []arg{{Index: 0, Value: bit, ValueTwo: bit, Op: "SCMP_CMP_MASKED_EQ"}},
			})
		}
	}
	for _, request := range []uint64{tiocsti, tioclinux} {
		s.Syscalls = append(s.Syscalls, syscalls{
			Names: []string{"ioctl"}, Action: deny, Errno: errno(eperm),
			// The kernel looks at 32 bits of it.
			Args: []arg{{Index: 1, Value: 0xffffffff, ValueTwo: request, Op: "SCMP_CMP_MASKED_EQ"}},
		})
	}
	return s
}
