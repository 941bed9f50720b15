#include "workers/relay/target.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/own.h"
#include "os/pass_rights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Linux 6.16; headers may be older. */

_Static_assert(REDIRECT_TARGETS_MAX <= 64, "a bit for each target");

struct search {
	struct targets *targets;
	uint64_t tried;       /* bits, by target */
	uint64_t retry_at;    /* a full queue is asked again; USEC_INFINITY: it is connecting */
	uint64_t pause;       /* before that, usec */
	uint64_t late_at;     /* the target has had its time; USEC_INFINITY: it is absent */
	uint64_t await_until; /* the absent one has; 0: nobody has looked yet */
	uint64_t await_pause; /* before it is looked for again, usec */
	int fd;               /* owned */
	int error;
	unsigned attempt;
	uint32_t current, start;
	bool unreachable;
	bool absent;   /* the one that is started on demand is: there is no descriptor */
	bool given_up; /* it will not come */
	bool missed;   /* it did not come in time */
	struct redirect redirect;
	struct addr all[];
};

/* ----------------------------------------------------------------- failing ones */

static void forget(struct targets *targets, uint32_t i)
{
	targets->failing[i] = targets->failing[--targets->n_failing];
}

static void forget_old(struct targets *targets, uint64_t now)
{
	for (uint32_t i = targets->n_failing; i-- > 0;)
		if (targets->failing[i].until <= now)
			forget(targets, i);
}

static struct target_failing *find(
	struct targets *targets, uint32_t service, const struct addr *addr)
{
	for (uint32_t i = 0; i < targets->n_failing; i++)
		if (targets->failing[i].service == service &&
			addr_equal(&targets->failing[i].addr, addr))
			return &targets->failing[i];
	return NULL;
}

static struct target_failing *find_room(struct targets *targets)
{
	struct target_failing *first = &targets->failing[0];

	if (targets->n_failing < TARGET_FAILING_MAX)
		return &targets->failing[targets->n_failing++];
	for (uint32_t i = 1; i < TARGET_FAILING_MAX; i++)
		if (targets->failing[i].until < first->until)
			first = &targets->failing[i];
	return first;
}

void targets_failed(struct targets *targets, uint32_t service, const struct addr *addr,
	int error, uint64_t now)
{
	struct target_failing *known;

	forget_old(targets, now);
	known = find(targets, service, addr);
	if (!known && targets->tell)
		targets->tell(addr, error);
	if (!known)
		known = find_room(targets);
	*known = (struct target_failing){
		.addr = *addr,
		.service = service,
		.until = now + TARGET_SKIP_TIME,
	};
}

void targets_answered(struct targets *targets, uint32_t service, const struct addr *addr)
{
	struct target_failing *known = find(targets, service, addr);

	if (known)
		forget(targets, (uint32_t)(known - targets->failing));
}

static bool is_failing(const struct search *s, const struct addr *addr)
{
	return find(s->targets, s->redirect.service, addr);
}

/* That it can be sent datagrams says nothing of who is there. */
static void note_good(const struct search *s)
{
	const struct addr *addr = &s->all[s->current];

	if (!addr_is_datagram(addr))
		targets_answered(s->targets, s->redirect.service, addr);
}

int targets_read(int text, struct redirect *ret)
{
	static struct addr all[REDIRECT_TARGETS_MAX];
	static uint8_t bytes[REDIRECT_BYTES_MAX];
	ssize_t len = text < 0 ? 0 : pread(text, bytes, sizeof bytes, 0);

	return len < 0 ? -errno : redirect_get(bytes, (size_t)len, all, ret);
}

/* ------------------------------------------------------------------ which next */

static uint32_t first_of(struct targets *targets, const struct redirect *redirect)
{
	if (redirect->order == REDIRECT_FIRST)
		return 0;
	return targets->turns[redirect->service % TARGET_TURNS_MAX]++ % redirect->n_targets;
}

