#include "master/record.h"

#include "base/clock.h"
#include "base/log-gate.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/rate.h"
#include "master/account.h"
#include "master/backend.h"
#include "master/control-lines.h"
#include "master/master.h"
#include "master/refusals.h"
#include "master/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Different failures of a service that are told in one window. */
#define NEWS_MAX    10
#define FAILURE_MAX 160

#define OLDEST_TEXT_MAX (ADDR_TEXT_MAX + TEXT_NUMBER_MAX + 32)

#define BAN_TEXT_MAX (TEXT_NUMBER_MAX + 40)

/* As a line of the log: who, what has become of it, and everything else there is. */
static void tell(const struct service *service, const struct account *account)
{
	char who[ACCOUNT_WHO_MAX], text[ACCOUNT_TEXT_MAX];
	struct account_fields fields;

	account_format(account, text);
	log_fields(LOG_INFO, account_fields(account, &fields), "%s%s ended%s%s", service->label,
		account_who(account, who), text[0] ? ": " : "", text);
}

/* Nobody need be told of what a client has had. */
static bool is_nobodys(const struct master *master)
{
	return log_max_priority() < LOG_INFO && master->followers.seats.n == 0 &&
	       !accounting_is_on(master);
}

/* What is in the log is a part of it.  A worker, or a backend, is none of those whose beginning
 * was told to who follows. */
static void finish(struct record *record, const struct child *child)
{
	record->logged = record->whole;
	record->is_logged = account_trim(&record->logged, child);
	record->is_followed = control_is_connection(child);
}

void record_write(const struct service *service, const struct record *record)
{
	if (record->is_followed)
		follow_client(service->master, "close", &record->whole, 0);
	if (!record->is_logged)
		return;
	if (log_max_priority() >= LOG_INFO)
		tell(service, &record->logged);
	if (record->is_followed)
		accounting_add(service->master, &record->logged);
}

void record_end(struct child *child, const struct child_end *end, uint64_t now)
{
	struct account *account;
	struct record record;

	if (is_nobodys(child->service->master) && !child->tallied)
		return;
	account = &record.whole;
	account_begin(account, child, now);
	account->result = outcome_result(&end->outcome);
	account->status = (uint64_t)end->outcome.status;
	account->cpu = end->cpu_usec;
	account->reason = lifetime_reason(child->life.reason);
	outcome_format(&end->outcome, account->how);
	tally_end(child, account);
	finish(&record, child);
	if (!tally_keep(child, &record, now))
		record_write(child->service, &record);
}

/* In words, and as RESULT. */
static const char *session_result(
	const struct child *child, const struct channel_answer *answer)
{
	static const char *const words[] = {
		[CHANNEL_FINISHED] = "finished",
		[CHANNEL_RESET] = "reset",
		[CHANNEL_ENDED] = "ended",
		[CHANNEL_REFUSED] = "refused",
		[CHANNEL_UNREACHABLE] = "unreachable",
		[CHANNEL_TARGET_RESET] = "target_reset",
	};

	/* It was ended because of that. */
	if (answer && child->client_cut && answer->result == CHANNEL_ENDED)
		return words[CHANNEL_RESET];
	return answer ? words[answer->result] : "lost";
}

/* Also why there was nobody whom it could be passed on to. */
static const char *reason_of_session(
	const struct child *child, const struct channel_answer *answer)
{
	const char *reason = lifetime_reason(child->life.reason);

	if (!reason && answer && answer->result == CHANNEL_UNREACHABLE)
		reason = backend_reason(child);
	return reason;
}

void record_session_end(
	const struct child *child, const struct channel_answer *answer, uint64_t now)
{
	struct account *account;
	struct record record;

	if (is_nobodys(child->service->master))
		return;
	account = &record.whole;
	account_begin(account, child, now);
	account->result = session_result(child, answer);
	account->reason = reason_of_session(child, answer);
	if (answer) {
		account->bytes_in = answer->bytes_in;
		account->bytes_out = answer->bytes_out;
	}
	/* Why says more than how. */
	if (!account->reason)
		snprintf(account->how, sizeof account->how, "%s", account->result);
	finish(&record, child);
	record_write(child->service, &record);
}

static const char *from(const char *whom)
{
	return whom[0] ? ", from " : "";
}

void record_open(struct child *child, uint64_t now)
{
	char elapsed[TEXT_NUMBER_MAX], who[ACCOUNT_WHO_MAX], whom[ACCOUNT_WHOM_MAX];
	struct account_fields fields;
	struct account account;

	text_format_elapsed(now - child->born, elapsed);
	account_begin(&account, child, now);
	if (!account_trim(&account, child))
		return;
	account.result = "open";
	account_format_whom(&account, whom);
	log_fields(LOG_INFO, account_fields(&account, &fields), "%s%s open for %s%s%s",
		child->service->label, account_who(&account, who), elapsed, from(whom), whom);
}

/* Who looks on (-v) wants to see every one. */
static bool passes(struct log_gate *gate, uint64_t now)
{
	return log_max_priority() >= LOG_DEBUG || log_gate_pass(gate, now);
}

