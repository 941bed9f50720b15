/*
 * Records between the master and a worker, in both directions: answers of a worker that has
 * been taken over, and requests of whoever sends what is none.  What is understood is within
 * its bounds, nothing is read twice or left out, and no descriptor is lost.
 *
 * Few inputs would get past the version if they were taken as they are.  So the first byte
 * says what is made of the rest:
 *
 *	bit 7      0: good records, and the rest are patches, four bytes each: which record,
 *	           where (two bytes, little-endian), and the byte that stands there then
 *	           1: the bytes as they are
 *	bits 4-6   so many bytes less than there are, at the end
 *	bits 0-3   how many records; of a request, how many descriptors go along
 */
#include "base/fd.h"
#include "base/own.h"
#include "os/channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RECORDS_MAX 16
#define PATCH       4

/* More than may be sent. */
#define FDS_MAX (CHANNEL_FDS_MAX + 2)

/* What a pipe holds. */
#define RAW_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* ------------------------------------------------------------------- what is sent */

struct input {
	uint8_t *bytes; /* owned */
	size_t len;
	unsigned n; /* records, or descriptors */
};

static void patch(uint8_t *records, size_t n, size_t size, const uint8_t *patches, size_t len)
{
	for (; n > 0 && len >= PATCH; patches += PATCH, len -= PATCH) {
		size_t at = (size_t)(patches[1] | patches[2] << 8) % size;

		records[patches[0] % n * size + at] = patches[3];
	}
}

/* `good` is one record, of that size. */
static struct input make(const uint8_t *data, size_t len, const void *good, size_t size)
{
	struct input input = {.n = data[0] & 15};
	size_t less = data[0] >> 4 & 7;
	bool raw = data[0] & 0x80;

	input.len = raw ? len - 1 : input.n * size;
	if (input.len > RAW_MAX)
		input.len = RAW_MAX;
	input.bytes = malloc(input.len + 1);
	check(input.bytes != NULL);
	if (raw)
		memcpy(input.bytes, data + 1, input.len);
	for (size_t i = 0; !raw && i < input.n; i++)
		memcpy(input.bytes + i * size, good, size);
	if (!raw)
		patch(input.bytes, input.n, size, data + 1, len - 1);
	input.len -= less < input.len ? less : input.len;
	return input;
}

/* ------------------------------------------------------------------ the master's side */

static void check_address(const struct channel_address *address)
{
	check(address->family == 0 || address->family == AF_INET ||
		address->family == AF_INET6);
}

static void check_answer(const struct channel_answer *answer)
{
	check(answer->version == CHANNEL_VERSION);
	check(answer->kind >= CHANNEL_READY && answer->kind < _CHANNEL_ANSWER_MAX);
	check(answer->result < _CHANNEL_RESULT_MAX);
	check(memchr(answer->facts.service, '\0', sizeof answer->facts.service) != NULL);
	check(answer->facts.authority_len <= sizeof answer->facts.authority);
	check(answer->kind != CHANNEL_FACT || answer->facts.authority_len > 0);
	if (answer->facts.peer.family != AF_UNIX) /* of who sends datagrams */
		check_address(&answer->facts.peer);
	check_address(&answer->facts.local);
}

/* All that was written is read, or is refused; `max` at a time, in memory of that size. */
static void receive_all(const struct channel *channel, size_t len, size_t max)
{
	struct channel_answer *answers = malloc(max * sizeof *answers);
	size_t sum = 0;
	int n;

	check(answers != NULL);
	while ((n = channel_receive(channel, answers, max)) > 0) {
		check((size_t)n <= max);
		for (int i = 0; i < n; i++)
			check_answer(&answers[i]);
		sum += (size_t)n * sizeof *answers;
	}
	check(n == -EBADMSG || (n == -EPIPE && sum == len));
	free(answers);
}

static void try_answers(const uint8_t *data, size_t size)
{
	struct channel_answer good = {.version = CHANNEL_VERSION, .kind = CHANNEL_OFFER};
	struct input input = make(data, size, &good, sizeof good);
	struct channel channel;
	int theirs[2];

	check(channel_new(&channel, theirs) == 0);
	check(write(theirs[1], input.bytes, input.len) == (ssize_t)input.len);
	close(theirs[0]);
	close(theirs[1]);
	receive_all(&channel, input.len, 1 + size % RECORDS_MAX);
	fd_close(channel.requests);
	fd_close(channel.answers);
	free(input.bytes);
}

/* ------------------------------------------------------------------ the worker's side */

static void send_with_fds(int to, const struct input *input)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {.bytes = {0}};
	unsigned n = input->n % (FDS_MAX + 1);
	struct iovec iov = {.iov_base = input->bytes, .iov_len = input->len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS_MAX];

	for (unsigned i = 0; i < n; i++)
		fds[i] = to;
	if (n > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
	}
	check(sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)input->len);
}

static void check_request(int r, const struct channel_request *request, size_t len, size_t n)
{
	check(r == 0 || r == -EMFILE || r == -EBADMSG || r == -EPIPE);
	check(n <= CHANNEL_FDS_MAX);
	if (r < 0 && r != -EMFILE)
		return;
	check(len == sizeof *request && request->version == CHANNEL_VERSION);
	check(request->kind >= CHANNEL_SERVE && request->kind < _CHANNEL_REQUEST_MAX);
}

/* Every descriptor that has come is told of, so that it can be closed. */
static void take_one(int fd, const struct input *input)
{
	struct channel_request *request = malloc(sizeof *request);
	int fds[CHANNEL_FDS_MAX], r;
	size_t n;

	check(request != NULL);
	r = channel_take(fd, request, fds, &n);
	check_request(r, request, input->len, n);
	check(n == CHANNEL_FDS_MAX || n == input->n % (FDS_MAX + 1));
	for (size_t i = 0; i < n; i++)
		check(close(fds[i]) == 0);
	free(request);
}

static void try_request(const uint8_t *data, size_t size)
{
	struct channel_request good = {.version = CHANNEL_VERSION, .kind = CHANNEL_SERVE};
	struct input input = make(data, size, &good, sizeof good);
	struct channel channel;
	int theirs[2];

	check(channel_new(&channel, theirs) == 0);
	send_with_fds(channel.requests, &input);
	take_one(theirs[0], &input);
	close(theirs[0]);
	close(theirs[1]);
	fd_close(channel.requests);
	fd_close(channel.answers);
	free(input.bytes);
}

/* The lowest number that is free. */
static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	check(fd >= 0 && close(fd) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = next_fd();

	if (size == 0)
		return 0;
	try_answers(data, size);
	try_request(data, size);
	check(next_fd() == before);
	return 0;
}