/* False: all have been tried. */
static bool choose(struct search *s, bool failing_too)
{
	for (uint32_t i = 0; i < s->redirect.n_targets; i++) {
		uint32_t at = (s->start + i) % s->redirect.n_targets;

		if (s->tried >> at & 1 || (!failing_too && is_failing(s, &s->all[at])))
			continue;
		s->tried |= UINT64_C(1) << at;
		s->current = at;
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ one target */

/* The fault of this machine, or of this process: the target is as good as before. */
static bool is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
	       error == EADDRNOTAVAIL;
}

static bool is_awaited(const struct search *s)
{
	return s->redirect.await_timeout > 0 && s->current == s->redirect.awaited;
}

/* One that is started on demand is as good as before for the next one who comes. */
static void fail(struct search *s, int error, uint64_t now)
{
	s->fd = fd_close(s->fd);
	s->error = error;
	if (is_ours(error))
		return;
	s->unreachable = true;
	if (!is_awaited(s))
		targets_failed(
			s->targets, s->redirect.service, &s->all[s->current], error, now);
}

/* Nobody listens there yet.  A socket in the file system comes first, and then its mode. */
static bool means_absent(const struct search *s, int r)
{
	if (!is_awaited(s) || s->given_up)
		return false;
	return r == -ECONNREFUSED || r == -ENOENT ||
	       (r == -EACCES && s->all[s->current].kind == ADDR_UNIX);
}

/* False: it has had its time. */
static bool await(struct search *s, int error, uint64_t now)
{
	if (s->await_until == 0) {
		s->await_until = now + s->redirect.await_timeout;
		s->await_pause = TARGET_AWAIT_MIN;
	}
	s->missed = now >= s->await_until;
	if (s->missed)
		return false;
	s->fd = fd_close(s->fd);
	s->attempt++;
	s->error = error;
	s->absent = true;
	s->retry_at = now + s->await_pause;
	if (s->retry_at > s->await_until)
		s->retry_at = s->await_until;
	s->late_at = USEC_INFINITY;
	s->await_pause *= 2;
	if (s->await_pause > TARGET_AWAIT_MAX)
		s->await_pause = TARGET_AWAIT_MAX;
	return true;
}

/* Where nobody listens on a port of the range that clients get theirs from, a connection may
 * be its own other end. */
static bool is_itself(int fd, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof own;

	return peer->ss_family != AF_UNIX &&
	       getsockname(fd, (struct sockaddr *)&own, &len) == 0 && len == peer_len &&
	       memcmp(&own, peer, len) == 0;
}

/* -EINPROGRESS: not yet; else a negative errno, or 0. */
static int look(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return errno == ENOTCONN ? -EINPROGRESS : -errno;
	return is_itself(fd, &peer, len) ? -ECONNREFUSED : 0;
}

/* The same for one that has failed, or has had its time.  Before that, the error may be what
 * an ICMP message has said, and nothing that the kernel gives up for (ip(7)). */
static int look_why(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0, r = look(fd);

	if (r != -EINPROGRESS)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return error != 0 ? -error : r;
}

/* The same.  Who has gone between is found out by who reads.  On this machine a connection of
 * TCP is there when connect(2) has just said that it is not yet. */
static int try_connect(struct search *s)
{
	const struct addr *addr = &s->all[s->current];

	if (connect(s->fd, &addr->sa, addr->len) == 0 || errno == EINPROGRESS)
		return look(s->fd);
	return errno == EINTR ? -EINPROGRESS : -errno;
}

/* True: that is all there is to say of this target. */
static bool judge(struct search *s, int r, uint64_t now)
{
	s->retry_at = USEC_INFINITY;
	if ((r == -EINPROGRESS || r == -EAGAIN) && now >= s->late_at)
		r = -ETIMEDOUT;
	if (r == -EINPROGRESS)
		return false;
	if (means_absent(s, r) && await(s, -r, now))
		return false;
	if (r == -EAGAIN) {
		s->retry_at = now + s->pause;
		s->pause = s->pause < TARGET_RETRY_MAX / 2 ? 2 * s->pause : TARGET_RETRY_MAX;
		return false;
	}
	if (r < 0)
		fail(s, -r, now);
	else
		note_good(s);
	return true;
}

/* A machine that has vanished is found out some time.  And nobody of this one sends
 * descriptors along from Linux 6.16 on: to drop one may take as long as its sender likes. */
static void prepare(int fd, sa_family_t family)
{
	static const int on = 1;

	if (family == AF_UNIX)
		pass_rights(fd, false);
	else
		(void)!setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static bool begin(struct search *s, uint64_t now)
{
	s->attempt++;
	s->late_at = now + s->redirect.connect_timeout;
	s->pause = TARGET_RETRY_MIN;
	s->fd = addr_socket(&s->all[s->current], SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s->fd < 0)
		return judge(s, s->fd, now);
	prepare(s->fd, s->all[s->current].sa.sa_family);
	return judge(s, try_connect(s), now);
}

/* After a while: is it there by now? */
static bool look_again(struct search *s, uint64_t now)
{
	if (s->given_up) {
		s->absent = false;
		fail(s, s->error, now);
		return true;
	}
	if (now < s->retry_at)
		return false;
	s->absent = false;
	return begin(s, now);
}

static bool go_on(struct search *s, uint32_t events, uint64_t now)
{
	if (s->absent)
		return look_again(s, now);
	if (s->retry_at != USEC_INFINITY)
		return now >= search_due(s) && judge(s, try_connect(s), now);
	if (events & EPOLLERR || now >= s->late_at)
		return judge(s, look_why(s->fd), now);
	return judge(s, look(s->fd), now);
}

/* -------------------------------------------------------------------- the search */

enum search_state search_go(struct search *s, uint32_t events, uint64_t now)
{
	forget_old(s->targets, now);
	if ((s->fd >= 0 || s->absent) && !go_on(s, events, now))
		return SEARCH_WAITS;
	while (s->fd < 0) {
		if (!choose(s, false) && !choose(s, true))
			return SEARCH_FAILED;
		if (!begin(s, now))
			return SEARCH_WAITS;
	}
	return SEARCH_FOUND;
}

int search_new(struct targets *targets, const struct redirect *redirect, struct search **ret)
{
	size_t len = redirect->n_targets * sizeof *redirect->targets;
	struct search *s = malloc(sizeof *s + len);

	if (!s)
		return -ENOMEM;
	*s = (struct search){
		.targets = targets,
		.fd = -EBADF,
		.redirect = *redirect,
		.start = first_of(targets, redirect),
	};
	memcpy(s->all, redirect->targets, len);
	s->redirect.targets = s->all;
	*ret = s;
	return 0;
}

struct search *search_free(struct search *s)
{
	if (!s)
		return NULL;
	fd_close(s->fd);
	free(s);
	return NULL;
}

int search_fd(const struct search *s)
{
	return s->fd;
}

uint32_t search_events(const struct search *s)
{
	return s->fd >= 0 && s->retry_at == USEC_INFINITY ? EPOLLOUT : 0;
}

uint64_t search_due(const struct search *s)
{
	return s->retry_at < s->late_at ? s->retry_at : s->late_at;
}

unsigned search_attempt(const struct search *s)
{
	return s->attempt;
}

void search_give_up(struct search *s)
{
	s->given_up = true;
}

bool search_has_come(const struct search *s)
{
	return s->fd >= 0 && is_awaited(s);
}

bool search_has_missed(const struct search *s)
{
	return s->missed;
}

int search_take(struct search *s)
{
	return take_fd(&s->fd);
}

const struct addr *search_target(const struct search *s)
{
	return &s->all[s->current];
}

int search_error(const struct search *s)
{
	return s->error;
}

bool search_is_unreachable(const struct search *s)
{
	return s->unreachable;
}