/* Of its source, or the one for all that have none.  A ban is told also when there are
 * too many of other refusals: it is what somebody will look for. */
static struct log_gate *gate_of(
	const struct conn *conn, enum admit_verdict verdict, bool banned, uint64_t now)
{
	const struct service *service = conn->service;
	struct master *master = service->master;
	struct refusals **refusals = banned ? &master->bans : &master->refusals;
	struct log_gate *gate = NULL;

	if (!*refusals)
		*refusals = refusals_new();
	if (*refusals && conn->source.family != ADDR_SOURCE_NONE)
		gate = refusals_gate(*refusals, service, &conn->source, verdict, now);
	return gate ? gate : &master->other_refusals;
}

/* ", banned for 1 h from all services", or nothing. */
static const char *describe_ban(
	const struct service *service, uint64_t banned, char buf[BAN_TEXT_MAX])
{
	bool all = service->sensor || service->setup->conf->ban_scope == BAN_ALL;
	char text[TEXT_NUMBER_MAX];

	if (banned == 0)
		return "";
	snprintf(buf, BAN_TEXT_MAX, ", banned for %s%s", text_format_elapsed(banned, text),
		all ? " from all services" : "");
	return buf;
}

static void account_refused(
	struct account *account, const struct conn *conn, enum admit_verdict verdict)
{
	account_begin_unserved(account, conn);
	account->result = "refused";
	account->reason = admit_reason(verdict);
}

/* Each of them, also where the log has a count alone. */
static void let_follow_refused(
	const struct conn *conn, enum admit_verdict verdict, uint64_t banned)
{
	struct master *master = conn->service->master;
	struct account account;

	if (master->followers.seats.n == 0)
		return;
	account_refused(&account, conn, verdict);
	follow_client(master, "refused", &account, banned);
}

static void tell_refused(const struct conn *conn, enum admit_verdict verdict, uint64_t banned)
{
	struct service *service = conn->service;
	char whom[ACCOUNT_WHOM_MAX], ban[BAN_TEXT_MAX];
	struct account_fields fields;
	struct account account;

	account_refused(&account, conn, verdict);
	account_trim_unserved(&account, conn);
	account_format_whom(&account, whom);
	log_fields(LOG_NOTICE, account_fields(&account, &fields), "%srefused%s%s: %s%s",
		service->label, whom[0] ? " " : "", whom, account.reason,
		describe_ban(service, banned, ban));
	accounting_add(service->master, &account);
}

void record_refused(
	const struct conn *conn, enum admit_verdict verdict, uint64_t banned, uint64_t now)
{
	struct service *service = conn->service;
	struct log_gate *gate;

	service_told(service)->refused[verdict]++;
	service->master->refused[verdict]++;
	service->master->n_bans += banned > 0;
	let_follow_refused(conn, verdict, banned);
	if (service->setup->conf->log_on_failure == RECORD_NONE)
		return;
	gate = gate_of(conn, verdict, banned > 0, now);
	if (passes(gate, now))
		tell_refused(conn, verdict, banned);
	master_gate_closed(service->master, gate->window_ends);
}

/* News passes the gate, unless there is a lot of it. */
static bool is_news(struct told *told, const char *failure, uint64_t now)
{
	if (now >= told->failures.window_ends)
		told->n_news = 0;
	if ((told->last_failure && strcmp(failure, told->last_failure) == 0) ||
		told->n_news >= NEWS_MAX)
		return false;
	free(told->last_failure);
	told->last_failure = strdup(failure);
	told->n_news++;
	return true;
}

/* News is told at once, and not counted as held back. */
static bool failure_passes(struct service *service, const char *failure, uint64_t now)
{
	struct told *told = service_told(service);
	bool news = is_news(told, failure, now);
	bool open = passes(&told->failures, now);

	if (news && !open)
		told->failures.held_back--;
	return news || open;
}

void record_not_started(struct child *child, const char *step, int error, uint64_t now)
{
	struct service *service = child->service;
	char failure[FAILURE_MAX], whom[ACCOUNT_WHOM_MAX];
	struct account_fields fields;
	struct account account;

	snprintf(failure, sizeof failure, "%.100s: %s: %s", child->setup->conf->path, step,
		error                ? strerror(error)
		: child->killed_late ? "killed after start_timeout"
				     : "killed by somebody else");
	account_begin(&account, child, now);
	account.result = "failed";
	account.reason = step;
	account.duration = ACCOUNT_UNKNOWN;
	follow_client(service->master, "failed", &account, 0);
	if (account_trim_failed(&account, child) && control_is_connection(child))
		accounting_add(service->master, &account);
	if (failure_passes(service, failure, now)) {
		account_format_whom(&account, whom);
		log_fields(LOG_ERR, account_fields(&account, &fields),
			"%sunable to start %s%s%s", service->label, failure, from(whom), whom);
	}
	master_gate_closed(service->master, service_told(service)->failures.window_ends);
}

