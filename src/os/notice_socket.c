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

/* None of them 0. */
static int choose_numbers(uint64_t *ret, size_t n)
{
	ssize_t len = getrandom(ret, n * sizeof *ret, GRND_NONBLOCK);

	if (len < 0 || (size_t)len != n * sizeof *ret)
		return errno == EAGAIN ? -EAGAIN : -EIO;
	for (size_t i = 0; i < n; i++)
		ret[i] |= ret[i] == 0;
	return 0;
}

/* An abstract name begins with a NUL, and is as long as its address says. */
static int bind_abstract(int fd, uint64_t number, char ret[NOTICE_PATH_MAX])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len;

	snprintf(address.sun_path, sizeof address.sun_path, "@hatchd/notify/%016" PRIx64,
		number);
	len = strlen(address.sun_path);
	memcpy(ret, address.sun_path, len + 1);
	address.sun_path[0] = '\0';
	len += offsetof(struct sockaddr_un, sun_path);
	return bind(fd, (struct sockaddr *)&address, (socklen_t)len) < 0 ? -errno : 0;
}

/* It is said who sends, and when, before anybody can. */
static int new_socket(void)
{
	static const int on = 1;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0)
		return -errno;
	return take_fd(&fd);
}

int notice_socket_open(const char *folder, struct notice_name *ret)
{
	struct notice_name name;
	_cleanup_close_ int fd = -EBADF;
	uint64_t numbers[2];
	int r = choose_numbers(numbers, ARRAY_SIZE(numbers));

	if (r < 0)
		return r;
	fd = new_socket();
	if (fd < 0)
		return fd;
	name.number = folder ? numbers[0] : 0;
	r = folder ? notice_folder_bind(folder, fd, numbers[0], numbers[1], name.text)
	           : bind_abstract(fd, numbers[0], name.text);
	if (r < 0)
		return r;
	*ret = name;
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
