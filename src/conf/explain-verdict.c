/*
 * explain-verdict: whether one client comes in, and what decides that.
 *
 * The decision is that of policy/admit, asked as if nobody else was there: of limits
 * only those refuse that let nobody in.
 */
#include "base/text.h"
#include "conf/access.h"
#include "conf/explain-internal.h"
#include "conf/format.h"
#include "conf/wrappers.h"
#include "policy/admit.h"

#include <string.h>

/* What else there is about a verdict that an option has given. */
struct decision {
	enum admit_verdict verdict;
	struct access_answer access;
	struct wrappers_answer wrappers;
};

static void put_client(const struct explain *e, const char *what, const char *reason)
{
	explain_put_word(e, "client");
	fprintf(e->out, "%s %s%s%s\n", e->peer.shown, what, reason ? ": " : "",
		reason ? reason : "");
}

/*
 * The question.
 */

static struct access_answer ask_rules(const struct explain *e)
{
	if (!e->service->access || !explain_is_seen(e))
		return (struct access_answer){ACCESS_OK, ACCESS_NO_RULE};
	return access_ask(e->service->access->table, &e->peer.peer);
}

/* As far as it does not depend on who he says he is. */
static struct wrappers_answer ask_wrappers(const struct explain *e)
{
	const struct service_conf *service = e->service;
	bool asked = !addr_is_datagram(e->addr);
	struct wrappers_client client = {
		.peer = e->peer.peer.who,
		.local_unsure = addr_is_ip(e->addr) && addr_is_wildcard(e->addr),
		.port = addr_is_ip(e->addr) ? (uint16_t)addr_port(e->addr) : 0,
	};

	if (!service->wrappers || !explain_is_seen(e))
		return (struct wrappers_answer){.verdict = WRAPPERS_OK};
	client.name_state = !addr_source_is_ip(&client.peer)            ? WRAPPERS_NAME_NONE
	                    : asked && service_conf_asks_names(service) ? WRAPPERS_NAME_UNASKED
	                                                                : WRAPPERS_NAME_UNSURE;
	if (asked && addr_source_is_ip(&client.peer) && service_conf_asks_ident(service))
		client.user_state = WRAPPERS_USER_UNASKED;
	if (addr_is_ip(e->addr))
		addr_source(e->addr, 32, 128, &client.local);
	return wrappers_ask(service->wrappers->table, &client);
}

/* What is half of 0 instances is not what keeps him out. */
static uint32_t per_source_of(const struct service_conf *service)
{
	bool given = service_conf_given(service, conf_option_find("per_source"));

	return service->wait || !given ? UINT32_MAX : service->per_source;
}

static struct decision decide(const struct explain *e)
{
	const struct service_conf *service = e->service;
	struct decision decision = {.access = ask_rules(e), .wrappers = ask_wrappers(e)};
	struct admit_request request = {
		.total_limit = UINT32_MAX,
		.instances_limit = UINT32_MAX,
		.per_source_limit = UINT32_MAX,
		.max_load = COUNT_UNLIMITED,
		.access = decision.access.verdict,
		.hosts_denied = decision.wrappers.verdict == WRAPPERS_DENIED,
	};

	if (explain_is_counted(e)) {
		request.instances_limit = service->instances;
		request.per_source_limit = per_source_of(service);
		request.rate = service->rate;
		request.sensor = service->sensor;
		request.closed = !explain_is_open(e);
	}
	if (explain_is_counted(e) && explain_is_seen(e))
		request.source_rate = service->per_source_rate;
	decision.verdict = admit(&request);
	return decision;
}

/* Is he left in the kernel's queue instead of being told? */
static bool is_left_waiting(const struct explain *e, enum admit_verdict verdict)
{
	bool wait = e->service->wait, refuses = e->service->overflow == OVERFLOW_REFUSE;

	switch (verdict) {
	case ADMIT_TIMES:
		return !explain_is_seen(e);
	case ADMIT_INSTANCES:
		return wait || !refuses;
	case ADMIT_RATE:
		return !explain_is_seen(e) || !refuses;
	default:
		return false;
	}
}

