#include "os/socket_file.h"

#include "base/own.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0) /* linux/un.h, which libc's sys/un.h excludes */
#endif

/* More than an answer has. */
#define ANSWER_MAX 1024

/* A device as sock_diag writes it. */
#define DIAG_MINOR_BITS 20

struct question {
	struct nlmsghdr header;
	struct unix_diag_req body;
};

union answer {
	struct nlmsghdr header;
	char bytes[ANSWER_MAX];
};

int socket_file_open(int fd)
{
	int file = ioctl(fd, SIOCUNIXFILE, 0);

	return file < 0 ? -errno : file;
}

static int compare_opened(int fd, const struct stat *st)
{
	_cleanup_close_ int file = socket_file_open(fd);
	struct stat bound;

	if (file < 0)
		return file == -ENOENT ? -ESTALE : file;
	if (fstat(file, &bound) < 0)
		return -errno;
	return bound.st_dev == st->st_dev && bound.st_ino == st->st_ino ? 0 : -ESTALE;
}

/* The number of a socket may come again after four thousand million others, its cookie never.
 */
static int make_question(int fd, struct question *ret)
{
	uint64_t cookie;
	socklen_t len = sizeof cookie;
	struct stat st;

	if (fstat(fd, &st) < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
		return -errno;
	memset(ret, 0, sizeof *ret);
	ret->header.nlmsg_len = sizeof *ret;
	ret->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	ret->header.nlmsg_flags = NLM_F_REQUEST;
	ret->body.sdiag_family = AF_UNIX;
	ret->body.udiag_states = UINT32_MAX;
	ret->body.udiag_ino = (uint32_t)st.st_ino;
	ret->body.udiag_show = UDIAG_SHOW_VFS;
	ret->body.udiag_cookie[0] = (uint32_t)cookie;
	ret->body.udiag_cookie[1] = (uint32_t)(cookie >> 32);
	return 0;
}

/* The answer is there when the question has been put.  Its length, or a negative errno. */
static ssize_t ask(const struct question *question, union answer *answer)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	ssize_t n;

	if (fd < 0 || sendto(fd, question, sizeof *question, 0,
			      (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		return -errno;
	n = recv(fd, answer, sizeof *answer, 0);
	return n < 0 ? -errno : n;
}

static int compare_numbers(const struct unix_diag_vfs *vfs, const struct stat *st)
{
	dev_t dev = makedev(vfs->udiag_vfs_dev >> DIAG_MINOR_BITS,
		vfs->udiag_vfs_dev & ((1U << DIAG_MINOR_BITS) - 1));

	return dev == st->st_dev && vfs->udiag_vfs_ino == (uint32_t)st->st_ino ? 0 : -ESTALE;
}

/* Of one that was bound to no file there is none. */
static int read_message(struct unix_diag_msg *message, size_t left, const struct stat *st)
{
	struct rtattr *attr = (struct rtattr *)(message + 1);
	struct unix_diag_vfs vfs;

	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
		if (attr->rta_type != UNIX_DIAG_VFS || RTA_PAYLOAD(attr) < sizeof vfs)
			continue;
		memcpy(&vfs, RTA_DATA(attr), sizeof vfs);
		return compare_numbers(&vfs, st);
	}
	return -ESTALE;
}

static int read_answer(union answer *answer, size_t len, const struct stat *st)
{
	struct nlmsghdr *header = &answer->header;
	void *data = NLMSG_DATA(header);
	size_t left;
	int error;

	if (len < sizeof *header || header->nlmsg_len < sizeof *header ||
		header->nlmsg_len > len)
		return -EBADMSG;
	left = header->nlmsg_len - NLMSG_HDRLEN;
	if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY && left >= sizeof(struct unix_diag_msg))
		return read_message(data, left - sizeof(struct unix_diag_msg), st);
	if (header->nlmsg_type != NLMSG_ERROR || left < sizeof(struct nlmsgerr))
		return -EBADMSG;
	error = ((const struct nlmsgerr *)data)->error;
	return error < 0 ? error : -EBADMSG;
}

static int compare_told(int fd, const struct stat *st)
{
	struct question question;
	union answer answer;
	ssize_t n;
	int r;

	r = make_question(fd, &question);
	if (r < 0)
		return r;
	n = ask(&question, &answer);
	return n < 0 ? (int)n : read_answer(&answer, (size_t)n, st);
}

int socket_file_is(int fd, const struct stat *st)
{
	int r = compare_opened(fd, st);

	return r == 0 || r == -ESTALE ? r : compare_told(fd, st);
}
