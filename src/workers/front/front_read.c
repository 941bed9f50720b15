/*
 * front_read: what a client says first, taken off his connection to the last byte and not
 * one byte further.
 */
#include "base/own.h"
#include "workers/front/front_internal.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

/* Of a header of version 2, whose length is known, and of what is thrown away. */
#define READ_MAX 4096

/* Most that is looked at without being taken. */
#define LOOK_MAX 128

_Static_assert(PROXY_V1_MAX <= LOOK_MAX && TCPMUX_LINE_MAX <= LOOK_MAX, "it does not fit");
_Static_assert(FRONT_NAME_MAX == TCPMUX_NAME_MAX && TCPMUX_NAME_MAX <= CHANNEL_NAME_MAX,
	"names have one length");

ssize_t front_receive(struct front *front, void *buf, size_t size, int flags)
{
	ssize_t n;

	do
		n = recv(front->fd, buf, size, flags | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0 && !(flags & MSG_PEEK))
		front->in += (uint64_t)n;
	return n < 0 ? -errno : n;
}

/* There is nothing to be looked at: wait, or it is over. */
static bool has_nothing(struct front *front, ssize_t error)
{
	return error == -EAGAIN ? false : front_fail(front, (int)error);
}

/* Only who has said something costs a parser.  Who leaves before that has only looked
 * whether somebody is there. */
static bool has_begun(struct front *front)
{
	char first;
	ssize_t n = front_receive(front, &first, 1, MSG_PEEK);

	if (n == 0)
		return front_finish(front, CHANNEL_FINISHED);
	return n > 0 ? true : has_nothing(front, n);
}

/*
 * Off the connection, what was looked at.  A byte that is declared urgent in between is left
 * out of what is read, and one that is not ours would be taken in its place; whoever does
 * that gets nothing.
 */
static bool take(struct front *front, const uint8_t *seen, size_t len)
{
	uint8_t taken[LOOK_MAX];
	size_t n = 0;

	assert(len <= sizeof taken);
	while (n < len) {
		ssize_t r = front_receive(front, taken + n, len - n, 0);

		if (r <= 0)
			return front_finish(front, CHANNEL_BAD_HEADER);
		n += (size_t)r;
	}
	if (memcmp(seen, taken, len) != 0)
		return front_finish(front, CHANNEL_BAD_HEADER);
	return true;
}

/* --------------------------------------------------------------- the proxy's header */

/* What is undecided when nothing more comes is no header. */
bool front_see_presence(struct front *front)
{
	uint8_t start[PROXY_V2_FIXED];
	ssize_t n = front_receive(front, start, sizeof start, MSG_PEEK);

	if (n == 0)
		return front_finish(front, CHANNEL_FINISHED);
	if (n < 0)
		return has_nothing(front, n);
	switch (proxy_detect(start, (size_t)n, PROXY_V1 | PROXY_V2)) {
	case PROXY_PRESENT:
		front->step = FRONT_AT_HEADER;
		return true;
	case PROXY_ABSENT:
		return front_after_header(front);
	default:
		return front->ended ? front_after_header(front) : false;
	}
}

static void keep_address(const struct addr *addr, struct channel_address *ret)
{
	if (addr->sa.sa_family == AF_INET) {
		ret->family = AF_INET;
		ret->port = ntohs(addr->in.sin_port);
		memcpy(ret->ip, &addr->in.sin_addr, sizeof addr->in.sin_addr);
	} else if (addr->sa.sa_family == AF_INET6) {
		ret->family = AF_INET6;
		ret->port = ntohs(addr->in6.sin6_port);
		memcpy(ret->ip, &addr->in6.sin6_addr, sizeof addr->in6.sin6_addr);
	}
}

static void keep_authority(const struct proxy_header *header, struct channel_facts *facts)
{
	const uint8_t *authority;
	size_t len;

	authority = proxy_fact(header, PROXY_AUTHORITY, &len);
	if (!authority || len > sizeof facts->authority)
		return;
	memcpy(facts->authority, authority, len);
	facts->authority_len = (uint16_t)len;
}

