#include "os/notice_socket.h"

#include "base/own.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000

/* For when and who, in the order of the kernel, and not for a descriptor: what there is no room
 * for is not taken in. */
#define ROOM (CMSG_SPACE(sizeof(struct timespec)) + CMSG_LEN(sizeof(struct ucred)))

union room {
	struct cmsghdr header;
	char bytes[ROOM];
};

static int choose_name(char ret[NOTICE_SOCKET_NAME_MAX])
{
	uint64_t number;

	if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
		return errno == EAGAIN ? -EAGAIN : -EIO;
	snprintf(ret, NOTICE_SOCKET_NAME_MAX, "@hatchd/notify/%016" PRIx64, number);
	return 0;
}

/* An abstract name begins with a NUL, and is as long as its address says. */
static socklen_t make_address(const char *name, struct sockaddr_un *ret)
{
	size_t len = strlen(name);

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path + 1, name + 1, len - 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* It is said who sends, and when, before anybody can. */
int notice_socket_open(char ret_name[NOTICE_SOCKET_NAME_MAX])
{
	static const int on = 1;
	char name[NOTICE_SOCKET_NAME_MAX];
	struct sockaddr_un address;
	_cleanup_close_ int fd = -EBADF;
	socklen_t len;
	int r = choose_name(name);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
		return -errno;
	len = make_address(name, &address);
	if (bind(fd, (struct sockaddr *)&address, len) < 0)
		return -errno;
	memcpy(ret_name, name, sizeof name);
	return take_fd(&fd);
}

static bool is_about(const struct cmsghdr *header, int type, size_t len)
{
	return header->cmsg_level == SOL_SOCKET && header->cmsg_type == type &&
	       header->cmsg_len == CMSG_LEN(len);
}

static void read_header(const struct cmsghdr *header, struct notice_mail *ret)
{
	struct ucred sender;
	struct timespec at;

	if (is_about(header, SCM_CREDENTIALS, sizeof sender)) {
		memcpy(&sender, CMSG_DATA(header), sizeof sender);
		ret->pid = sender.pid;
		ret->uid = sender.uid;
	} else if (is_about(header, SCM_TIMESTAMPNS, sizeof at)) {
		memcpy(&at, CMSG_DATA(header), sizeof at);
		ret->at = (int64_t)at.tv_sec * NSEC_PER_SEC + at.tv_nsec;
	}
}

static void read_headers(struct msghdr *message, struct notice_mail *ret)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);

	ret->pid = 0;
	ret->uid = (uid_t)-1;
	ret->at = 0;
	for (; header; header = CMSG_NXTHDR(message, header))
		read_header(header, ret);
}

/* The message keeps its descriptors, so nothing is closed by this. */
int notice_socket_look(int fd, struct notice_mail *ret)
{
	struct iovec part = {.iov_base = ret->text, .iov_len = sizeof ret->text};
	union room room;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &room,
		.msg_controllen = ROOM,
	};
	ssize_t len = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	read_headers(&message, ret);
	ret->len = (size_t)len;
	ret->whole = !(message.msg_flags & MSG_TRUNC);
	ret->laden = message.msg_flags & MSG_CTRUNC;
	return 1;
}

void notice_socket_drop(int fd)
{
	(void)!recv(fd, NULL, 0, MSG_DONTWAIT);
}
