#include "master/overdue.h"

#include "base/clock.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/text.h"
#include "master/account.h"
#include "master/master.h"
#include "master/service.h"
#include "master/tally.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Of them, or of answers, in one turn. */
#define OVERDUE_BATCH 64

/* A second each for an answer that takes a microsecond; the machine may have slept. */
#define LOOKS       3
#define LOOKS_AGAIN USEC_PER_SEC

/* Who holds the lock of a connection holds up others who are asked after. */
#define HOLDER_KILL_AFTER USEC_PER_SEC

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct lifetime_limits limits_of(const struct child *child)
{
	const struct service_conf *conf = child->setup->conf;

	return (struct lifetime_limits){
		.time_limit = conf->time_limit,
		.first_byte_timeout = conf->first_byte_timeout,
		.idle_timeout = conf->idle_timeout,
		.kill_after = child->holds ? earlier(conf->kill_after, HOLDER_KILL_AFTER)
	                                   : conf->kill_after,
	};
}

/* Its client is known only until a program has the connection. */
static bool may_watch(
	struct child *child, const struct lifetime_limits *limits, const struct conn *conn)
{
	if (limits->first_byte_timeout == DURATION_UNLIMITED &&
		limits->idle_timeout == DURATION_UNLIMITED)
		return false;
	if (child->setup->conf->wait || !addr_is_ip(&child->peer) || child->peer.len == 0)
		return false;
	/* Without memory for who it is that is connected, he may be silent. */
	return tcp_diag_learn(conn->fd, &child->tcp) == 0 && child_learn_ends(child, conn);
}

void overdue_begin(struct child *child, const struct conn *conn, uint64_t now)
{
	const struct lifetime_limits limits = limits_of(child);
	bool watched = may_watch(child, &limits, conn);

	child->taken = conn->taken;
	lifetime_begin(&child->life, &limits, watched, now);
	child_set_due(
		child->service->master->children, child, lifetime_due(&child->life, &limits));
}

void overdue_resume(struct child *child)
{
	const struct lifetime_limits limits = limits_of(child);

	child_set_due(
		child->service->master->children, child, lifetime_due(&child->life, &limits));
}

/* Nobody else would know why it is started again and again. */
static void tell_not_ready(const struct child *child, uint64_t now)
{
	char text[TEXT_NUMBER_MAX];

	log_warning("%sprocess %d has not said READY=1 after %s (ready_timeout), ending it",
		child->service->label, child->pid,
		text_format_elapsed(now - child->born, text));
}

/* What comes before its program runs is thrown away: then master/tend tells it. */
static void tell_to_end(struct child *child)
{
	char who[ACCOUNT_WHO_MAX];

	log_debug("%s%s: %s", child->service->label, account_who_child(child, who),
		lifetime_reason(child->life.reason));
	if (!child->slot)
		child_signal(child, SIGTERM);
}

/* One that was told to end for another reason may be a holder as well. */
static void set_due(struct child *child, uint64_t now)
{
	const struct lifetime_limits limits = limits_of(child);
	uint64_t due = lifetime_due(&child->life, &limits);

	if (child->asking > 0 && !child->life.killed)
		due = earlier(due, now + LOOKS_AGAIN);
	child_set_due(child->service->master->children, child, due);
}

static void act_on(struct child *child, enum lifetime_act act, uint64_t now)
{
	if (act == LIFETIME_TERM)
		tell_to_end(child);
	if (act == LIFETIME_TERM && child->life.reason == LIFETIME_READY)
		tell_not_ready(child, now);
	if (act == LIFETIME_KILL)
		child_signal(child, SIGKILL);
	set_due(child, now);
}

void overdue_end(struct child *child, enum lifetime_reason reason, uint64_t now)
{
	if (!lifetime_end(&child->life, reason, now))
		return;
	tell_to_end(child);
	set_due(child, now);
}

/* ---------------------------------------------------------------- asking */

static bool put_question(struct asker *asker, const struct child *child)
{
	const struct asker_question question = {
		.owner = (void *)child,
		.id = child->connection,
		.group = child->service->number,
		.local = child->ends ? child->ends->local : child->local,
		.peer = child->ends ? child->ends->peer : child->peer,
		.handle = child->tcp,
	};

	return asker_put(asker, &question);
}

