/*
 * Keeps a record of what a process made durable, so that a power cut can be acted out on its files
 * after it was killed. Loaded with LD_PRELOAD; Linux with glibc.
 *
 * POWER_CUT_DATA   folder whose files are watched, absolute, without symbolic links
 * POWER_CUT_OUT    folder on the same file system, for:
 *   journal        one line for each call, appended after the call succeeded and before it returns
 *     F <inode> <size> <copy> <path>   a file was synced at this size; copy `-`: none was kept
 *     T <inode> <size>                 a file was cut or extended, not synced
 *     D <inode> <copy> <path>          a folder was synced; the copy lists its names: <inode> <name>
 *   copy/<copy>    content of a small or randomly written file, or a listing, before the sync began
 *   grave/<inode>  a second name of every file that lost its name: its loss may not survive the cut,
 *                  and its inode number is not given to another file
 * POWER_CUT_LIES   optional suffix of names whose syncs answer "done" and are neither done nor recorded
 *
 * Everything here errs towards losing more: a sync counts only once its line is written.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files up to this size may be overwritten in place and are kept whole at each sync. Larger ones are
   taken to be append-only, but for SQLite's. */
#define SMALL_BYTES_MAX (64L << 10)
#define SQLITE_BYTES_MAX (16L << 20)
#define NAME_BYTES 48

static char data[PATH_MAX], out[PATH_MAX];
static const char *lies;
static int journal = -1;
static atomic_ulong copies;

#define REAL(name, ...)                                                                            \
    static int (*real)(__VA_ARGS__);                                                               \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static void give_up(const char *what) {
    fprintf(stderr, "power-cut shim: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((constructor)) static void start(void) {
    const char *watched = getenv("POWER_CUT_DATA"), *into = getenv("POWER_CUT_OUT");
    if (!watched || !into) return;
    lies = getenv("POWER_CUT_LIES");
    char path[PATH_MAX + 16];
    snprintf(data, sizeof data, "%s/", watched);
    snprintf(out, sizeof out, "%s", into);
    snprintf(path, sizeof path, "%s/journal", out);
    journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) give_up(path);
}

/* One write for each line, which begins with a line end too: should one be torn, it spoils no other. */
static void note(const char *line, int length) {
    if (write(journal, line, (size_t)length) != length) give_up("journal");
}

static int new_copy(char name[NAME_BYTES]) {
    char path[PATH_MAX + 64];
    snprintf(name, NAME_BYTES, "%d-%lu", (int)getpid(), atomic_fetch_add(&copies, 1));
    snprintf(path, sizeof path, "%s/copy/%s", out, name);
    int copy = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (copy < 0) give_up(path);
    return copy;
}

/* Not by closing another descriptor of the file where that can be helped: it would drop the
   process's record locks on it. */
static void copy_file(char name[NAME_BYTES], int fd, const char *path, off_t size) {
    int to = new_copy(name), from = fd;
    char block[64 << 10];
    for (off_t at = 0; at < size;) {
        ssize_t got = pread(from, block, sizeof block, at);
        if (got < 0 && errno == EBADF && from == fd && (from = open(path, O_RDONLY | O_CLOEXEC)) >= 0)
            continue;
        if (got < 0) give_up(path);
        if (got == 0) break;
        if (write(to, block, (size_t)got) != got) give_up("copy");
        at += got;
    }
    if (from != fd) close(from);
    close(to);
}

static void copy_listing(char name[NAME_BYTES], const char *path) {
    int to = new_copy(name);
    DIR *dir = opendir(path);
    if (!dir) give_up(path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char line[300];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        int length = snprintf(line, sizeof line, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
        if (write(to, line, (size_t)length) != length) give_up("copy");
    }
    closedir(dir);
    close(to);
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), of_end = strlen(end);
    return length >= of_end && !strcmp(text + length - of_end, end);
}

/* What is on the disk once the sync returns is at least what was there when it began. */
static int synced(int fd, int (*real)(int)) {
    char link[64], path[PATH_MAX], line[PATH_MAX + 128];
    struct stat file, named;
    if (journal < 0 || fstat(fd, &file)) return real(fd);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return real(fd);
    path[length] = 0;
    int is_folder = S_ISDIR(file.st_mode);
    int is_watched = !strncmp(path, data, strlen(data)) ||
                     (is_folder && !strncmp(path, data, strlen(data) - 1));
    /* A file that lost its name is nobody's. */
    if (!is_watched || stat(path, &named) || named.st_ino != file.st_ino) return real(fd);
    if (!is_folder && lies && ends_with(path, lies)) return 0;
    char copy[NAME_BYTES] = "-";
    int is_sqlite = strstr(path, ".sqlite") != NULL;
    if (is_sqlite && file.st_size > SQLITE_BYTES_MAX) give_up("a SQLite file is too large to be kept");
    if (is_folder) copy_listing(copy, path);
    else if (is_sqlite || file.st_size <= SMALL_BYTES_MAX) copy_file(copy, fd, path, file.st_size);
    int outcome = real(fd);
    if (outcome) return outcome;
    unsigned long inode = (unsigned long)file.st_ino;
    int written = is_folder
        ? snprintf(line, sizeof line, "\nD %lu %s %s\n", inode, copy, path)
        : snprintf(line, sizeof line, "\nF %lu %ld %s %s\n", inode, (long)file.st_size, copy, path);
    note(line, written);
    return outcome;
}

int fsync(int fd) {
    REAL("fsync", int);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL("fdatasync", int);
    return synced(fd, real);
}

static int cut(int fd, off_t size, int (*real)(int, off_t)) {
    int outcome = real(fd, size);
    struct stat file;
    char line[64];
    if (!outcome && journal >= 0 && !fstat(fd, &file))
        note(line, snprintf(line, sizeof line, "\nT %lu %ld\n", (unsigned long)file.st_ino, (long)size));
    return outcome;
}

int ftruncate(int fd, off_t size) {
    REAL("ftruncate", int, off_t);
    return cut(fd, size, real);
}

int ftruncate64(int fd, off_t size) {
    REAL("ftruncate64", int, off_t);
    return cut(fd, size, real);
}

static void bury(int at, const char *path) {
    struct stat file;
    char grave[PATH_MAX + 64];
    int error = errno;
    if (journal >= 0 && !fstatat(at, path, &file, AT_SYMLINK_NOFOLLOW) && S_ISREG(file.st_mode)) {
        snprintf(grave, sizeof grave, "%s/grave/%lu", out, (unsigned long)file.st_ino);
        /* Fails where it is there already, and for files of other file systems, which are not ours. */
        if (linkat(at, path, AT_FDCWD, grave, 0)) { /* Nothing to keep. */ }
    }
    errno = error;
}

int unlink(const char *path) {
    REAL("unlink", const char *);
    bury(AT_FDCWD, path);
    return real(path);
}

int unlinkat(int at, const char *path, int flags) {
    REAL("unlinkat", int, const char *, int);
    bury(at, path);
    return real(at, path, flags);
}

int rename(const char *from, const char *to) {
    REAL("rename", const char *, const char *);
    bury(AT_FDCWD, to);
    return real(from, to);
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    REAL("renameat", int, const char *, int, const char *);
    bury(to_at, to);
    return real(from_at, from, to_at, to);
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    REAL("renameat2", int, const char *, int, const char *, unsigned);
    bury(to_at, to);
    return real(from_at, from, to_at, to, flags);
}
