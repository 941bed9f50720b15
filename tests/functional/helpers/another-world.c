/*
 * LD_PRELOAD=another-world.so: the clocks and the load average are what the file that WORLD
 * names says, in three numbers of eight bytes: seconds since 1970 on the wall, hundredths,
 * and seconds for which the machine runs longer than it does.  They may be changed at any
 * time; -1 is what they really are.  The kernel knows nothing of that: its timers are late.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

struct world {
	volatile int64_t seconds, load, later;
};

static const struct world *world;

__attribute__((constructor)) static void find_world(void)
{
	const char *path = getenv("WORLD");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = mmap(NULL, sizeof *world, PROT_READ, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		world = map;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int (*next)(clockid_t, struct timespec *) =
		(int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int r = next(clock, ret);

	if (clock == CLOCK_REALTIME && world && world->seconds >= 0)
		ret->tv_sec = world->seconds;
	if (clock == CLOCK_MONOTONIC && world && world->later > 0)
		ret->tv_sec += world->later;
	return r;
}

int sysinfo(struct sysinfo *ret)
{
	int (*next)(struct sysinfo *) = (int (*)(struct sysinfo *))dlsym(RTLD_NEXT, "sysinfo");
	int r = next(ret);

	/* Rounded up: what is read from it is the same again. */
	if (world && world->load >= 0)
		ret->loads[0] = ((uint64_t)world->load * (1 << SI_LOAD_SHIFT) + 99) / 100;
	return r;
}
