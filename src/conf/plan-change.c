#include "conf/plan-change.h"

#include "conf/format.h"
#include "conf/print.h"

#include <string.h>

static int quote_all(char **values)
{
	for (; *values; values++) {
		char *quoted = print_quote(*values);

		if (!quoted)
			return -ENOMEM;
		free(*values);
		*values = quoted;
	}
	return 0;
}

/* "a", "{ a, b }" or "{}", as a file has it; fresh memory. */
static char *join(char *const *values, bool list)
{
	const bool braces = list && strv_length(values) != 1;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fputs(braces ? "{" : "", out);
	for (size_t i = 0; values && values[i]; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : braces ? " " : "", values[i]);
	fputs(braces ? strv_length(values) > 0 ? " }" : "}" : "", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* There is a value that can be shown, and not just the absence of one. */
static bool has_value(const struct conf_option *option, const void *base, bool given)
{
	const void *field = conf_option_field(option, base);

	switch (option->type) {
	case OPTION_STRING:
	case OPTION_PATH:
		return *(char *const *)field != NULL;
	case OPTION_LIST:
		return *(char **const *)field != NULL;
	case OPTION_TRISTATE:
		return *(const int8_t *)field >= 0;
	case OPTION_RLIMIT:
		return ((const struct rlimit_conf *)field)->given;
	default:
		return given || option->fallback;
	}
}

/* Fresh memory; NULL without. */
static char *value_text(const struct conf_option *option, const void *base, bool given)
{
	_cleanup_strv_ char **values = NULL;

	if (!has_value(option, base, given))
		return strdup("(not set)");
	if (format_option(option, base, &values) < 0)
		return NULL;
	if (values && quote_all(values) < 0)
		return NULL;
	return join(values, conf_option_is_list(option));
}

struct side {
	const void *base;
	bool given;
};

static int add_option(
	const struct conf_option *option, struct side old, struct side new, char ***phrases)
{
	_cleanup_free_ char *from = value_text(option, old.base, old.given);
	_cleanup_free_ char *to = value_text(option, new.base, new.given);

	if (!from || !to)
		return -ENOMEM;
	/* It followed another option, which is told. */
	if (strcmp(from, to) == 0)
		return 0;
	return strv_addf(phrases, "%s %s -> %s", option->name, from, to);
}

static int add_options(const struct service_conf *old, const struct service_conf *new,
	const struct diff_service *diff, char ***phrases)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		int r;

		if (!diff_options_has(&diff->changed, o) ||
			o->offset == offsetof(struct service_conf, listen_text))
			continue;
		r = add_option(o, (struct side){old, service_conf_given(old, o)},
			(struct side){new, service_conf_given(new, o)}, phrases);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * What the loader found to be different under the same words.
 */

/* One of the options, up to a NULL, has changed: that says why. */
static bool explained(const struct diff_service *diff, const char *const *options)
{
	for (; *options; options++) {
		if (diff_options_has(&diff->changed, conf_option_find(*options)))
			return true;
	}
	return false;
}

static int add_identity(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	const char *user = new->user ? new->user : "hatchd's own";

	if (old->uid != new->uid)
		return strv_addf(phrases,
			"user %s is number %u now, group %u (before %u, group %u)", user,
			new->uid, new->gid, old->uid, old->gid);
	return strv_addf(phrases, "the group of user %s is number %u now (before %u)", user,
		new->gid, old->gid);
}

static int add_variable(const char *assignment, char ***names)
{
	return strv_addf(names, "%.*s", (int)strcspn(assignment, "="), assignment);
}

/* Names only: what is handed down with pass_env may be a secret. */
static int add_environment(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ char *text = NULL;
	int r = 0;

	for (char **e = new->base_env; e &&*e &&r == 0; e++) {
		_cleanup_free_ char *name = strndup(*e, strcspn(*e, "="));
		const char *was = name ? strv_env_get(old->base_env, name) : NULL;

		if (!name)
			return -ENOMEM;
		if (!was || strcmp(was, *e + strlen(name) + 1) != 0)
			r = add_variable(*e, &names);
	}
	for (char **e = old->base_env; e && *e && r == 0; e++) {
		_cleanup_free_ char *name = strndup(*e, strcspn(*e, "="));

		if (!name)
			return -ENOMEM;
		if (!strv_env_get(new->base_env, name))
			r = add_variable(*e, &names);
	}
	if (r < 0)
		return r;
	text = join(names, false);
	return text ? strv_addf(phrases, "another value of %s in the environment", text)
	            : -ENOMEM;
}

static int add_program(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	return strv_addf(phrases, "program %s -> %s", old->path ? old->path : "(none)",
		new->path ? new->path : "(none)");
}

static int add_arguments(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "other arguments of the program");
}

static int add_groups(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	return strv_addf(phrases, "user %s is in other groups now",
		new->user ? new->user : "hatchd's own");
}

static int add_owner(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "the owner of its UNIX sockets has another number now");
}

static int add_access(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "other rules about who may come in");
}

static int add_proxies(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "other rules about whose headers are believed");
}

static int add_banners(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "other text in its banners");
}

static int add_reply(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	if (new->builtin == BUILTIN_TCPMUX)
		return strv_add(phrases, "other services can be had by their names");
	return strv_addf(phrases, "other text in %s", new->text_file ? new->text_file : "it");
}