/* Can his name be looked up, whoever asks?  What the service manager hands over may be
 * datagrams. */
static bool has_connection_of_ip(const struct explain *e)
{
	int family = e->peer.peer.who.family;

	return (family == ADDR_SOURCE_IPV4 || family == ADDR_SOURCE_IPV6) &&
	       !addr_is_datagram(e->addr);
}

/* Would he come in by his name? */
static bool is_up_to_name(const struct explain *e, const struct decision *decision)
{
	return decision->access.verdict == ACCESS_NOT_LISTED && e->service->names &&
	       service_conf_asks_names(e->service) && has_connection_of_ip(e);
}

/* Or by a certificate, in a handshake of TLS? */
static bool is_up_to_cert(const struct explain *e, const struct decision *decision)
{
	return decision->access.verdict == ACCESS_NOT_LISTED && e->service->certs &&
	       has_connection_of_ip(e);
}

static bool is_up_to_more(const struct explain *e, const struct decision *decision)
{
	return is_up_to_name(e, decision) || is_up_to_cert(e, decision);
}

/* Is it but his name or his user that will decide? */
static bool is_open(const struct decision *decision)
{
	return decision->verdict == ADMIT_OK && decision->wrappers.verdict == WRAPPERS_OPEN;
}

/*
 * The answer.
 */

/* Names that are told; of more there is a number. */
#define NAMES_SHOWN 8

/* There are no control characters in any. */
static void put_list(const struct explain *e, const char *how, char *const *list)
{
	size_t n = strv_length(list);

	explain_put_given(e, conf_option_find("only_from"));
	fprintf(e->out, ": only_from, by his %s now:", how);
	for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
		fprintf(e->out, " %s", list[i]);
	if (n > NAMES_SHOWN)
		fprintf(e->out, " and %zu more", n - NAMES_SHOWN);
}

/* What would let in who is in no rule. */
static void put_more(const struct explain *e, const struct decision *decision)
{
	bool name = is_up_to_name(e, decision), cert = is_up_to_cert(e, decision);

	if (name)
		put_list(e, "name, which is not asked", e->service->names);
	if (name && cert) {
		fputc('\n', e->out);
		explain_put_word(e, "");
	}
	if (cert)
		put_list(e, "certificate, which is not shown", e->service->certs);
}

static const char *unless_of(const struct explain *e, const struct decision *decision)
{
	if (!is_up_to_cert(e, decision))
		return "only_from, unless he has one of its names";
	return is_up_to_name(e, decision)
	               ? "only_from, unless he has one of its names or certificates"
	               : "only_from, unless he has one of its certificates";
}

static void put_rule(const struct explain *e, uint32_t rule)
{
	const struct access_where *where = &e->service->access->where[rule];
	struct access_element element = access_element_of(e->service, where->element);
	char shown[DIAG_SHOWN_MAX];

	explain_put_origin(e, &element.origin);
	fprintf(e->out, ": %s %s", element.option,
		diag_shown(element.word, strlen(element.word), shown));
	if (where->line > 0) {
		const char *name = access_names_file(element.word);
		_cleanup_free_ char *path = access_file_path(name, &element.origin);

		fprintf(e->out, ", %s:%u", path ? path : "?", where->line);
	}
}

static void put_no_rule(const struct explain *e)
{
	if (e->service->access && explain_is_seen(e))
		fputs("no rule is about him, and there is no only_from", e->out);
	else if (service_conf_has_access(e->service))
		fputs("nobody is checked, the program takes its clients itself", e->out);
	else
		fputs("there are neither only_from nor no_access", e->out);
}

/* "/etc/hosts.deny:12" */
static void put_wrappers_rule(const struct explain *e, const struct wrappers_answer *answer)
{
	fprintf(e->out, "%s:%u", answer->of_deny ? WRAPPERS_DENY : WRAPPERS_ALLOW,
		answer->line);
}

