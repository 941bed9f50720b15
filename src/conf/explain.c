#include "conf/explain.h"

#include "base/text.h"
#include "conf/access.h"
#include "conf/explain-peer.h"
#include "conf/format.h"
#include "conf/print.h"

#include <string.h>

/* Width of the words at the beginning of lines. */
#define WORD_WIDTH 13

struct explain {
	const struct conf *conf;
	const struct service_conf *service;
	struct explain_peer peer;
	FILE *out;
};

static void put_word(const struct explain *e, const char *word)
{
	fprintf(e->out, "%-*s", WORD_WIDTH, word);
}

static void put_origin(const struct explain *e, const struct origin *origin)
{
	if (!origin->file)
		return;
	fprintf(e->out, "%s", origin->file);
	if (origin->line > 0)
		fprintf(e->out, ":%u", origin->line);
}

/* But for what a terminal obeys, as it is. */
static int put_text(const struct explain *e, const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	_cleanup_free_ char *shown = malloc(size);

	if (!shown)
		return -ENOMEM;
	fputs(text_escape(text, strlen(text), shown, size), e->out);
	return 0;
}

/* As it would be written in a file, so that it shows where each ends. */
static int put_word_of_list(const struct explain *e, const char *text)
{
	_cleanup_free_ char *quoted = print_quote(text);

	return quoted ? put_text(e, quoted) : -ENOMEM;
}

static int put_list(const struct explain *e, const char *word, char *const *values)
{
	int r = 0;

	put_word(e, word);
	for (size_t i = 0; values && values[i] && r == 0; i++) {
		fputs(i > 0 ? " " : "", e->out);
		r = put_word_of_list(e, values[i]);
	}
	fputc('\n', e->out);
	return r;
}

/*
 * Whether he comes in.
 */

/* Whether a client of that sort can have called that address. */
static bool can_call(const struct access_peer *peer, const struct service_conf *service,
	const struct addr *addr)
{
	bool dual =
		addr_is_wildcard(addr) && (service->v6only < 0 ? addr->dual : !service->v6only);

	/* What the service manager hands over may be anything. */
	if (addr->kind == ADDR_FD)
		return true;
	switch (peer->who.family) {
	case 4:
		return addr_family(addr) == AF_INET || (addr_family(addr) == AF_INET6 && dual);
	case 6:
		return addr_family(addr) == AF_INET6;
	case 2:
		return addr_family(addr) == AF_VSOCK;
	default:
		return addr_family(addr) == AF_UNIX;
	}
}

static const struct addr *find_address(const struct explain *e)
{
	const struct service_conf *service = e->service;

	for (size_t i = 0; i < service->n_listen; i++) {
		if (can_call(&e->peer.peer, service, &service->listen[i].addr))
			return &service->listen[i].addr;
	}
	return NULL;
}

static void put_verdict(const struct explain *e, bool admitted, const char *reason)
{
	put_word(e, "client");
	fprintf(e->out, "%s is %s%s%s\n", e->peer.shown, admitted ? "admitted" : "refused",
		reason ? ": " : "", reason ? reason : "");
}

static void put_rule(const struct explain *e, uint32_t rule)
{
	const struct access_where *where = &e->service->access->where[rule];
	struct access_element element = access_element_of(e->service, where->element);
	char shown[DIAG_SHOWN_MAX];

	put_word(e, "decided by");
	put_origin(e, &element.origin);
	fprintf(e->out, ": %s %s", element.option,
		diag_shown(element.word, strlen(element.word), shown));
	if (where->line > 0) {
		_cleanup_free_ char *path = access_file_path(element.word, &element.origin);

		fprintf(e->out, ", %s:%u", path ? path : "?", where->line);
	}
	fputc('\n', e->out);
}

static void put_no_rule(const struct explain *e, enum access_verdict verdict)
{
	const struct conf_option *only_from = conf_option_find("only_from");

	put_word(e, "decided by");
	if (verdict == ACCESS_NOT_LISTED) {
		put_origin(e, service_conf_given_at(e->service, only_from));
		fputs(": only_from does not have him\n", e->out);
	} else if (verdict == ACCESS_DENIED) {
		fputs("no_access, which has groups that he may be in\n", e->out);
	} else {
		fputs(e->service->access ? "no rule is about him, and there is no only_from\n"
					 : "there are neither only_from nor no_access\n",
			e->out);
	}
}

static int put_access(const struct explain *e)
{
	static const char *const reasons[] = {
		[ACCESS_OK] = NULL,
		[ACCESS_NOT_LISTED] = "only_from",
		[ACCESS_DENIED] = "no_access",
	};
	struct access_answer answer = {ACCESS_OK, ACCESS_NO_RULE};

	if (e->service->access)
		answer = access_ask(e->service->access->table, &e->peer.peer);
	put_verdict(e, answer.verdict == ACCESS_OK, reasons[answer.verdict]);
	if (answer.rule != ACCESS_NO_RULE)
		put_rule(e, answer.rule);
	else
		put_no_rule(e, answer.verdict);
	return answer.verdict == ACCESS_OK ? EXPLAIN_ADMITTED : EXPLAIN_REFUSED;
}

/* Nobody comes in there, whoever he is. */
static int put_unserved(const struct explain *e, const char *why, const char *what)
{
	put_verdict(e, false, NULL);
	put_word(e, "decided by");
	fprintf(e->out, "%s%s\n", why, what);
	return EXPLAIN_REFUSED;
}

