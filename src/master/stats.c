#include "master/stats.h"

#include "base/own.h"
#include "master/child.h"
#include "master/conn.h"
#include "master/master.h"
#include "master/service.h"
#include "os/queued.h"

const char *stats_end_word(enum stats_end end)
{
	static const char *const words[] = {
		[STATS_SUCCESS] = "success",
		[STATS_ERROR] = "error",
		[STATS_SIGNAL] = "signal",
		[STATS_NOT_STARTED] = "not_started",
	};

	return words[end];
}

const char *stats_session_word(unsigned session)
{
	static const char *const words[] = {
		[CHANNEL_FINISHED] = "finished",
		[CHANNEL_RESET] = "reset",
		[CHANNEL_ENDED] = "ended",
		[CHANNEL_REFUSED] = "refused",
		[CHANNEL_UNREACHABLE] = "unreachable",
		[CHANNEL_TARGET_RESET] = "target_reset",
		[STATS_SESSION_LOST] = "lost",
	};

	return words[session];
}

/* Those of all, and those of the service, if there is memory for them; nobody's of what we
 * have started for ourselves. */
struct both {
	struct stats *items[2];
	size_t n;
};

static struct both both(struct service *service)
{
	struct both both = {.items = {&service->master->stats}, .n = 1};

	if (service->index == CONF_NONE)
		return (struct both){.n = 0};
	if (!service->stats)
		service->stats = calloc(1, sizeof *service->stats);
	if (service->stats)
		both.items[both.n++] = service->stats;
	return both;
}

/* Whoever is accepted counts, be it known or not how long he has waited. */
void stats_accepted(const struct conn *conn)
{
	struct both stats = both(conn->service);
	uint64_t waited = conn->listener->is_ip ? queued_for(conn->fd) : QUEUED_UNKNOWN;

	for (size_t i = 0; i < stats.n; i++) {
		stats.items[i]->accepted++;
		if (waited != QUEUED_UNKNOWN)
			histogram_add(&stats.items[i]->queue, waited);
	}
}

void stats_let_in(const struct conn *conn, uint64_t now)
{
	struct both stats = both(conn->service);

	for (size_t i = 0; i < stats.n; i++)
		histogram_add(&stats.items[i]->wait, now - conn->accepted);
}

void stats_started(const struct child *child, uint64_t now)
{
	struct both stats = both(child->service);

	for (size_t i = 0; i < stats.n; i++)
		histogram_add(&stats.items[i]->spawn, now - child->born);
}

void stats_not_started(const struct child *child)
{
	struct both stats = both(child->service);

	for (size_t i = 0; i < stats.n; i++)
		stats.items[i]->ended[STATS_NOT_STARTED]++;
}

static enum stats_end kind_of(const struct outcome *outcome)
{
	if (outcome->killed)
		return STATS_SIGNAL;
	return outcome->status == 0 ? STATS_SUCCESS : STATS_ERROR;
}

void stats_ended(const struct child *child, const struct child_end *end)
{
	struct both stats = both(child->service);

	for (size_t i = 0; i < stats.n; i++) {
		stats.items[i]->ended[kind_of(&end->outcome)]++;
		stats.items[i]->cpu_usec += end->cpu_usec;
	}
}

/* One that was ended because its client was cut off was broken off by him. */
static unsigned session_of(const struct child *child, const struct channel_answer *answer)
{
	if (!answer)
		return STATS_SESSION_LOST;
	return child->client_cut && answer->result == CHANNEL_ENDED ? CHANNEL_RESET
	                                                            : answer->result;
}

void stats_session_ended(const struct child *child, const struct channel_answer *answer)
{
	struct both stats = both(child->service);

	for (size_t i = 0; i < stats.n; i++)
		stats.items[i]->sessions[session_of(child, answer)]++;
	if (answer)
		stats_bytes(child->service, answer->bytes_in, answer->bytes_out);
}

void stats_bytes(struct service *service, uint64_t in, uint64_t out)
{
	struct both stats = both(service);

	for (size_t i = 0; i < stats.n; i++) {
		stats.items[i]->bytes_in += in;
		stats.items[i]->bytes_out += out;
	}
}

struct stats_place stats_place_of(const struct service *service)
{
	return (struct stats_place){.index = service->index, .number = service->number};
}

/* Not looked for: a reload in between is rare, and there may be ten thousand. */
void stats_bytes_at(
	struct master *master, const struct stats_place *place, uint64_t in, uint64_t out)
{
	struct service *service =
		place->index < master->n_services ? master->services[place->index] : NULL;

	if (service && service->number == place->number) {
		stats_bytes(service, in, out);
		return;
	}
	master->stats.bytes_in += in;
	master->stats.bytes_out += out;
}
