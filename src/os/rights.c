#include "os/rights.h"

#include <string.h>

void rights_put(struct msghdr *message, union rights_room *room, const int *fds, size_t n)
{
	if (n == 0)
		return;
	/* What is between them and the end of it goes to the kernel, too. */
	memset(room, 0, CMSG_SPACE(n * sizeof *fds));
	room->header.cmsg_level = SOL_SOCKET;
	room->header.cmsg_type = SCM_RIGHTS;
	room->header.cmsg_len = CMSG_LEN(n * sizeof *fds);
	memcpy(CMSG_DATA(&room->header), fds, n * sizeof *fds);
	message->msg_control = room;
	message->msg_controllen = CMSG_SPACE(n * sizeof *fds);
}

/* Not CMSG_SPACE(), which rounds up: the kernel fills what it finds. */
void rights_expect(struct msghdr *message, union rights_room *room, size_t max)
{
	message->msg_control = max > 0 ? room : NULL;
	message->msg_controllen = max > 0 ? CMSG_LEN(max * sizeof(int)) : 0;
}

size_t rights_take(struct msghdr *message, int *ret_fds)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	size_t n;

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (header->cmsg_len - CMSG_LEN(0)) / sizeof *ret_fds;
	memcpy(ret_fds, CMSG_DATA(header), n * sizeof *ret_fds);
	return n;
}
