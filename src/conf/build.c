/*
 * build: the order of work.  What the steps do is in merge, addresses, check,
 * identity, program and environ.
 */
#include "conf/build.h"

#include "base/tcp-diag.h"
#include "conf/access-cert.h"
#include "conf/access.h"
#include "conf/accounting.h"
#include "conf/addresses.h"
#include "conf/check.h"
#include "conf/environ.h"
#include "conf/identity.h"
#include "conf/loops.h"
#include "conf/memo.h"
#include "conf/merge.h"
#include "conf/mux.h"
#include "conf/program.h"
#include "conf/reply.h"
#include "conf/report.h"
#include "conf/targets.h"
#include "conf/tls-files.h"
#include "conf/tls-names.h"
#include "conf/worker.h"
#include "conf/wrappers.h"

#include <string.h>

struct build {
	const struct build_context *context;
	struct report report;
	struct identities identities;
	struct accesses accesses;
	struct wrappings wrappings;
	struct memo memo;     /* of the file system */
	struct notary notary; /* of certificates */
	struct tls_files tls_files;
	struct service_conf *defaults;
	struct conf *conf;
	bool *sound; /* by service: its words are right */
	bool probed; /* whether the kernel tells about connections */
	int probe_result;
};

static const struct raw_section *find_section(const struct raw_conf *raw, enum raw_kind kind)
{
	for (size_t i = 0; i < raw->n_sections; i++) {
		if (raw->sections[i].kind == kind)
			return &raw->sections[i];
	}
	return NULL;
}

static const struct raw_assign *find_assign(const struct raw_section *section, const char *name)
{
	for (size_t i = 0; i < section->n_assigns; i++) {
		if (strcmp(section->assigns[i].option->name, name) == 0)
			return &section->assigns[i];
	}
	return NULL;
}

/* At a command line the caller waits for the end, and means files as they are
 * named from here. */
static int set_adhoc_defaults(struct build *b)
{
	const struct conf_option *directory = conf_option_find("directory");
	struct service_conf *defaults = b->defaults;

	defaults->stop = STOP_TERMINATE;
	free(defaults->directory);
	defaults->directory = strdup(b->context->cwd);
	if (!defaults->directory)
		return -ENOMEM;
	return service_conf_set_given(
		defaults, directory, &(struct origin){.file = COMMAND_LINE});
}

/* Who looks around needs texts: names and paths.  A number more or less, out of
 * `defaults`, does not matter. */
static bool texts_understood(const struct service_conf *service)
{
	if (!service_conf_mistaken_any(service))
		return true;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		bool text = o->type == OPTION_STRING || o->type == OPTION_PATH ||
		            o->type == OPTION_LIST;

		if (text && service_conf_mistaken(service, o))
			return false;
	}
	return true;
}

static bool has_mistaken(const struct raw_section *section)
{
	for (size_t i = 0; i < section->n_assigns; i++) {
		if (section->assigns[i].mistaken)
			return true;
	}
	return section->unknown;
}

/* What the words of one section tell. */
static int build_words(struct build *b, const struct raw_section *section,
	struct service_conf **ret, bool *ret_sound)
{
	const struct raw_assign *listen = find_assign(section, "listen");
	const struct raw_assign *redirect = find_assign(section, "redirect");
	const struct raw_assign *ready = find_assign(section, "backend.ready");
	_cleanup_service_conf_ struct service_conf *service = NULL;
	size_t before = b->report.n_mistakes;
	int r;

	r = merge_service(b->defaults, section, &b->report, &service);
	if (r < 0)
		return r;
	if (listen) {
		r = addresses_resolve(service, listen, &b->report);
		if (r < 0)
			return r;
	}
	if (redirect) {
		r = targets_resolve(service, redirect, &b->report);
		if (r < 0)
			return r;
	}
	if (redirect && ready) {
		r = targets_find_ready(service, ready, &b->report);
		if (r < 0)
			return r;
	}
	r = access_prepare(&b->accesses, &b->identities, service, &b->report);
	if (r < 0)
		return r;
	r = wrappers_prepare(&b->wrappings, service, &b->report);
	if (r < 0)
		return r;
	r = check_service(service, b->defaults, &b->report);
	if (r < 0)
		return r;
	*ret_sound = b->report.n_mistakes == before && !has_mistaken(section) &&
	             texts_understood(service);
	*ret = take_ptr(service);
	return 0;
}

