/* Counts what the threads that answer checks allocate, for tests: load with LD_PRELOAD.
 *
 * ALLOCATIONS names a file of eight bytes, which holds the number of allocations so far. Only threads with the
 * name "check" count. Growing a block counts as an allocation. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static uint64_t *counter;

__attribute__((constructor)) static void map(void) {
    const char *name = getenv("ALLOCATIONS");
    int file = name ? open(name, O_RDWR) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) counter = mapped;
    if (file >= 0) close(file);
}

static void count(void) {
    static __thread int unnamed = 1000, answers;
    char name[16];
    /* A thread gets its name soon after its start, and keeps it. */
    if (unnamed && counter) {
        unnamed--;
        if (!prctl(PR_GET_NAME, name) && !strcmp(name, "check")) answers = 1, unnamed = 0;
    }
    if (answers && counter) __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
    count();
    return __libc_malloc(size);
}

void *calloc(size_t many, size_t size) {
    count();
    return __libc_calloc(many, size);
}

void *realloc(void *block, size_t size) {
    count();
    return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
    count();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) || alignment & (alignment - 1)) return EINVAL;
    *block = memalign(alignment, size);
    return *block ? 0 : ENOMEM;
}