/*
 * What is known until the answer comes.  Where it does not, and for no other's sake, the
 * program holds its connection in a way that lets nothing through: that is silence.
 */
static struct lifetime_facts ask(struct asker *asker, struct child *child)
{
	struct lifetime_facts facts = {.state = LIFETIME_UNKNOWN};

	if (child->asking == 0) {
		child->asking = put_question(asker, child);
	} else if (!asker_is_held(asker, child, child->connection)) {
		child->asking = 1;
	} else if (child->asking < LOOKS) {
		child->asking++;
	} else {
		child->holds = true;
		facts.state = LIFETIME_OPEN;
		facts.silent = LIFETIME_NEVER;
	}
	return facts;
}

static void tell_unknown(struct overdue *overdue, int r, uint64_t now)
{
	if (!log_once_a_minute(&overdue->told, now))
		return;
	log_warning(
		"unable to ask the kernel after connections: %s, those that are silent stay",
		strerror(-r));
}

static struct lifetime_facts facts_of(struct overdue *overdue, const struct child *child,
	const struct asker_answer *answer, uint64_t now)
{
	struct lifetime_facts facts = {.state = LIFETIME_UNKNOWN};

	if (answer->result == 0 && answer->facts.held)
		facts = (struct lifetime_facts){
			.state = LIFETIME_OPEN,
			.heard = answer->facts.received > child->taken,
			.silent = answer->facts.silent,
		};
	else if (answer->result == 0 || answer->result == -ENOENT)
		facts.state = LIFETIME_CLOSED;
	else
		tell_unknown(overdue, answer->result, now);
	return facts;
}

/* Its record may be nobody's by now, who asks nothing, or another child's, whose
 * connection has another number. */
static void take_answer(
	struct overdue *overdue, const struct asker_answer *answer, uint64_t now)
{
	struct child *child = answer->owner;
	struct lifetime_limits limits;
	struct lifetime_facts facts;

	if (child->asking == 0 || child->connection != answer->id)
		return;
	child->asking = 0;
	limits = limits_of(child);
	facts = facts_of(overdue, child, answer, now);
	act_on(child, lifetime_answer(&child->life, &limits, &facts, now), now);
}

int overdue_on_answers(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct master *master = userdata;
	uint64_t now = clock_monotonic();
	struct asker_answer answer;

	(void)source;
	(void)fd;
	(void)revents;
	for (int i = 0; i < OVERDUE_BATCH; i++) {
		if (!asker_take(master->overdue.asker, now, &answer))
			break;
		if (answer.owner == &master->tally)
			tally_answer(master, &answer);
		else
			take_answer(&master->overdue, &answer, now);
	}
	return 0;
}

/* --------------------------------------------------------------- the turn */

static void look_after(struct master *master, struct child *child, uint64_t now)
{
	const struct lifetime_limits limits = limits_of(child);
	enum lifetime_act act = lifetime_act(&child->life, &limits, now);

	if (act == LIFETIME_ASK || (act == LIFETIME_REST && child->asking > 0)) {
		struct lifetime_facts facts = ask(master->overdue.asker, child);

		act = lifetime_answer(&child->life, &limits, &facts, now);
	}
	act_on(child, act, now);
}

static void tell_trouble(struct overdue *overdue, uint64_t now)
{
	int trouble = asker_trouble(overdue->asker);
	char why[HELPER_WHY_MAX];
	size_t obstacles;

	if (trouble < 0 && log_once_a_minute(&overdue->told, now))
		log_warning("unable to ask the kernel after connections: %s, those that are "
			    "silent stay until it can be asked",
			asker_explain(trouble, why));
	obstacles = asker_obstacles(overdue->asker);
	if (obstacles > 0 && log_once_a_minute(&overdue->full_told, now))
		log_warning("unable to ask the kernel after some connections: %zu %s no answer "
			    "while a program holds its lock, ending those that do",
			obstacles, obstacles == 1 ? "has" : "have");
}

void overdue_turn(struct master *master, uint64_t now)
{
	struct child *child;

	for (int i = 0; i < OVERDUE_BATCH; i++) {
		child = child_table_overdue(master->children, now);
		if (!child)
			break;
		look_after(master, child, now);
	}
	master->overdue.asker_due = asker_tend(master->overdue.asker, now);
	tell_trouble(&master->overdue, now);
}