static int build_services(struct build *b, const struct raw_conf *raw)
{
	struct conf *conf = b->conf;
	int r;

	conf->services = calloc(raw->n_sections + 1, sizeof(struct service_conf *));
	b->sound = calloc(raw->n_sections + 1, sizeof *b->sound);
	if (!conf->services || !b->sound)
		return -ENOMEM;

	for (size_t i = 0; i < raw->n_sections; i++) {
		if (raw->sections[i].kind != RAW_SERVICE)
			continue;
		r = build_words(b, &raw->sections[i], &conf->services[conf->n_services],
			&b->sound[conf->n_services]);
		if (r < 0)
			return r;
		conf->n_services++;
	}
	return 0;
}

/* What starts no program has sockets, and owners of these.  A sensor has nothing else. */
static int look_around_sockets(struct build *b, struct service_conf *service)
{
	const struct account *none;
	int r;

	addresses_check_interfaces(service, &b->report);
	r = addresses_check_directories(service, &b->memo, &b->report);
	if (r < 0)
		return r;
	r = identity_resolve(&b->identities, service, b->context, &b->report, &none);
	if (r < 0)
		return r;
	return addresses_check_writers(service, b->context, &b->memo, &b->report);
}

/* What the kernel does not tell cannot be waited for. */
static void check_watching(struct build *b, const struct service_conf *service)
{
	static const char *const names[] = {
		"first_byte_timeout", "idle_timeout", "account_bytes"};

	if (service->first_byte_timeout == DURATION_UNLIMITED &&
		service->idle_timeout == DURATION_UNLIMITED && !service->account_bytes)
		return;
	if (!b->probed)
		b->probe_result = tcp_diag_probe();
	b->probed = true;
	for (size_t i = 0; i < ARRAY_SIZE(names) && b->probe_result < 0; i++)
		if (service_conf_given(service, conf_option_find(names[i])))
			report_warning(&b->report, service_conf_origin(service, names[i]),
				"%s: has no effect, the kernel does not tell about "
				"connections (tcp_diag): %s",
				names[i], strerror(-b->probe_result));
}

static int look_around_worker(struct build *b, struct service_conf *service)
{
	int r;

	check_watching(b, service);
	r = look_around_sockets(b, service);
	if (r == 0)
		r = reply_prepare_banners(service, b->context, &b->memo, &b->report);
	if (r == 0)
		r = reply_prepare(service, b->context, &b->memo, &b->report);
	return r;
}

static int look_around_program(struct build *b, struct service_conf *service)
{
	const struct account *account;
	int r = program_prepare(service);

	if (r < 0)
		return r;
	addresses_check_interfaces(service, &b->report);
	check_watching(b, service);
	r = addresses_check_directories(service, &b->memo, &b->report);
	if (r < 0)
		return r;
	r = program_check_directories(service, &b->memo, &b->report);
	if (r < 0)
		return r;
	r = program_check(service, b->context, &b->memo, &b->report);
	if (r < 0)
		return r;
	r = identity_resolve(&b->identities, service, b->context, &b->report, &account);
	if (r < 0 || !account)
		return r;
	program_check_writers(service, &b->memo, &b->report);
	r = reply_prepare_banners(service, b->context, &b->memo, &b->report);
	if (r < 0)
		return r;
	r = addresses_check_writers(service, b->context, &b->memo, &b->report);
	if (r < 0)
		return r;
	return environ_prepare(service, account, b->context, &b->report);
}

/* What only the machine can tell. */
static int look_around(struct build *b, struct service_conf *service)
{
	int r;

	if (service->sensor)
		return look_around_sockets(b, service);
	r = service_conf_runs_program(service) ? look_around_program(b, service)
	                                       : look_around_worker(b, service);
	if (r == 0)
		r = tls_files_read(&b->tls_files, service);
	return r;
}

static bool stands_refused(const struct build *b, const struct service_conf *service)
{
	if (b->context->adhoc)
		return b->report.n_mistakes > 0;
	return report_refused(&b->report, &service->origin);
}

/* The services are chosen before the first look: what it finds in one must not
 * hide what there is to say about the next. */
static int look_around_for_all(struct build *b)
{
	struct conf *conf = b->conf;
	_cleanup_free_ bool *wanted = calloc(conf->n_services + 1, sizeof *wanted);
	int r = 0;

	if (!wanted)
		return -ENOMEM;

	for (size_t i = 0; i < conf->n_services; i++)
		wanted[i] = !conf->services[i]->disable &&
		            (b->context->thorough || !stands_refused(b, conf->services[i]));
	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		if (!wanted[i])
			continue;
		if (b->sound[i])
			r = look_around(b, conf->services[i]);
		else
			identity_require_user(conf->services[i], b->context, &b->report);
	}
	return r;
}