static int add_targets(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "a port of redirect has another number now");
}

static int add_wrappers(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	(void)old;
	(void)new;
	return strv_add(phrases, "hosts.allow or hosts.deny says something else");
}

static int add_tls(
	const struct service_conf *old, const struct service_conf *new, char ***phrases)
{
	bool same_host = old->tls_host && new->tls_host
	                         ? strcmp(old->tls_host, new->tls_host) == 0
	                         : old->tls_host == new->tls_host;

	if (same_host)
		return strv_add(phrases, "other certificates or names of TLS");
	if (!new->tls_host)
		return strv_add(phrases, "its clients of TLS have a socket of their own now");
	return strv_addf(
		phrases, "its clients come through TLS at service '%s' now", new->tls_host);
}

static int add_resolved(const struct service_conf *old, const struct service_conf *new,
	const struct diff_service *diff, char ***phrases)
{
	static const struct {
		enum diff_resolved what;
		int (*add)(const struct service_conf *old, const struct service_conf *new,
			char ***phrases);
		const char *options[10];
	} all[] = {
		{DIFF_PROGRAM, add_program, {"exec", "shell", "backend.exec", "backend.shell"}},
		{DIFF_ARGV, add_arguments,
			{"exec", "shell", "argv0", "backend.exec", "backend.shell"}},
		{DIFF_IDENTITY, add_identity, {"user", "group"}},
		{DIFF_GROUPS, add_groups, {"user", "group", "groups"}},
		{DIFF_ENVIRONMENT, add_environment,
			{"user", "group", "env", "pass_env", "env_dialect", "exec", "shell",
				"backend.exec", "backend.shell"}},
		{DIFF_OWNER, add_owner, {"socket_user", "socket_group"}},
		{DIFF_ACCESS, add_access, {"only_from", "no_access"}},
		{DIFF_PROXIES, add_proxies, {"proxy_protocol", "proxy_from"}},
		{DIFF_WRAPPERS, add_wrappers, {"hosts_access"}},
		{DIFF_REPLY, add_reply, {"text", "text_file"}},
		{DIFF_BANNERS, add_banners, {"banner", "banner_success", "banner_fail"}},
		{DIFF_TARGETS, add_targets, {"redirect"}},
		{DIFF_TLS, add_tls,
			{"tls.certificate", "tls.key", "tls.ca", "tls.verify",
				"tls.min_version", "tls.ciphers", "tls.ciphersuites",
				"tls.alpn", "tls.session_tickets"}},
	};
	static const char *const other_kind[] = {"sensor", "builtin", "redirect", NULL};
	unsigned resolved = diff->resolved;
	int r = 0;

	/* What starts a program now, or no longer: that says everything about it. */
	if (explained(diff, other_kind) ||
		service_conf_runs_program(old) != service_conf_runs_program(new))
		resolved &= DIFF_OWNER | DIFF_ACCESS | DIFF_PROXIES | DIFF_WRAPPERS |
		            DIFF_BANNERS | DIFF_TLS;
	for (size_t i = 0; i < ARRAY_SIZE(all) && r == 0; i++) {
		if (resolved & all[i].what && !explained(diff, all[i].options))
			r = all[i].add(old, new, phrases);
	}
	return r;
}

int plan_changes(const struct service_conf *old, const struct service_conf *new,
	const struct diff_service *diff, char ***phrases)
{
	int r = add_options(old, new, diff, phrases);

	return r < 0 ? r : add_resolved(old, new, diff, phrases);
}

/* Nothing tells whether a global option was given but that it is not 0. */
static bool is_set(const struct conf_option *option, const struct conf *conf)
{
	return option->fallback || conf_option_is_set(option, conf_option_field(option, conf));
}

/* Somebody that nobody has written down. */
struct who {
	uid_t uid; /* 0: there is none */
	gid_t gid;
};

/* Only where both have one is there anything to be told. */
static int add_who(struct who before, struct who now, const char *what, char ***phrases)
{
	bool same = before.uid == now.uid && before.gid == now.gid;

	if (before.uid == 0 || now.uid == 0 || same)
		return 0;
	return strv_addf(phrases,
		"what %s runs as number %u now, group %u (before %u, group %u)", what, now.uid,
		now.gid, before.uid, before.gid);
}

static int add_workers(const struct conf *old, const struct conf *new, char ***phrases)
{
	int r = add_who((struct who){old->worker_uid, old->worker_gid},
		(struct who){new->worker_uid, new->worker_gid}, "workers serve", phrases);

	return r < 0 ? r
	             : add_who((struct who){old->tls_worker_uid, old->tls_worker_gid},
			       (struct who){new->tls_worker_uid, new->tls_worker_gid},
			       "speaks TLS", phrases);
}

int plan_global_changes(const struct conf *old, const struct conf *new, char ***phrases)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		int r;

		if (!(o->flags & OPTION_GLOBAL) ||
			conf_option_equal(
				o, conf_option_field(o, old), conf_option_field(o, new)))
			continue;
		r = add_option(o, (struct side){old, is_set(o, old)},
			(struct side){new, is_set(o, new)}, phrases);
		if (r < 0)
			return r;
	}
	return add_workers(old, new, phrases);
}
