#include "master/account.h"

#include "base/clock.h"
#include "base/own.h"
#include "conf/conf.h"
#include "master/conceal.h"
#include "master/findings.h"
#include "master/master.h"
#include "master/service.h"
#include "master/setup.h"
#include "master/worker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *account_format_peer(
	const struct addr *peer, const struct ucred *cred, char buf[ADDR_TEXT_MAX])
{
	if (cred->uid != (uid_t)-1)
		snprintf(buf, ADDR_TEXT_MAX, "uid %u pid %d", cred->uid, cred->pid);
	else if (peer->len > 0)
		addr_format_endpoint(peer, buf);
	else
		buf[0] = '\0';
	return buf;
}

static const char *format_local(const struct addr *local, char buf[ADDR_TEXT_MAX])
{
	if (local->len > 0)
		return addr_format_endpoint(local, buf);
	buf[0] = '\0';
	return buf;
}

static void learn_findings(struct account *account, const struct findings *findings)
{
	if (!findings)
		return;
	account->peer_name = findings->name;
	account->peer_user = findings->user;
}

static void forget_bytes(struct account *account)
{
	account->bytes_in = account->bytes_out = ACCOUNT_UNKNOWN;
	account->bytes_missed = false;
}

/* The texts are written over. */
static void clear(struct account *account)
{
	account->of = ACCOUNT_CONNECTION;
	account->peer_name = account->peer_user = NULL;
	account->worker = account->user = account->result = account->reason = NULL;
	account->pid = account->status = account->duration = account->cpu = ACCOUNT_UNKNOWN;
	forget_bytes(account);
	account->how[0] = '\0';
}