static void drop_refused(struct build *b, const struct source *sources)
{
	bool all = b->context->adhoc && b->report.n_mistakes > 0;
	struct conf *conf = b->conf;
	size_t n = 0;

	for (const struct source *s = sources; s; s = s->next)
		all = all || (s->main && s->refused);

	for (size_t i = 0; i < conf->n_services; i++) {
		if (all || stands_refused(b, conf->services[i]))
			service_conf_free(conf->services[i]);
		else
			conf->services[n++] = conf->services[i];
	}
	conf->n_services = n;
}

static int list_files(
	const struct source *sources, const struct build_context *context, struct conf *conf)
{
	size_t n = 0;

	for (const struct source *s = sources; s; s = s->next)
		n++;
	conf->files = calloc(n + 2, sizeof *conf->files);
	if (!conf->files)
		return -ENOMEM;

	n = 0;
	if (context->adhoc && !(conf->files[n++] = strdup(COMMAND_LINE)))
		return -ENOMEM;
	for (const struct source *s = sources; s; s = s->next) {
		conf->files[n] = strdup(s->path);
		if (!conf->files[n++])
			return -ENOMEM;
	}
	return 0;
}

/* The master leaves the folder that it was started in. */
static int name_main_file(
	const struct source *sources, const struct build_context *context, struct conf *conf)
{
	const char *cwd = strcmp(context->cwd, "/") == 0 ? "" : context->cwd;
	const struct source *s = sources;
	bool absolute;

	while (s && !s->main)
		s = s->next;
	if (!s)
		return 0;
	absolute = s->path[0] == '/';
	if (asprintf(&conf->main_file, "%s%s%s", absolute ? "" : cwd, absolute ? "" : "/",
		    s->path) >= 0)
		return 0;
	conf->main_file = NULL;
	return -ENOMEM;
}

static int build_all(struct build *b, const struct raw_conf *raw, const struct source *sources)
{
	const struct raw_section *globals = find_section(raw, RAW_GLOBAL);
	int r;

	r = list_files(sources, b->context, b->conf);
	if (r == 0)
		r = name_main_file(sources, b->context, b->conf);
	if (r == 0 && globals)
		r = merge_globals(globals, &b->report, b->conf);
	if (r == 0)
		r = accounting_check(b->conf, &b->memo, &b->report);
	if (r == 0)
		r = merge_defaults(find_section(raw, RAW_DEFAULTS), &b->report, &b->defaults);
	if (r == 0 && b->context->adhoc)
		r = set_adhoc_defaults(b);
	if (r == 0)
		r = build_services(b, raw);
	if (r == 0)
		r = tls_names_settle(b->conf, b->defaults, &b->report);
	if (r == 0)
		access_cert_check(b->conf, b->defaults, &b->report);
	if (r == 0)
		r = addresses_check_overlaps(b->conf, &b->report);
	if (r == 0)
		r = loops_check(b->conf, &b->report);
	if (r == 0)
		r = look_around_for_all(b);
	if (r < 0)
		return r;
	drop_refused(b, sources);
	tls_names_check_hosts(b->conf, &b->report);
	r = mux_prepare(b->conf, &b->report);
	if (r == 0)
		r = tls_files_compose(&b->tls_files, b->conf);
	if (r < 0)
		return r;
	return worker_settle(&b->identities, b->context, b->conf, &b->report);
}

int conf_build(const struct raw_conf *raw, struct source **sources,
	const struct build_context *context, struct conf *conf, struct diag_list *diags)
{
	struct build b = {.context = context, .conf = conf};
	int r;

	b.tls_files = (struct tls_files){context, &b.memo, &b.notary, &b.report};

	conf_init(conf);
	identities_init(&b.identities);
	accesses_init(&b.accesses, sources);
	wrappings_init(&b.wrappings, context->hosts_allow, context->hosts_deny, sources);
	memo_init(&b.memo);
	notary_init(&b.notary, context->programs);
	r = report_init(&b.report, *sources, diags);
	if (r < 0)
		return r;

	b.report.adhoc = context->adhoc;
	r = build_all(&b, raw, *sources);
	if (r < 0)
		conf_done(conf);
	else
		conf->program_error = b.report.program_error;

	free(b.sound);
	service_conf_free(b.defaults);
	identities_done(&b.identities);
	accesses_done(&b.accesses);
	wrappings_done(&b.wrappings);
	memo_done(&b.memo);
	notary_done(&b.notary);
	report_done(&b.report);
	return r;
}
