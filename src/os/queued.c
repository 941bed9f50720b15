#include "os/queued.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

/* What it says behind that is nothing to us. */
#define WANTED_LEN (offsetof(struct tcp_info, tcpi_last_data_sent) + sizeof(uint32_t))

uint64_t queued_for(int fd)
{
	struct tcp_info info;
	socklen_t len = WANTED_LEN;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || len < WANTED_LEN)
		return QUEUED_UNKNOWN;
	return info.tcpi_last_data_sent * USEC_PER_MSEC;
}
