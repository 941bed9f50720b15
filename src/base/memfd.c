#include "base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The first is for the others: they cannot be taken back anyway, but nobody adds more. */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int memfd_new(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : fd;
}

int memfd_seal(int memfd)
{
	return fcntl(memfd, F_ADD_SEALS, SEALS) < 0 ? -errno : 0;
}

int memfd_check(int memfd, uint64_t max, size_t *ret_size)
{
	int seals = fcntl(memfd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(memfd, &st) < 0)
		return -errno;
	if ((seals & SEALS) != SEALS)
		return -EPERM;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	*ret_size = (size_t)st.st_size;
	return 0;
}