/* What hosts.allow and hosts.deny say of him, be it that it is not asked any more. */
static void put_wrappers(const struct explain *e, const struct wrappers_answer *answer)
{
	static const char *const needs[] = {
		[WRAPPERS_NEEDS_NAME] = "his name",
		[WRAPPERS_NEEDS_USER] = "who he is where he comes from",
		[WRAPPERS_NEEDS_NAME | WRAPPERS_NEEDS_USER] = "his name and his user",
	};

	if (!e->service->wrappers || !explain_is_seen(e))
		return;
	explain_put_word(e, "hosts_access");
	if (answer->line == 0) {
		fputs("no rule of hosts.allow or hosts.deny is about him", e->out);
	} else {
		put_wrappers_rule(e, answer);
		if (answer->verdict == WRAPPERS_OPEN)
			fprintf(e->out, " or a rule behind it decides when %s is known",
				needs[answer->needs]);
		else
			fputs(answer->verdict == WRAPPERS_DENIED ? " refuses him"
								 : " lets him in",
				e->out);
	}
	explain_put_by(e, conf_option_find("hosts_access"));
}

/* An option that refuses whoever he is. */
static int put_option(const struct explain *e, const char *name)
{
	const struct conf_option *option = conf_option_find(name);
	_cleanup_strv_ char **values = NULL;

	explain_put_given(e, option);
	if (format_option(option, e->service, &values) < 0)
		return -ENOMEM;
	fprintf(e->out, ": %s = %s", name, values[0]);
	return 0;
}

static int put_decider(const struct explain *e, const struct decision *decision)
{
	const char *reason = admit_reason(decision->verdict);

	if (decision->verdict == ADMIT_HOSTS_ACCESS || is_open(decision)) {
		put_wrappers_rule(e, &decision->wrappers);
		return 0;
	}
	if (decision->verdict == ADMIT_OK || decision->access.verdict == ACCESS_DENIED) {
		if (decision->access.rule != ACCESS_NO_RULE)
			put_rule(e, decision->access.rule);
		else if (decision->verdict == ADMIT_OK)
			put_no_rule(e);
		else
			fputs("no_access, which has groups that he may be in", e->out);
		return 0;
	}
	if (is_up_to_more(e, decision)) {
		put_more(e, decision);
		return 0;
	}
	if (decision->verdict != ADMIT_ONLY_FROM && decision->verdict != ADMIT_TIMES)
		return put_option(e, reason);
	explain_put_given(e, conf_option_find(reason));
	fprintf(e->out, ": %s%s", reason,
		decision->verdict == ADMIT_TIMES ? "" : " does not have him");
	return 0;
}

/* Who touches a sensor is banned as what he counts as everywhere, this machine excepted. */
static int put_ban(const struct explain *e)
{
	const struct conf_option *option = conf_option_find("ban_time");
	struct addr_source source = e->peer.peer.who;
	char text[ADDR_SOURCE_TEXT_MAX];
	_cleanup_strv_ char **values = NULL;

	explain_put_word(e, "banned");
	if (addr_source_is_localhost(&source)) {
		fputs("no, it is this machine\n", e->out);
		return 0;
	}
	if (format_option(option, e->service, &values) < 0)
		return -ENOMEM;
	addr_source_cut(&source, ADDR_SOURCE_PREFIX4, ADDR_SOURCE_PREFIX6);
	fprintf(e->out, "for %s from all services, as %s", values[0],
		addr_source_format(&source, ADDR_SOURCE_PREFIX4, ADDR_SOURCE_PREFIX6, text));
	explain_put_by(e, option);
	return 0;
}

static int put_decision(const struct explain *e, const struct decision *decision)
{
	bool waits = is_left_waiting(e, decision->verdict);

	if (is_open(decision))
		put_client(e, "is admitted or refused by what is looked up",
			admit_reason(ADMIT_HOSTS_ACCESS));
	else if (decision->verdict == ADMIT_OK)
		put_client(e, "is admitted", NULL);
	else if (is_up_to_more(e, decision))
		put_client(e, "is refused", unless_of(e, decision));
	else
		put_client(e, waits ? "waits" : "is refused", admit_reason(decision->verdict));
	explain_put_word(e, "decided by");
	if (put_decider(e, decision) < 0)
		return -ENOMEM;
	fputc('\n', e->out);
	if (explain_put_hours(e) < 0)
		return -ENOMEM;
	return decision->verdict == ADMIT_SENSOR ? put_ban(e) : 0;
}

