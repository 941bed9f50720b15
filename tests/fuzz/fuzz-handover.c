/* What an image of hatchd gone mad might hand over to the next: behind the checksum, which is
 * no obstacle to it.  What was read is written, and is the same when it is read again. */
#include "master/handover/handover.h"

#include "base/own.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *userdata, int *fd)
{
	if (*fd < 0 && *fd != -EBADF)
		abort();
	++*(size_t *)userdata;
}

static size_t count_fds(struct handover *handover)
{
	size_t n = 0;

	handover_each_fd(handover, count, &n);
	return n;
}

static void write_again(struct handover *handover)
{
	_cleanup_close_ int fd = memfd_create("handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_handover_ struct handover again = {0};

	if (fd < 0 || handover_write(handover, fd) < 0)
		return;
	if (handover_read(fd, &again) < 0)
		abort();
	if (again.n_children != handover->n_children ||
		again.n_services != handover->n_services ||
		count_fds(&again) != count_fds(handover))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover handover;

	if (handover_decode_sections(data, size, &handover) == 0)
		write_again(&handover);
	handover_done(&handover);
	return 0;
}
