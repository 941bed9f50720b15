/*
 * LD_PRELOAD=out-of-memory.so: a process whose memory ends at an allocation that a
 * test chooses, while it runs.
 *
 * OUT_OF_MEMORY names a file that holds a struct control; the test maps it as well.
 * It is about one process alone: the first that comes with `pid` 0, whatever it
 * executes, or what it executes at that place alone.  What that one starts has all the memory
 * it wants.
 *
 * Counted is what asks for memory: malloc and its relatives, mapped memory, and calls
 * for which the kernel needs some.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

struct control {
	int64_t pid;
	int64_t calls;  /* so far */
	int64_t first;  /* this one fails; 0: none does */
	int64_t last;   /* and all until this one */
	int64_t failed; /* so many have */
	int64_t image;  /* 0: whatever it executes */
	int64_t images; /* so many has it executed */
};

static struct control *control;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("OUT_OF_MEMORY");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return;
	control = at;
	if (control->pid != 0 && control->pid != getpid())
		return;
	control->images += control->pid != 0;
	control->calls = 0;
	control->pid = getpid();
}

static int refused(int error)
{
	int64_t first, call;

	if (!control || control->pid != getpid())
		return 0;
	if (control->image != 0 && control->image != control->images)
		return 0;
	call = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
	first = __atomic_load_n(&control->first, __ATOMIC_SEQ_CST);
	if (first == 0 || call < first || call > control->last)
		return 0;
	__atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
	errno = error;
	return 1;
}

/* The function behind ours.  A sanitizer may have its own. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

void *malloc(size_t size)
{
	static __typeof__(&malloc) next;

	if (!next)
		next = NEXT(malloc);
	return refused(ENOMEM) ? NULL : next(size);
}

void *calloc(size_t n, size_t size)
{
	static __typeof__(&calloc) next;

	if (!next)
		next = NEXT(calloc);
	return refused(ENOMEM) ? NULL : next(n, size);
}

void *realloc(void *old, size_t size)
{
	static __typeof__(&realloc) next;

	if (!next)
		next = NEXT(realloc);
	return refused(ENOMEM) ? NULL : next(old, size);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	static __typeof__(&mmap) next;

	if (!next)
		next = NEXT(mmap);
	return refused(ENOMEM) ? MAP_FAILED : next(at, size, protection, flags, fd, offset);
}

int memfd_create(const char *name, unsigned flags)
{
	static __typeof__(&memfd_create) next;

	if (!next)
		next = NEXT(memfd_create);
	return refused(ENOMEM) ? -1 : next(name, flags);
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
	static __typeof__(&epoll_ctl) next;

	if (!next)
		next = NEXT(epoll_ctl);
	return operation != EPOLL_CTL_DEL && refused(ENOMEM) ? -1
	                                                     : next(set, operation, fd, event);
}

pid_t fork(void)
{
	static __typeof__(&fork) next;

	if (!next)
		next = NEXT(fork);
	return refused(EAGAIN) ? -1 : next();
}
