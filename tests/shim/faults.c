/* Makes the system calls of a store fail, for tests: load with LD_PRELOAD.
 *
 * FAULT_PLAN names a file with one line "CALL COUNT SUFFIX": the next COUNT calls of CALL (write, short,
 * full, sync) on files whose name ends in SUFFIX fail; the count in the file falls with each. `write` fails
 * with EIO, `full` with ENOSPC, `short` writes half and then fails with EIO; `sync` fails with EIO after the
 * data were handed to the kernel, as a real one does. Without the file every call goes through. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int planned(int fd, const char *call) {
    const char *plan = getenv("FAULT_PLAN");
    FILE *file;
    char kind[16], suffix[64], link[64], name[4096];
    int count, read;
    ssize_t length;
    if (!plan || !(file = fopen(plan, "r"))) return 0;
    read = fscanf(file, "%15s %d %63s", kind, &count, suffix);
    fclose(file);
    if (read != 3 || count <= 0 || strcmp(kind, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name - 1);
    if (length < (ssize_t)strlen(suffix)) return 0;
    name[length] = 0;
    if (strcmp(name + length - strlen(suffix), suffix)) return 0;
    if (!(file = fopen(plan, "w"))) return 0;
    fprintf(file, "%s %d %s\n", kind, count - 1, suffix);
    fclose(file);
    return 1;
}

static ssize_t faulty(int fd, const void *data, size_t size, off64_t at, int placed) {
    static ssize_t (*place)(int, const void *, size_t, off64_t);
    static ssize_t (*append)(int, const void *, size_t);
    if (!place) place = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (!append) append = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (planned(fd, "write")) { errno = EIO; return -1; }
    if (planned(fd, "full")) { errno = ENOSPC; return -1; }
    if (size > 1 && planned(fd, "short")) {
        if (placed) place(fd, data, size / 2, at); else append(fd, data, size / 2);
        errno = EIO;
        return -1;
    }
    return placed ? place(fd, data, size, at) : append(fd, data, size);
}

ssize_t write(int fd, const void *data, size_t size) { return faulty(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return faulty(fd, data, size, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return faulty(fd, data, size, at, 1); }

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (planned(fd, "sync")) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (planned(fd, "sync")) { errno = EIO; return -1; }
    return real(fd);
}