/* Addresses of other families say nothing that rules could be about. */
static bool keep_header(struct front *front)
{
	const struct proxy_header *header = &front->proxy->header;
	struct channel_facts *facts;

	if (!header->has_addresses)
		return true;
	facts = calloc(1, sizeof *facts);
	if (!facts)
		return front_fail(front, -ENOMEM);
	keep_address(&header->source, &facts->peer);
	keep_address(&header->destination, &facts->local);
	keep_authority(header, facts);
	front->facts = facts;
	return true;
}

static bool end_header(struct front *front)
{
	bool kept = keep_header(front);

	free(front->proxy);
	front->proxy = NULL;
	return kept ? front_after_header(front) : false;
}

static bool begin_header(struct front *front)
{
	if (!has_begun(front))
		return false;
	front->proxy = malloc(sizeof *front->proxy);
	if (!front->proxy)
		return front_fail(front, -ENOMEM);
	proxy_init(front->proxy, PROXY_V1 | PROXY_V2);
	return true;
}

/* These bytes are there. */
static bool feed_header(struct front *front, const uint8_t *bytes, size_t len, bool peeked)
{
	enum proxy_state state;
	size_t used;

	state = proxy_feed(front->proxy, bytes, len, &used);
	if (state == PROXY_REFUSED)
		return front_finish(front, CHANNEL_BAD_HEADER);
	if (peeked && !take(front, bytes, used))
		return false;
	return state == PROXY_DONE ? end_header(front) : true;
}

bool front_read_header(struct front *front)
{
	uint8_t bytes[READ_MAX];
	size_t wanted;
	bool peek;
	ssize_t n;

	if (!front->proxy && !begin_header(front))
		return false;
	wanted = proxy_wants(front->proxy, &peek);
	if (wanted > sizeof bytes)
		wanted = sizeof bytes;
	n = front_receive(front, bytes, wanted, peek ? MSG_PEEK : 0);
	if (n == 0)
		return front_finish(front, CHANNEL_BAD_HEADER);
	return n > 0 ? feed_header(front, bytes, (size_t)n, peek) : has_nothing(front, n);
}

/* ------------------------------------------------------------- the name of a service */

static bool keep_name(struct front *front)
{
	if (!front->facts)
		front->facts = calloc(1, sizeof *front->facts);
	if (!front->facts)
		return front_fail(front, -ENOMEM);
	memcpy(front->facts->service, front->mux->name, sizeof front->mux->name);
	return true;
}

/* The parser has all that it wants. */
static bool end_name(struct front *front)
{
	enum tcpmux_state state = front->mux->state;
	const char *why = tcpmux_fault_text(front->mux->fault);
	bool kept = state == TCPMUX_NAMED ? keep_name(front) : true;

	free(front->mux);
	front->mux = NULL;
	if (!kept)
		return false;
	if (state == TCPMUX_REFUSED)
		return front_refuse(front, why, CHANNEL_BAD_HEADER);
	if (state == TCPMUX_NAMED)
		return front_after_name(front);
	front->step = FRONT_AT_LIST;
	return true;
}

static bool begin_name(struct front *front)
{
	if (!has_begun(front))
		return false;
	front->mux = malloc(sizeof *front->mux);
	if (!front->mux)
		return front_fail(front, -ENOMEM);
	tcpmux_init(front->mux);
	return true;
}

bool front_read_name(struct front *front)
{
	uint8_t bytes[TCPMUX_LINE_MAX];
	enum tcpmux_state state;
	size_t used;
	ssize_t n;

	if (!front->mux && !begin_name(front))
		return false;
	n = front_receive(front, bytes, tcpmux_wants(front->mux), MSG_PEEK);
	if (n < 0)
		return has_nothing(front, n);
	if (n == 0) {
		tcpmux_end(front->mux);
		return end_name(front);
	}
	state = tcpmux_feed(front->mux, bytes, (size_t)n, &used);
	if (!take(front, bytes, used))
		return false;
	return state == TCPMUX_MORE ? true : end_name(front);
}

/* -------------------------------------------------------------------- his end */

/* He has been told everything: whatever happens now, it has ended as it has. */
bool front_discard(struct front *front)
{
	uint8_t bytes[READ_MAX];
	ssize_t n = front_receive(front, bytes, sizeof bytes, 0);

	if (n == -EAGAIN)
		return false;
	if (n > 0)
		front->discarded += (uint32_t)n;
	if (n <= 0 || front->discarded >= FRONT_LINGER_BYTES)
		return front_finish(front, front->result);
	return true;
}
