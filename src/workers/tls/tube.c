#include "workers/tls/tube.h"

#include "base/own.h"

#include <string.h>
#include <sys/socket.h>

/* ---------------------------------------------------------------------- reading */

static void note_end(struct tube *tube, int error)
{
	tube->error = error;
	tube->ended = true;
}

/* Of who has filled what was asked for there may be much more.  True: bytes have come. */
static bool fill(struct tube *tube, uint8_t *room, size_t size, size_t *ret_n)
{
	ssize_t n;

	if (tube->ended || tube->dry)
		return false;
	do
		n = recv(tube->fd, room, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	tube->dry = n < (ssize_t)size;
	if (n == 0)
		note_end(tube, 0);
	else if (n < 0 && errno != EAGAIN)
		note_end(tube, errno);
	if (n <= 0)
		return false;
	tube->received += (uint64_t)n;
	tube->taken += (uint32_t)n;
	tube->sated = tube->taken >= TUBE_SHARE;
	tube->dry |= tube->sated;
	*ret_n = (size_t)n;
	return true;
}

static void let_go(struct tube *tube)
{
	if (tube->in != tube->works->room)
		free(tube->in);
	tube->in = NULL;
	tube->in_at = tube->in_len = 0;
}

/* A record at first; after that, in the same step, as much as there is room for. */
static bool refill(struct tube *tube)
{
	size_t size = tube->in == tube->works->room ? TUBE_ROOM : TUBE_RECORD, n;

	if (tube->in_at < tube->in_len)
		return true;
	let_go(tube);
	if (!fill(tube, tube->works->room, size, &n))
		return false;
	tube->in = tube->works->room;
	tube->in_len = (uint32_t)n;
	return true;
}

/* False: nothing more in this step. */
static bool may_have_a_piece(struct tube *tube)
{
	if (tube->pieces >= TUBE_PIECES) {
		tube->sated = true;
		return false;
	}
	tube->pieces++;
	return true;
}

static int read_some(BIO *bio, char *to, int len)
{
	struct tube *tube = BIO_get_data(bio);
	uint32_t n;

	BIO_clear_retry_flags(bio);
	if (!may_have_a_piece(tube)) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (!refill(tube)) {
		if (!tube->ended)
			BIO_set_retry_read(bio);
		return tube->ended && tube->error == 0 ? 0 : -1;
	}
	n = tube->in_len - tube->in_at;
	if (n > (uint32_t)len)
		n = (uint32_t)len;
	memcpy(to, tube->in + tube->in_at, n);
	tube->in_at += n;
	return (int)n;
}

uint64_t tube_used(const struct tube *tube)
{
	return tube->received - (tube->in_len - tube->in_at);
}

bool tube_has_more(const struct tube *tube)
{
	return tube->in_at < tube->in_len;
}

int tube_rest(struct tube *tube)
{
	uint32_t len = tube->in_len - tube->in_at;
	uint8_t *kept = NULL;

	tube->dry = tube->sated = false;
	tube->taken = tube->pieces = 0;
	if (len > 0 && tube->in != tube->works->room)
		return 0;
	if (len > 0) {
		kept = malloc(len);
		if (kept)
			memcpy(kept, tube->in + tube->in_at, len);
	}
	let_go(tube);
	if (len == 0)
		return 0;
	if (!kept)
		return -ENOMEM;
	tube->in = kept;
	tube->in_len = len;
	return 0;
}

size_t tube_discard(struct tube *tube, size_t max)
{
	size_t n = tube->in_len - tube->in_at;

	let_go(tube);
	if (n > 0)
		return n;
	if (max > TUBE_ROOM)
		max = TUBE_ROOM;
	return fill(tube, tube->works->room, max, &n) ? n : 0;
}

/* ---------------------------------------------------------------------- writing */

/* Several records follow each other, or one is all there is. */
static bool make_room(struct tube *tube, size_t len)
{
	size_t room = tube->out_len + len;
	uint8_t *more;

	if (room <= tube->out_room)
		return true;
	if (room > TUBE_UNSENT_MAX)
		return false;
	if (tube->out && room < TUBE_ROOM + TUBE_RECORD)
		room = TUBE_ROOM + TUBE_RECORD;
	more = realloc(tube->out, room);
	if (!more)
		return false;
	tube->out = more;
	tube->out_room = (uint32_t)room;
	return true;
}

/* It is never refused but for lack of memory. */
static int write_all(BIO *bio, const char *bytes, int len)
{
	struct tube *tube = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len <= 0 || tube->deaf)
		return len;
	if (!make_room(tube, (size_t)len))
		return -1;
	memcpy(tube->out + tube->out_len, bytes, (size_t)len);
	tube->out_len += (uint32_t)len;
	return len;
}

static void forget_unsent(struct tube *tube)
{
	free(tube->out);
	tube->out = NULL;
	tube->out_at = tube->out_len = tube->out_room = 0;
}

bool tube_flush(struct tube *tube)
{
	while (tube->out_at < tube->out_len) {
		ssize_t n = send(tube->fd, tube->out + tube->out_at,
			tube->out_len - tube->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			tube->deaf = true;
			break;
		}
		tube->out_at += (uint32_t)n;
		tube->sent += (uint64_t)n;
	}
	forget_unsent(tube);
	return true;
}

size_t tube_unsent(const struct tube *tube)
{
	return tube->out_len - tube->out_at;
}

/* --------------------------------------------------------------- begin and end */

static long control(BIO *bio, int command, long number, void *pointer)
{
	const struct tube *tube = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return tube->ended;
	return command == BIO_CTRL_FLUSH;
}

int tube_works_init(struct tube_works *works)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tube");

	if (!method)
		return -ENOMEM;
	BIO_meth_set_read(method, read_some);
	BIO_meth_set_write(method, write_all);
	BIO_meth_set_ctrl(method, control);
	works->method = method;
	return 0;
}

void tube_works_done(struct tube_works *works)
{
	BIO_meth_free(works->method);
	works->method = NULL;
}

void tube_init(struct tube *tube, struct tube_works *works, int fd)
{
	*tube = (struct tube){.works = works, .fd = fd};
}

void tube_done(struct tube *tube)
{
	let_go(tube);
	forget_unsent(tube);
}

BIO *tube_bio(struct tube *tube)
{
	BIO *bio = BIO_new(tube->works->method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, tube);
	BIO_set_init(bio, 1);
	return bio;
}