void record_dropped(const struct listener *listener, const struct addr *sender, uint64_t now)
{
	const struct addr *addr = listener_addr(listener);
	struct service *service = listener->service;
	char peer[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];
	char failure[FAILURE_MAX];
	struct log_field fields[] = {
		{"SERVICE", service_name(service)},
		{"PEER", account_show_sender(service, sender, peer)},
		{"LOCAL", addr ? addr_format_endpoint(addr, local) : NULL},
		{"RESULT", "dropped"},
		{NULL, NULL},
	};

	snprintf(failure, sizeof failure,
		"dropped a datagram from %.80s that %d children did not take", peer,
		ARRIVAL_REFUSED_MAX);
	if (failure_passes(service, failure, now))
		log_fields(LOG_WARNING, fields, "%s%s", service->label, failure);
	master_gate_closed(service->master, service_told(service)->failures.window_ends);
}

/* "; the oldest is from 192.0.2.1:1234 for 3 min", as far as there is something to tell. */
static const char *describe_oldest(
	const struct child *oldest, uint64_t now, char buf[OLDEST_TEXT_MAX])
{
	bool young = now - oldest->born < USEC_PER_SEC;
	char peer[ADDR_TEXT_MAX], elapsed[TEXT_NUMBER_MAX];

	account_show_client(oldest, peer);
	if (young && !peer[0])
		return "";
	snprintf(buf, OLDEST_TEXT_MAX, "; the oldest%s%s%s%s", peer[0] ? " is from " : "", peer,
		young ? "" : " for ",
		young ? "" : text_format_elapsed(now - oldest->born, elapsed));
	return buf;
}

/* With the last child that may be: nobody waits yet. */
void record_full(struct service *service, uint64_t now)
{
	char oldest[OLDEST_TEXT_MAX];

	if (!log_once_a_minute(&service_told(service)->full, now) || !service->first)
		return;
	log_warning("%sfull with %u %s, new clients would %s%s", service->label,
		service->n_children, service->n_children == 1 ? "child" : "children",
		service->refuses && !service->wait ? "be refused" : "wait",
		describe_oldest(service->first, now, oldest));
}

void record_paced(struct service *service, uint64_t now)
{
	struct pace *pace = service->pace;
	char rate[RATE_TEXT_MAX];

	if (!log_once_a_minute(&pace->told, now))
		return;
	log_warning("%srate of %s reached, new clients wait", service->label,
		rate_format(&pace->limit, rate));
}

void record_waits(struct service *service, enum admit_verdict verdict, uint64_t now)
{
	if (!log_once_a_minute(&service_told(service)->full, now))
		return;
	log_notice("%snobody is taken in now (%s), new clients wait", service->label,
		admit_reason(verdict));
}

void record_not_found(
	struct service *service, const char *what, const char *whose, const char *why)
{
	if (log_once_a_minute(&service_told(service)->lookup, clock_monotonic()))
		log_notice("%sunable to look up %s %s: %s", service->label, what, whose, why);
}

void record_full_total(struct master *master, uint64_t now)
{
	if (!log_once_a_minute(&master->full_told, now))
		return;
	log_warning("full with %u children of all services (total_instances), new clients wait",
		master_clients(master));
}

void record_forgotten(struct master *master, uint64_t now)
{
	uint64_t forgotten = sources_forgotten(master->sources);

	if (forgotten == master->forgot_before || !log_once_a_minute(&master->forgot_told, now))
		return;
	log_warning("remembering at most %u clients: rates or bans of %" PRIu64
		    " others forgotten",
		SOURCES_REMEMBERED_MAX, forgotten - master->forgot_before);
	master->forgot_before = forgotten;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t report_gate(
	struct log_gate *gate, uint64_t now, const char *label, const char *what)
{
	uint64_t held_back;

	if (gate->held_back == 0)
		return USEC_INFINITY;
	if (now < gate->window_ends)
		return gate->window_ends;
	held_back = log_gate_take(gate, now);
	if (held_back > 0)
		log_notice("%s%llu more %s in the last 10 s", label,
			(unsigned long long)held_back, what);
	return USEC_INFINITY;
}

uint64_t record_report_held_back(struct master *master, uint64_t now)
{
	uint64_t due = refusals_report(master->refusals, now);
	const struct backend *backend;

	due = earlier(due, refusals_report(master->bans, now));
	due = earlier(due, report_gate(&master->other_refusals, now, "", "refused"));
	due = earlier(due, report_gate(&master->told.failures, now, "", "failures"));
	for (size_t i = 0; i < master->n_services; i++) {
		struct service *service = master->services[i];

		if (service->told)
			due = earlier(due, report_gate(&service->told->failures, now,
						   service->label, "failures like that"));
	}
	LIST_FOREACH (backend, &master->backends.all, all) {
		struct told *told = backend->service->told;

		if (told)
			due = earlier(
				due, report_gate(&told->failures, now, backend->service->label,
					     "failures of its backend"));
	}
	return due;
}

void record_flush_held_back(struct master *master)
{
	record_report_held_back(master, UINT64_MAX);
}
