/* SPDX-License-Identifier: MIT
 *
 * What a confined process can still do, and what not, each tried in a child that has given it up.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/confine.h"
#include "harness.h"

static char own[] = "/tmp/confine-own-XXXXXX";     /* can be written */
static char shown[] = "/tmp/confine-shown-XXXXXX"; /* can be read */
static char other[] = "/tmp/confine-other-XXXXXX"; /* neither */

/* An attempt returns 0 if it succeeded, or an errno. */
typedef int attempt(void);

static int result_of(bool done)
{
    return done ? 0 : errno;
}

static const char *in(const char *directory, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    int result = result_of(fd >= 0);
    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- allowed ---- */

static int make_own(void)
{
    return try_open(in(own, "new"), O_RDWR | O_CREAT);
}

static int cut_own(void)
{
    return result_of(truncate(in(own, "file"), 1) == 0);
}

static int rename_own(void)
{
    char from[128];
    snprintf(from, sizeof from, "%s", in(own, "file"));
    return result_of(rename(from, in(own, "renamed")) == 0);
}

static int remove_own(void)
{
    return result_of(unlink(in(own, "removed")) == 0);
}

static int read_shown(void)
{
    return try_open(in(shown, "file"), O_RDONLY);
}

static void *do_nothing(void *argument)
{
    return argument;
}

static int start_thread(void)
{
    pthread_t thread;
    int code = pthread_create(&thread, NULL, do_nothing, NULL);
    return code != 0 ? code : pthread_join(thread, NULL);
}

static int open_unix_socket(void)
{
    return result_of(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
}

static int read_own_limit(void)
{
    struct rlimit limit;
    return result_of(getrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* ---- forbidden: files ---- */

static int write_shown(void)
{
    return try_open(in(shown, "file"), O_WRONLY);
}

static int cut_shown(void)
{
    return result_of(truncate(in(shown, "file"), 0) == 0);
}

static int read_other(void)
{
    return try_open(in(other, "file"), O_RDONLY);
}

static int list_other(void)
{
    return try_open(other, O_RDONLY | O_DIRECTORY);
}

static int make_other(void)
{
    return try_open(in(other, "new"), O_WRONLY | O_CREAT);
}

static int remove_other(void)
{
    return result_of(unlink(in(other, "file")) == 0);
}

static int read_passwords(void)
{
    return try_open("/etc/passwd", O_RDONLY);
}

static int leave_by_a_link(void)
{
    return try_open(in(own, "link"), O_RDONLY);
}

static int leave_by_dots(void)
{
    return try_open(in(own, "../../etc/passwd"), O_RDONLY);
}

static int make_socket_file(void)
{
    return result_of(mknod(in(own, "socket"), S_IFSOCK | 0600, 0) == 0);
}

static int make_link(void)
{
    return result_of(symlink("/etc/passwd", in(own, "made-link")) == 0);
}

/* ---- forbidden: the network ---- */

static int use_port(bool connects)
{
    enum { NOBODY_LISTENS = 9 };
    struct sockaddr_in address = {.sin_family = AF_INET};
    const struct sockaddr *at = (const struct sockaddr *)&address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(connects ? NOBODY_LISTENS : 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result =
        result_of((connects ? connect(fd, at, sizeof address) : bind(fd, at, sizeof address)) == 0);
    close(fd);
    return result;
}

static int bind_port(void)
{
    return use_port(false);
}

static int connect_port(void)
{
    return use_port(true);
}

static int listen_at_socket(void)
{
    return result_of(listen(STDIN_FILENO, 1) == 0);
}

static int open_raw_packets(void)
{
    return result_of(socket(AF_PACKET, SOCK_RAW, 0) >= 0);
}

static int open_kernel_crypto(void)
{
    return result_of(socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0);
}

static int open_family_in_a_gap(void)
{
    return result_of(socket(AF_KEY, SOCK_RAW, 2) >= 0);
}

/* ---- forbidden: processes ---- */

static char true_name[] = "true";
static char *const true_words[] = {true_name, NULL};

static int execute(void)
{
    execv("/bin/true", true_words);
    return errno;
}

static int execute_descriptor(void)
{
    int fd = open("/usr/bin/true", O_RDONLY | O_CLOEXEC);
    fexecve(fd, true_words, true_words + 1);
    return errno;
}

static int fork_once(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result_of(pid > 0);
}

static int clone_process(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return result_of(pid > 0);
}

static int trace_parent(void)
{
    return result_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0);
}

static int read_memory_of_parent(void)
{
    char byte;
    struct iovec here = {&byte, 1};
    struct iovec there = {own, 1};
    return result_of(process_vm_readv(getppid(), &here, 1, &there, 1, 0) == 1);
}

static int open_memory_of_parent(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
    return try_open(path, O_RDONLY);
}

static int kill_parent(void)
{
    return result_of(kill(getppid(), 0) == 0);
}

static int limit_parent(void)
{
    struct rlimit limit;
    return result_of(prlimit(getppid(), RLIMIT_CPU, NULL, &limit) == 0);
}

/* ---- forbidden: the system ---- */

static int unshare_users(void)
{
    return result_of(unshare(CLONE_NEWUSER) == 0);
}

static int load_bpf(void)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    return result_of(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr) >= 0);
}

static int set_up_io_uring(void)
{
    return result_of(syscall(SYS_io_uring_setup, 1, NULL) >= 0);
}

static int change_root(void)
{
    return result_of(chroot(own) == 0);
}

static int change_mode(void)
{
    return result_of(chmod(in(own, "kept"), 0666) == 0);
}

static int change_user(void)
{
    return result_of(setuid(getuid()) == 0);
}

static int add_key(void)
{
    return result_of(syscall(SYS_add_key, "user", "k", "v", 1, -3) >= 0);
}

static int make_pair(void)
{
    int pair[2];
    return result_of(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
}

static int make_ip_socket(void)
{
    return result_of(socket(AF_INET6, SOCK_DGRAM, 0) >= 0);
}

static int make_mptcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    return fd < 0 && errno == EPROTONOSUPPORT ? 0 : result_of(fd >= 0);
}

static int change_mode_anew(void)
{
    enum { FCHMODAT2 = 452 };
    return result_of(syscall(FCHMODAT2, AT_FDCWD, in(own, "kept"), 0666, 0) == 0);
}

static int set_attribute(void)
{
    return result_of(setxattr(in(own, "kept"), "user.a", "b", 1, 0) == 0);
}

static const struct {
    const char *name;
    attempt *attempt;
    int result;        /* an errno; 0: it succeeds */
    int with_database; /* the same, where all files can be read and connections made */
    int version;       /* of Landlock that it takes; 0: none */
} attempts[] = {
    {"make own", make_own, 0, 0, 0},
    {"cut own", cut_own, 0, 0, 0},
    {"rename own", rename_own, 0, 0, 0},
    {"remove own", remove_own, 0, 0, 0},
    {"read shown", read_shown, 0, 0, 0},
    {"start thread", start_thread, 0, 0, 0},
    {"open unix socket", open_unix_socket, 0, 0, 0},
    {"read own limit", read_own_limit, 0, 0, 0},

    {"write shown", write_shown, EACCES, EACCES, 1},
    {"cut shown", cut_shown, EACCES, EACCES, 3},
    {"read other", read_other, EACCES, 0, 1},
    {"list other", list_other, EACCES, 0, 1},
    {"make other", make_other, EACCES, EACCES, 1},
    {"remove other", remove_other, EACCES, EACCES, 1},
    {"read passwords", read_passwords, EACCES, 0, 1},
    {"leave by a link", leave_by_a_link, EACCES, 0, 1},
    {"leave by dots", leave_by_dots, EACCES, 0, 1},
    {"make socket file", make_socket_file, EPERM, EPERM, 0},
    {"make link", make_link, EACCES, EACCES, 1},
    {"bind port", bind_port, EBADF, EACCES, 4},
    {"connect port", connect_port, EBADF, ECONNREFUSED, 0},
    {"kill parent", kill_parent, EPERM, EPERM, 6},
    {"open memory of parent", open_memory_of_parent, EACCES, EACCES, 1},

    {"listen", listen_at_socket, EPERM, EPERM, 0},
    {"raw packets", open_raw_packets, EPERM, EPERM, 0},
    {"kernel crypto", open_kernel_crypto, EPERM, EPERM, 0},
    {"family in a gap", open_family_in_a_gap, EPERM, EPERM, 0},
    {"execute", execute, EPERM, EPERM, 0},
    {"execute descriptor", execute_descriptor, EPERM, EPERM, 0},
    {"fork", fork_once, EPERM, EPERM, 0},
    {"clone", clone_process, EPERM, EPERM, 0},
    {"trace parent", trace_parent, EPERM, EPERM, 0},
    {"read memory of parent", read_memory_of_parent, EPERM, EPERM, 0},
    {"limit parent", limit_parent, EPERM, EPERM, 0},
    {"unshare users", unshare_users, EPERM, EPERM, 0},
    {"bpf", load_bpf, EPERM, EPERM, 0},
    {"io_uring", set_up_io_uring, EPERM, EPERM, 0},
    {"change root", change_root, EPERM, EPERM, 0},
    {"change mode", change_mode, EPERM, EPERM, 0},
    {"change user", change_user, EPERM, EPERM, 0},
    {"add key", add_key, EPERM, 0, 0},
    {"make unix pair", make_pair, EPERM, EPERM, 0},
    {"make ip socket", make_ip_socket, EPERM, 0, 0},
    {"make mptcp socket", make_mptcp_socket, EPERM, 0, 0},
    {"change mode anew", change_mode_anew, EPERM, EPERM, 0},
    {"set attribute", set_attribute, EPERM, EPERM, 0},
};

/* The rest of the list in confine.c, which changes nothing even where it is let through: no
 * argument is one that the kernel takes. */
static const struct {
    const char *name;
    long number;
} calls[] = {
#define CALL(name_)                                                                                \
    {                                                                                              \
#name_, SYS_##name_                                                                        \
    }
    CALL(process_vm_writev),
    CALL(pidfd_getfd),
    CALL(pidfd_open),
    CALL(kcmp),
    CALL(setns),
    CALL(pivot_root),
    CALL(mount),
    CALL(umount2),
    CALL(move_mount),
    CALL(open_tree),
    CALL(fsopen),
    CALL(fsmount),
    CALL(mount_setattr),
    CALL(name_to_handle_at),
    CALL(open_by_handle_at),
    CALL(mknodat),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(fchown),
    CALL(fchownat),
    CALL(fsetxattr),
    CALL(lsetxattr),
    CALL(process_madvise),
    CALL(setgroups),
    CALL(capset),
    CALL(perf_event_open),
    CALL(userfaultfd),
    CALL(io_uring_enter),
    CALL(io_uring_register),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(reboot),
    CALL(swapon),
    CALL(swapoff),
    CALL(acct),
    CALL(quotactl),
    CALL(syslog),
    CALL(settimeofday),
    CALL(clock_settime),
    CALL(adjtimex),
    CALL(clock_adjtime),
    CALL(sethostname),
    CALL(setdomainname),
    CALL(personality),
#undef CALL
};

static int try_calls(void)
{
    int wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (syscall(calls[i].number, -1L, -1L, -1L, -1L, -1L, -1L) != -1 || errno != EPERM) {
            fprintf(stderr, "%s: %s\n", calls[i].name, strerror(errno));
            wrong++;
        }
    return wrong;
}

static void fill(const char *directory)
{
    const char *const names[] = {"file", "removed", "kept"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        FILE *file = fopen(in(directory, names[i]), "we");
        cr_assert_not_null(file);
        fputs("text", file);
        fclose(file);
    }
}

static void set_up(void)
{
    cr_assert(mkdtemp(own) != NULL && mkdtemp(shown) != NULL && mkdtemp(other) != NULL);
    fill(own);
    fill(shown);
    fill(other);
    cr_assert_eq(symlink("/etc/passwd", in(own, "link")), 0);
}

static void tear_down(void)
{
    directory_remove(own);
    directory_remove(shown);
    directory_remove(other);
}

TestSuite(confine, .init = set_up, .fini = tear_down);

/* In the child; returns the number of attempts that went wrong. */
static int try_all(bool database)
{
    const char *const readable[] = {shown, "/usr", "/lib", "/proc", "/nowhere"};
    const struct confine_files files = {.writable = own,
                                        .readable = database ? NULL : readable,
                                        .readable_len = database ? 0 : ARRAY_LEN(readable),
                                        .connects = database};
    int wrong = 0;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (confine_files(&files) != (version > 0)) {
        fprintf(stderr, "files: %s\n", strerror(errno));
        wrong++;
    }
    if (!confine_calls(database)) {
        fprintf(stderr, "calls: %s\n", strerror(errno));
        wrong++;
    }
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        if (attempts[i].version > version)
            continue;
        int expected = database ? attempts[i].with_database : attempts[i].result;
        int result = attempts[i].attempt();
        if (result != expected) {
            fprintf(stderr, "%s: %s, not %s\n", attempts[i].name, strerror(result),
                    strerror(expected));
            wrong++;
        }
    }
    return wrong + try_calls();
}

static int run_child(bool database)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_all(database));
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(confine, only_the_store_s_files_can_be_used)
{
    cr_assert_eq(run_child(false), 0);
}

Test(confine, with_a_database_all_files_can_be_read_but_not_written)
{
    cr_assert_eq(run_child(true), 0);
}

Test(confine, a_core_file_holds_no_memory)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        char filter[16] = "";
        struct rlimit limit;
        confine_core_files();
        FILE *file = fopen("/proc/self/coredump_filter", "re");
        bool read = file != NULL && fgets(filter, sizeof filter, file) != NULL;
        bool none = getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0;
        _exit(read && none && strtoul(filter, NULL, 16) == 0 ? 0 : 1);
    }
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
