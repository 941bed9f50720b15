#include "os/notice_socket.h"

#include "base/own.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Who it is comes first, then the descriptors. */
union room {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(NOTICE_FDS_MAX * sizeof(int))];
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

/* It is said who sends before anybody can. */
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
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
		return -errno;
	len = make_address(name, &address);
	if (bind(fd, (struct sockaddr *)&address, len) < 0)
		return -errno;
	memcpy(ret_name, name, sizeof name);
	return take_fd(&fd);
}

static void take_sender(const struct cmsghdr *header, struct notice_mail *mail)
{
	struct ucred sender;

	if (header->cmsg_len != CMSG_LEN(sizeof sender))
		return;
	memcpy(&sender, CMSG_DATA(header), sizeof sender);
	mail->pid = sender.pid;
}

static void take_fds(const struct cmsghdr *header, struct notice_mail *mail)
{
	size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	if (n > NOTICE_FDS_MAX - mail->n_fds)
		n = NOTICE_FDS_MAX - mail->n_fds;
	memcpy(mail->fds + mail->n_fds, CMSG_DATA(header), n * sizeof(int));
	mail->n_fds += n;
}

static void take_company(struct msghdr *message, struct notice_mail *mail)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);

	for (; header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET)
			continue;
		if (header->cmsg_type == SCM_CREDENTIALS)
			take_sender(header, mail);
		else if (header->cmsg_type == SCM_RIGHTS)
			take_fds(header, mail);
	}
}

int notice_socket_take(int fd, struct notice_mail *ret)
{
	struct iovec part = {.iov_base = ret->text, .iov_len = sizeof ret->text};
	union room room;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &room,
		.msg_controllen = sizeof room,
	};
	ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	ret->pid = 0;
	ret->n_fds = 0;
	ret->len = (size_t)len;
	ret->whole = !(message.msg_flags & MSG_TRUNC);
	take_company(&message, ret);
	return 1;
}
