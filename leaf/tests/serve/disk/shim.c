/*
 * Makes calls of a process fail as those of a full or a broken disk do. Loaded with LD_PRELOAD; Linux with glibc.
 *
 * DISK_FAULTS   a file; while it is there it says what fails:
 *   full <text>          no space for files whose path holds the text
 *   sync <text>          input/output error when they are synced
 *   read <inode> … end   input/output error when one of these is read
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(type, name, ...)                                                                      \
    static type (*real)(__VA_ARGS__);                                                              \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

/* The calls here go past the functions below. */
static int does_fail(const char *kind, int fd) {
    static const char *control;
    if (!control && !(control = getenv("DISK_FAULTS"))) return 0;
    int before = errno, file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    char said[4096], link[64], path[PATH_MAX];
    ssize_t length = file < 0 ? -1 : syscall(SYS_read, file, said, sizeof said - 1);
    if (file >= 0) syscall(SYS_close, file);
    int fails = 0;
    if (length > 0) {
        said[length] = 0;
        size_t of_kind = strlen(kind);
        if (!strncmp(said, kind, of_kind) && said[of_kind] == ' ') {
            struct stat is;
            if (!strcmp(kind, "read")) {
                char inode[32];
                if (!fstat(fd, &is)) {
                    snprintf(inode, sizeof inode, " %lu ", (unsigned long)is.st_ino);
                    fails = strstr(said, inode) != NULL;
                }
            } else {
                snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
                ssize_t named = readlink(link, path, sizeof path - 1);
                if (named > 0) {
                    path[named] = 0;
                    fails = strstr(path, said + of_kind + 1) != NULL;
                }
            }
        }
    }
    errno = before;
    return fails;
}

#define UNLESS(kind, error)                                                                        \
    if (does_fail(kind, fd)) {                                                                     \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    UNLESS("full", ENOSPC)
    return real(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    UNLESS("full", ENOSPC)
    return real(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    UNLESS("full", ENOSPC)
    return real(fd, bytes, length, at);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    UNLESS("sync", EIO)
    return real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    UNLESS("sync", EIO)
    return real(fd);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    UNLESS("read", EIO)
    return real(fd, bytes, length, at);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    UNLESS("read", EIO)
    return real(fd, bytes, length, at);
}