static uint64_t wall_clock(void)
{
	struct timespec now = clock_wall();

	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* Who serves him. */
static void learn_server(struct account *account, const struct child *child)
{
	if (child->worker) {
		account->of = child->posted ? ACCOUNT_SOCKET : ACCOUNT_CONNECTION;
		account->worker = worker_program(child->worker);
		return;
	}
	/* A worker of an image before us, which is not known here. */
	if (child->pid == 0) {
		account->of = ACCOUNT_CONNECTION;
		return;
	}
	account->of = child->backend ? ACCOUNT_BACKEND : ACCOUNT_CHILD;
	account->user = child->setup->conf->user;
	account->pid = (uint64_t)child->pid;
}

void account_begin(struct account *ret, const struct child *child, uint64_t now)
{
	clear(ret);
	ret->service = child->setup->conf->name;
	ret->connection = child->connection;
	account_format_peer(&child->peer, &child->peer_cred, ret->peer);
	format_local(&child->local, ret->local);
	learn_findings(ret, child->findings);
	learn_server(ret, child);
	ret->duration = now - child->born;
	ret->started = wall_clock() - ret->duration;
}

void account_begin_unserved(struct account *ret, const struct conn *conn)
{
	clear(ret);
	ret->service = conn->service->setup->conf->name;
	ret->connection = conn->number;
	account_format_peer(&conn->peer, &conn->peer_cred, ret->peer);
	format_local(&conn->local, ret->local);
	learn_findings(ret, conn->findings);
	ret->started = wall_clock();
}

/* ---------------------------------------------------------------- what is wanted */

static void conceal(struct account *account, const struct service *service,
	const struct service_conf *conf, const struct addr *peer, const struct ucred *cred)
{
	if (!conceal_wanted(conf))
		return;
	conceal_peer(conf, service->master->address_key, peer, cred, account->peer);
	account->peer_name = account->peer_user = NULL;
}

static void leave_out_client(struct account *account, uint32_t words)
{
	if (!(words & RECORD_HOST)) {
		account->peer[0] = '\0';
		account->peer_name = NULL;
	}
	if (!(words & RECORD_USERID))
		account->peer_user = NULL;
}

static void leave_out_service(struct account *account, uint32_t words)
{
	if (!(words & RECORD_PID))
		account->pid = ACCOUNT_UNKNOWN;
	if (!(words & RECORD_EXIT)) {
		account->result = account->reason = NULL;
		account->status = ACCOUNT_UNKNOWN;
		account->how[0] = '\0';
	}
	if (!(words & RECORD_DURATION))
		account->duration = ACCOUNT_UNKNOWN;
	if (!(words & RECORD_TRAFFIC))
		forget_bytes(account);
	if (!(words & RECORD_CPU))
		account->cpu = ACCOUNT_UNKNOWN;
}

static bool is_client(const struct account *account)
{
	return account->of == ACCOUNT_CHILD || account->of == ACCOUNT_CONNECTION;
}

bool account_trim(struct account *account, const struct child *child)
{
	const struct service_conf *conf = child->setup->conf;

	if (!is_client(account))
		return true;
	conceal(account, child->service, conf, &child->peer, &child->peer_cred);
	leave_out_client(account, conf->log_on_success);
	leave_out_service(account, conf->log_on_success);
	return conf->log_on_success != RECORD_NONE;
}

bool account_trim_failed(struct account *account, const struct child *child)
{
	const struct service_conf *conf = child->setup->conf;

	if (!is_client(account))
		return true;
	conceal(account, child->service, conf, &child->peer, &child->peer_cred);
	leave_out_client(account, conf->log_on_failure);
	return conf->log_on_failure != RECORD_NONE;
}

bool account_trim_unserved(struct account *account, const struct conn *conn)
{
	const struct service_conf *conf = conn->service->setup->conf;

	conceal(account, conn->service, conf, &conn->peer, &conn->peer_cred);
	leave_out_client(account, conf->log_on_failure);
	return conf->log_on_failure != RECORD_NONE;
}

const char *account_show_client(const struct child *child, char buf[ADDR_TEXT_MAX])
{
	return conceal_peer(child->setup->conf, child->service->master->address_key,
		&child->peer, &child->peer_cred, buf);
}

/* Where the configuration cannot be read now, and so does not say how, he does not appear. */
static const char *show(struct service *service, const struct addr *peer,
	const struct ucred *cred, char buf[ADDR_TEXT_MAX])
{
	const struct setup *setup = service_setup(service);

	if (setup)
		return conceal_peer(setup->conf, service->master->address_key, peer, cred, buf);
	snprintf(buf, ADDR_TEXT_MAX, "-");
	return buf;
}

const char *account_show_conn(const struct conn *conn, char buf[ADDR_TEXT_MAX])
{
	return show(conn->service, &conn->peer, &conn->peer_cred, buf);
}

const char *account_show_host(const struct conn *conn, char buf[ADDR_TEXT_MAX])
{
	const struct setup *setup = service_setup(conn->service);

	if (setup && !conceal_wanted(setup->conf))
		return addr_format_host(&conn->peer, buf);
	return account_show_conn(conn, buf);
}

const char *account_show_sender(
	struct service *service, const struct addr *sender, char buf[ADDR_TEXT_MAX])
{
	const struct ucred unknown = {.uid = (uid_t)-1};

	return show(service, sender, &unknown, buf);
}

/* --------------------------------------------------------------------- as fields */

static void add(struct account_fields *fields, const char *name, const char *value)
{
	if (value && *value && fields->n < ACCOUNT_FIELDS_MAX)
		fields->items[fields->n++] = (struct log_field){name, value};
}

static void add_number(struct account_fields *fields, const char *name, uint64_t value)
{
	char *text;

	if (value == ACCOUNT_UNKNOWN || fields->n >= ACCOUNT_FIELDS_MAX)
		return;
	text = fields->text[fields->n];
	snprintf(text, TEXT_NUMBER_MAX, "%" PRIu64, value);
	add(fields, name, text);
}

const struct log_field *account_fields(
	const struct account *account, struct account_fields *buf)
{
	buf->n = 0;
	if (log_target() == LOG_TARGET_JOURNAL) {
		add(buf, "SERVICE", account->service);
		add_number(buf, "CONNECTION", account->connection);
		add(buf, "PEER", account->peer);
		add(buf, "LOCAL", account->local);
		add(buf, "PEER_NAME", account->peer_name);
		add(buf, "PEER_USER", account->peer_user);
		add_number(buf, "PID", account->pid);
		add(buf, "RESULT", account->result);
		add_number(buf, "STATUS", account->status);
		add_number(buf, "DURATION_USEC", account->duration);
		add_number(buf, "CPU_USEC", account->cpu);
		add_number(buf, "BYTES_IN", account->bytes_in);
		add_number(buf, "BYTES_OUT", account->bytes_out);
		add(buf, "REASON", account->reason);
	}
	buf->items[buf->n] = (struct log_field){NULL, NULL};
	return buf->items;
}

/* ----------------------------------------------------------------------- as text */

const char *account_who(const struct account *account, char buf[ACCOUNT_WHO_MAX])
{
	static const char *const words[] = {
		[ACCOUNT_CHILD] = "child",
		[ACCOUNT_BACKEND] = "backend",
		[ACCOUNT_CONNECTION] = "connection",
		[ACCOUNT_SOCKET] = "socket",
	};
	bool has_pid = account->pid != ACCOUNT_UNKNOWN;
	enum account_of of = account->of;

	if (of == ACCOUNT_CHILD && !has_pid)
		of = ACCOUNT_CONNECTION;
	snprintf(buf, ACCOUNT_WHO_MAX, "%s %" PRIu64, words[of],
		has_pid ? account->pid : account->connection);
	return buf;
}

const char *account_who_child(const struct child *child, char buf[ACCOUNT_WHO_MAX])
{
	struct account account = {.connection = child->connection, .pid = ACCOUNT_UNKNOWN};

	learn_server(&account, child);
	return account_who(&account, buf);
}

const char *account_format_whom(const struct account *account, char buf[ACCOUNT_WHOM_MAX])
{
	const char *name = account->peer_name, *user = account->peer_user;

	bool known = name || user, both = known && account->peer[0];

	snprintf(buf, ACCOUNT_WHOM_MAX, "%s%s%s%s%s%s%s", account->peer, both ? " (" : "",
		name ? name : "", name && user ? ", " : "", user ? "user " : "",
		user ? user : "", both ? ")" : "");
	return buf;
}

/* What comes behind a comma. */
struct line {
	char *buf;
	size_t len;
};

static void say(struct line *line, const char *format, ...) _printf_(2, 3);

static void say(struct line *line, const char *format, ...)
{
	const char *comma = line->len > 0 ? ", " : "";
	size_t room = ACCOUNT_TEXT_MAX - line->len, n = strlen(comma);
	va_list ap;

	/* Where there is none for the comma there is none for what follows it. */
	if (room <= n)
		return;
	memcpy(line->buf + line->len, comma, n);
	va_start(ap, format);
	n += (size_t)vsnprintf(line->buf + line->len + n, room - n, format, ap);
	va_end(ap);
	line->len += n < room ? n : room - 1;
}

const char *account_format(const struct account *account, char buf[ACCOUNT_TEXT_MAX])
{
	struct line line = {.buf = buf};
	char elapsed[TEXT_NUMBER_MAX], whom[ACCOUNT_WHOM_MAX];

	buf[0] = '\0';
	if (account->reason)
		say(&line, "%s", account->reason);
	if (account->how[0])
		say(&line, "%s", account->how);
	if (account->bytes_in != ACCOUNT_UNKNOWN)
		say(&line, "%" PRIu64 " bytes in, %" PRIu64 " out", account->bytes_in,
			account->bytes_out);
	else if (account->bytes_missed)
		say(&line, "bytes unknown");
	if (account->duration != ACCOUNT_UNKNOWN)
		say(&line, "%s", text_format_elapsed(account->duration, elapsed));
	account_format_whom(account, whom);
	if (whom[0])
		say(&line, "from %s", whom);
	return buf;
}

/* ----------------------------------------------------------------------- as JSON */

static void put_text(struct json *json, const char *key, const char *value)
{
	if (value && *value)
		json_text(json, key, value);
}

static void put_number(struct json *json, const char *key, uint64_t value)
{
	if (value != ACCOUNT_UNKNOWN)
		json_number(json, key, value);
}

void account_put(struct json *json, const struct account *account)
{
	json_text(json, "service", account->service);
	json_number(json, "connection", account->connection);
	put_text(json, "peer", account->peer);
	put_text(json, "local", account->local);
	put_text(json, "peer_name", account->peer_name);
	put_text(json, "peer_user", account->peer_user);
	put_number(json, "pid", account->pid);
	put_text(json, "worker", account->worker);
	put_text(json, "user", account->user);
	put_text(json, "result", account->result);
	put_number(json, "status", account->status);
	put_number(json, "started_usec", account->started);
	put_number(json, "duration_usec", account->duration);
	put_number(json, "cpu_usec", account->cpu);
	put_number(json, "bytes_in", account->bytes_in);
	put_number(json, "bytes_out", account->bytes_out);
	put_text(json, "reason", account->reason);
}