static int put_decision(const struct explain *e)
{
	const struct addr *addr = find_address(e);
	char text[ADDR_TEXT_MAX];
	int status;

	if (!addr)
		return put_unserved(
			e, "no address of the service is for clients of ", e->peer.sort);
	if (e->service->condition)
		return put_unserved(e, "the service waits: ", e->service->condition);

	status = put_access(e);
	put_word(e, "address");
	fprintf(e->out, "%s\n", addr_format(addr, text));
	if (!e->service->wait)
		return status;
	put_word(e, "wait = yes");
	if (addr_is_datagram(addr) && addr_is_ip(addr))
		fputs("checked if his datagram starts the program, which then takes all\n",
			e->out);
	else
		fputs("the program takes its clients itself: nobody is checked\n", e->out);
	return status;
}

/*
 * What he would find.
 */

static int put_option(const struct explain *e, const struct conf_option *option)
{
	_cleanup_strv_ char **values = NULL;
	bool global = option->flags & OPTION_GLOBAL;

	if (global && e->conf->total_instances == 0) {
		fprintf(e->out, " %s (as many as the machine allows)", option->name);
		return 0;
	}
	if (format_option(option, global ? (const void *)e->conf : e->service, &values) < 0)
		return -ENOMEM;
	for (size_t i = 0; values && values[i]; i++)
		fprintf(e->out, "%s%s %s", i > 0 ? "," : "", i > 0 ? "" : option->name,
			values[i]);
	return 0;
}

static int put_limits(const struct explain *e)
{
	static const char *const options[] = {
		"per_source", "instances", "total_instances", "start_timeout"};
	int r = 0;

	put_word(e, "limits");
	for (size_t i = 0; i < ARRAY_SIZE(options) && r == 0; i++) {
		fputs(i > 0 ? ", " : "", e->out);
		r = put_option(e, conf_option_find(options[i]));
	}
	fputc('\n', e->out);
	return r;
}

static void put_user(const struct explain *e)
{
	const struct service_conf *service = e->service;

	put_word(e, "user");
	if (!service->change_identity) {
		fprintf(e->out, "who hatchd is\n");
		return;
	}
	fprintf(e->out, "%s, number %u, group %u",
		service->user ? service->user : "hatchd's own", service->uid, service->gid);
	for (size_t i = 0; i < service->n_groups; i++)
		fprintf(e->out, "%s%u", i > 0 ? ", " : ", and groups ",
			service->groups_list[i]);
	fputc('\n', e->out);
}

/* Whoever asks has another environment than the master, which has them. */
static bool is_passed(const struct service_conf *service, const char *assignment)
{
	for (char **name = service->pass_env; name && *name; name++) {
		size_t len = strlen(*name);

		if (strncmp(*name, assignment, len) == 0 && assignment[len] == '=')
			return !strv_env_get(service->env, *name);
	}
	return false;
}

static int put_environment(const struct explain *e)
{
	int r = 0;

	for (char **entry = e->service->base_env; entry && *entry && r == 0; entry++) {
		put_word(e, "environment");
		if (is_passed(e->service, *entry))
			fprintf(e->out, "%.*s, as hatchd has it", (int)strcspn(*entry, "="),
				*entry);
		else
			r = put_text(e, *entry);
		fputc('\n', e->out);
	}
	put_word(e, "environment");
	fputs("and what there is to say of his connection, see hatchd(8)\n", e->out);
	return r;
}

static int put_program(const struct explain *e)
{
	int r;

	if (e->service->condition)
		return 0;
	put_word(e, "program");
	fprintf(e->out, "%s\n", e->service->path ? e->service->path : "(none)");
	r = put_list(e, "arguments", e->service->argv);
	if (r < 0)
		return r;
	put_user(e);
	put_word(e, "directory");
	fprintf(e->out, "%s%s%s\n", e->service->directory, e->service->chroot ? " below " : "",
		e->service->chroot ? e->service->chroot : "");
	return put_environment(e);
}

static int print_all(const struct explain *e)
{
	int status, r;

	put_word(e, "service");
	fprintf(e->out, "%s, ", e->service->name);
	put_origin(e, &e->service->origin);
	fputc('\n', e->out);
	status = put_decision(e);
	r = put_limits(e);
	if (r == 0)
		r = put_program(e);
	return r < 0 ? r : status;
}

static const struct service_conf *find_service(
	const struct conf *conf, const char *name, FILE *err)
{
	char shown[DIAG_SHOWN_MAX];

	diag_shown(name, strlen(name), shown);
	for (size_t i = 0; i < conf->n_services; i++) {
		if (strcmp(conf->services[i]->name, name) != 0)
			continue;
		if (!conf->services[i]->disable)
			return conf->services[i];
		fprintf(err, "hatchd: service '%s' is disabled\n", shown);
		return NULL;
	}
	fprintf(err, "hatchd: no service '%s'\n", shown);
	return NULL;
}

int explain_print(
	const struct conf *conf, const char *service, const char *address, FILE *out, FILE *err)
{
	struct explain e = {.conf = conf, .out = out};
	struct identities identities;
	char shown[DIAG_SHOWN_MAX];
	const char *why = "";
	int r;

	e.service = find_service(conf, service, err);
	if (!e.service)
		return EXPLAIN_UNKNOWN;
	identities_init(&identities);
	r = explain_peer_read(address, &identities, &e.peer, &why);
	identities_done(&identities);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		fprintf(err, "hatchd: '%s' is no client: %s\n",
			diag_shown(address, strlen(address), shown), why);
		return EXPLAIN_UNKNOWN;
	}
	return print_all(&e);
}
