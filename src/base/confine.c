/* SPDX-License-Identifier: MIT */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void confine_core_files(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    FILE *filter = fopen("/proc/self/coredump_filter", "we"); /* which memory a core file holds */
    if (filter == NULL)
        return;
    fputs("0", filter);
    fclose(filter);
}

/* ---- files ---- */

/* struct landlock_ruleset_attr as of Linux 6.12. An older kernel takes less of it, an older
 * <linux/landlock.h> knows less of it. */
struct ruleset {
    uint64_t files;
    uint64_t net;
    uint64_t scoped;
};

enum { VERSION_TRUNCATE = 3, VERSION_NET = 4, VERSION_DEVICES = 5, VERSION_SCOPED = 6 };

#define RIGHT_TRUNCATE ((uint64_t)1 << 14)
#define RIGHT_IOCTL_DEVICE ((uint64_t)1 << 15)
#define NET_BIND_TCP ((uint64_t)1 << 0)
#define NET_CONNECT_TCP ((uint64_t)1 << 1)
#define SCOPED_SIGNAL ((uint64_t)1 << 1)

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

/* What may be done beneath the writable directory: no devices, sockets and links. */
static const uint64_t writing = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                LANDLOCK_ACCESS_FS_MAKE_DIR | RIGHT_TRUNCATE;

/* Version 1 has all up to this one. */
static const uint64_t of_version_1 = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

/* Everything that this version of Landlock can forbid and `files` does not allow. */
static struct ruleset make_ruleset(const struct confine_files *files, long version)
{
    struct ruleset ruleset = {.files = of_version_1};
    if (version >= VERSION_TRUNCATE)
        ruleset.files |= RIGHT_TRUNCATE;
    if (version >= VERSION_DEVICES)
        ruleset.files |= RIGHT_IOCTL_DEVICE;
    if (files->readable == NULL)
        ruleset.files &= ~reading;
    if (version >= VERSION_NET)
        ruleset.net = files->connects ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
    if (version >= VERSION_SCOPED)
        ruleset.scoped = files->signals ? 0 : SCOPED_SIGNAL;
    return ruleset;
}

static size_t size_of_version(long version)
{
    if (version >= VERSION_SCOPED)
        return sizeof(struct ruleset);
    return version >= VERSION_NET ? offsetof(struct ruleset, scoped)
                                  : offsetof(struct ruleset, net);
}

static bool allow(int ruleset, const char *path, uint64_t rights)
{
    const uint64_t of_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_EXECUTE | RIGHT_TRUNCATE;
    struct stat status;
    struct landlock_path_beneath_attr beneath = {.allowed_access = rights};
    beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
    if (fstat(beneath.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        beneath.allowed_access &= of_files;
    bool allowed =
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
    close(beneath.parent_fd);
    return allowed;
}

static bool allow_all(int ruleset, uint64_t handled, const struct confine_files *files)
{
    bool allowed = allow(ruleset, files->writable, writing & handled);
    for (size_t i = 0; allowed && i < files->readable_len; i++)
        allowed = allow(ruleset, files->readable[i], reading & handled);
    return allowed;
}

bool confine_files(const struct confine_files *files)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 0)
        return false;
    struct ruleset rules = make_ruleset(files, version);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, size_of_version(version), 0);
    if (ruleset < 0)
        return false;
    bool confined = allow_all(ruleset, rules.files, files) &&
                    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                    syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int wrong = errno;
    close(ruleset);
    errno = wrong;
    return confined;
}

/* ---- system calls ---- */

enum {
    FCHMODAT2 = 452 /* of Linux 6.6, on every architecture; libseccomp 2.5 has no name for it */
};

static const int forbidden[] = {
    /* other programs */
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    /* other processes */
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(kcmp),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    /* another view of the file system */
    SCMP_SYS(chroot),
    SCMP_SYS(pivot_root),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    FCHMODAT2,
    SCMP_SYS(chown),
    SCMP_SYS(fchown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),
    /* another user */
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    /* new doors into the service */
    SCMP_SYS(listen),
    SCMP_SYS(socketpair),
    /* parts of the kernel that no server needs */
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(syslog),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(personality),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
};

/* In whose keyrings a client of a database may have its tickets. */
static const int of_kerberos[] = {SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl)};

/* Only for threads; clone3(2), whose flags a filter cannot see, is not there, so the C library
 * takes clone(2). */
static int forbid_processes(scmp_filter_ctx filter)
{
    int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (code == 0) /* limits, but for its own */
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                                SCMP_A0(SCMP_CMP_NE, 0, 0));
    return code;
}

/* None but unix ones, or those that clients of the database and the C library use. */
static int forbid_sockets(scmp_filter_ctx filter, bool connects)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    size_t len = connects ? ARRAY_LEN(families) : 1;
    int code = 0;
    int before = -1;
    for (size_t i = 0; code == 0 && i < len; i++) { /* the gaps between them */
        for (int family = before + 1; code == 0 && family < families[i]; family++)
            code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                                    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
        before = families[i];
    }
    return code != 0 ? code
                     : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                                        SCMP_A0(SCMP_CMP_GT, (scmp_datum_t)before, 0));
}

static int forbid(scmp_filter_ctx filter, const int *calls, size_t len)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < len; i++)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
    return code;
}

static int forbid_all(scmp_filter_ctx filter, bool connects)
{
    int code = forbid_processes(filter);
    if (code == 0)
        code = forbid_sockets(filter, connects);
    if (code == 0)
        code = forbid(filter, forbidden, ARRAY_LEN(forbidden));
    if (code == 0 && !connects)
        code = forbid(filter, of_kerberos, ARRAY_LEN(of_kerberos));
    return code;
}

bool confine_calls(bool connects)
{
    enum { SORT_AS_TREE = 2 };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        errno = ENOMEM;
        return false;
    }
    /* Without the mitigation of speculative stores, which Linux before 5.16 takes a filter to ask
     * for: it slows all down, and this process runs no code that is not its own. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* say why */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, SORT_AS_TREE);
    int code = forbid_all(filter, connects);
    if (code == 0)
        code = seccomp_load(filter); /* sets no_new_privs */
    seccomp_release(filter);
    errno = code == -EINVAL ? ENOSYS : -code; /* what a kernel without filters returns */
    return code == 0;
}