static void put_wait(const struct explain *e)
{
	if (!e->service->wait)
		return;
	explain_put_word(e, "wait = yes");
	if (e->addr->kind == ADDR_FD)
		fputs("if it is UDP, he is checked if his datagram starts the program; "
		      "others are not\n",
			e->out);
	else if (explain_is_seen(e))
		fputs("checked if his datagram starts the program, which then takes all\n",
			e->out);
	else
		fputs("the program takes its clients itself: nobody is checked\n", e->out);
}

/* Whose word it is that this is who he is.  What is said above is said of the client, not
 * of the proxy. */
static void put_proxy(const struct explain *e)
{
	const struct conf_option *option = conf_option_find("proxy_protocol");
	const struct service_conf *service = e->mux ? e->mux : e->service;
	bool required = service->proxy_protocol == PROXY_USE_REQUIRED;

	if (!service_conf_has_front(service) || !service->proxies)
		return;
	explain_put_word(e, "proxy");
	if (access_ask(service->proxies->table, &e->peer.peer).verdict == ACCESS_OK)
		fprintf(e->out, "he is in proxy_from: %s",
			required ? "without a header he is refused"
				 : "a header of his is believed");
	else
		fprintf(e->out, "%s one of proxy_from, which says who he is",
			required ? "only through" : "by himself, or through");
	fputs(", ", e->out);
	explain_put_origin(e, service_conf_given_at(service, option));
	fputc('\n', e->out);
}

static void put_lookup(const struct explain *e, const char *option, const char *what)
{
	explain_put_word(e, "looked up");
	fputs(what, e->out);
	explain_put_by(e, conf_option_find(option));
}

/* What he has to wait for, if he is not refused before.  A connection that a proxy has made
 * says nothing of him. */
static void put_lookups(const struct explain *e, const struct decision *decision)
{
	const struct service_conf *service = e->service;

	if (!has_connection_of_ip(e) ||
		(decision->access.verdict != ACCESS_OK && !is_up_to_more(e, decision)))
		return;
	if (service_conf_asks_names(service))
		put_lookup(e, "resolve", "his name");
	if (!service_conf_asks_ident(service) || addr_family(e->addr) == AF_UNIX ||
		addr_family(e->addr) == AF_VSOCK)
		return;
	put_lookup(e, "ident",
		service->ident == IDENT_USE_REQUIRED
			? "who he is where he comes from, and without an answer he is refused"
			: "who he is where he comes from");
}

/* Nobody comes in there, whoever he is. */
static int put_unserved(const struct explain *e, const char *why, const char *what)
{
	put_client(e, "is refused", NULL);
	explain_put_word(e, "decided by");
	fprintf(e->out, "%s%s\n", why, what);
	return EXPLAIN_REFUSED;
}

int explain_verdict(const struct explain *e)
{
	struct decision decision;
	char text[ADDR_TEXT_MAX];

	if (!e->addr)
		return put_unserved(
			e, "no address of the service is for clients of ", e->peer.sort);
	if (e->service->condition)
		return put_unserved(e, "the service waits: ", e->service->condition);

	decision = decide(e);
	if (put_decision(e, &decision) < 0)
		return -ENOMEM;
	explain_put_word(e, "address");
	fprintf(e->out, "%s%s%s\n", addr_format(e->addr, text),
		e->mux ? ", by its name, from service " : "", e->mux ? e->mux->name : "");
	put_wait(e);
	put_wrappers(e, &decision.wrappers);
	put_proxy(e);
	put_lookups(e, &decision);
	return decision.verdict == ADMIT_OK && !is_open(&decision) ? EXPLAIN_ADMITTED
	                                                           : EXPLAIN_REFUSED;
}
