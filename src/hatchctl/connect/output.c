#include "hatchctl/connect/output.h"

#include "base/own.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>

void output_init(struct output *output, int fd)
{
	struct stat st = {0};

	*output = (struct output){.fd = fd, .chunk = PIPE_BUF};
	if (fstat(fd, &st) < 0)
		return; /* the first write tells why */

	output->socket = S_ISSOCK(st.st_mode);
	if (output->socket || S_ISREG(st.st_mode))
		output->chunk = SSIZE_MAX;
}

ssize_t output_write(const struct output *output, const char *data, size_t len)
{
	ssize_t n;

	if (len > output->chunk)
		len = output->chunk;
	if (output->socket)
		n = send(output->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(output->fd, data, len);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
		return false;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

int output_close(struct output *output, int input)
{
	int fd = take_fd(&output->fd);

	if (output->socket && same_file(fd, input))
		shutdown(fd, SHUT_WR);
	return close(fd) < 0 ? -errno : 0;
}
