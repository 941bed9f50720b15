#include "master/unread.h"

#include "master/master.h"
#include "master/pass.h"
#include "master/service.h"

#include <errno.h>
#include <stdlib.h>

struct item {
	struct channel_request request;
	struct child *child;
	int fds[CHANNEL_FDS_MAX];
	size_t n_fds;
};

struct unread {
	size_t n;
	struct item items[UNREAD_MAX];
};

/* Whose request that is: of one that has not been taken, or one taken back before it. */
static struct child *find(const struct unread *unread, const struct worker *worker,
	const struct channel_session *id)
{
	struct child *child = id->place < worker->places ? worker->sessions[id->place] : NULL;

	if (child && child->connection == id->connection)
		return child;
	for (size_t i = 0; i < unread->n; i++)
		if (unread->items[i].child->connection == id->connection)
			return unread->items[i].child;
	return NULL;
}

/* The last copy may be ours, and then who has had another one decides how long that takes. */
static void close_later(struct master *master, const struct item *item, uint64_t now)
{
	for (size_t i = 0; i < item->n_fds; i++)
		master_close_later(master, item->fds[i], now);
}

/* A request to end one that the worker had taken has become idle. */
static bool take_back(struct unread *unread, struct worker *worker, struct item *item)
{
	const struct channel_request *request = &item->request;

	/* What it was told of those who send datagrams is of no use to another one. */
	if (request->kind == CHANNEL_DRAIN || request->kind == CHANNEL_VERDICT)
		return false;
	item->child = find(unread, worker, &request->session);
	if (!item->child)
		return false;
	/* One that has never become ready is not tried. */
	if (request->kind == CHANNEL_SERVE && worker->theirs >= 0)
		item->child->workers_tried--;
	if (request->kind == CHANNEL_SERVE && item->child->workers_tried >= WORKERS_TRIED_MAX)
		return false;
	if (request->kind == CHANNEL_SERVE)
		worker->sessions[request->session.place] = NULL;
	else if (worker->sessions[request->session.place])
		return false;
	unread->n++;
	return true;
}

struct unread *unread_take(struct worker *worker, uint64_t now)
{
	struct unread *unread = malloc(sizeof *unread);
	int r = unread ? 0 : -ENOMEM;

	if (unread)
		unread->n = 0;
	while (r == 0 && unread->n < UNREAD_MAX) {
		struct item *item = &unread->items[unread->n];

		r = channel_take(worker->unread, &item->request, item->fds, &item->n_fds);
		if (r < 0 || !take_back(unread, worker, item))
			close_later(worker->master, item, now);
	}
	if (unread && unread->n > 0)
		return unread;
	free(unread);
	return NULL;
}

/* What the last one has asked about it, which it had not read, was a lie. */
static void begin_anew(struct child *child)
{
	child->workers_tried++;
	child->n_offers = 0;
	child->next_ticket = 0;
	child->put_off = false;
}

static int send_again(const struct item *item, struct worker *worker)
{
	worker->sessions[item->child->place] = item->child;
	if (item->request.kind == CHANNEL_SERVE)
		begin_anew(item->child);
	return channel_send(&worker->channel, &item->request, item->fds, item->n_fds);
}

/* From that one on.  A request to end comes behind the one that it is about. */
static void lose_from(struct unread *unread, size_t first, struct worker *worker, uint64_t now)
{
	for (size_t i = first; i < unread->n; i++)
		close_later(worker->master, &unread->items[i], now);
	for (size_t i = first; i < unread->n; i++) {
		const struct item *item = &unread->items[i];

		if (item->request.kind != CHANNEL_SERVE)
			continue;
		worker->sessions[item->child->place] = item->child;
		pass_lost(item->child, now);
	}
	free(unread);
}

void unread_send(struct unread *unread, struct worker *worker, uint64_t now)
{
	size_t i = 0;

	while (i < unread->n && send_again(&unread->items[i], worker) == 0)
		close_later(worker->master, &unread->items[i++], now);
	lose_from(unread, i, worker, now);
}

void unread_lose(struct unread *unread, struct worker *worker, uint64_t now)
{
	lose_from(unread, 0, worker, now);
}

void unread_free(struct unread *unread, struct master *master, uint64_t now)
{
	for (size_t i = 0; unread && i < unread->n; i++)
		close_later(master, &unread->items[i], now);
	free(unread);
}
