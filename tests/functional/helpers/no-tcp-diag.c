/*
 * LD_PRELOAD=no-tcp-diag.so: a kernel without tcp_diag.  The question goes to a protocol
 * that nobody tells about, and what is answered is the kernel's own.
 */
#include <dlfcn.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#define NO_PROTOCOL 200

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
	socklen_t to_len)
{
	ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
		(ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *,
			socklen_t))dlsym(RTLD_NEXT, "sendto");
	struct question question;

	if (to && to->sa_family == AF_NETLINK && len == sizeof question) {
		memcpy(&question, data, len);
		question.body.sdiag_protocol = NO_PROTOCOL;
		data = &question;
	}
	return next(fd, data, len, flags, to, to_len);
}
