#include "conf/identity.h"

#include "base/text.h"
#include "conf/merge.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define GID_NONE ((gid_t)-1)

/* Bounds of what a name service may answer. */
#define ANSWER_MAX (1024 * 1024)
#define GROUPS_MAX 65536

void identities_init(struct identities *identities)
{
	*identities = (struct identities){0};
}

static void account_free(struct account *account)
{
	if (!account)
		return;
	free(account->name);
	free(account->home);
	free(account);
}

static void own_account(struct account **account)
{
	account_free(*account);
}

static void membership_free(struct membership *membership)
{
	if (!membership)
		return;
	free(membership->groups);
	free(membership);
}

static void own_membership(struct membership **membership)
{
	membership_free(*membership);
}

void identities_done(struct identities *identities)
{
	while (identities->account_list) {
		struct account *account = identities->account_list;

		identities->account_list = account->next;
		account_free(account);
	}
	while (identities->membership_list) {
		struct membership *membership = identities->membership_list;

		identities->membership_list = membership->next;
		membership_free(membership);
	}
	textmap_done(&identities->accounts);
	textmap_done(&identities->memberships);
	identities_init(identities);
}

/*
 * Numbers.  Only what consists of digits is one: names such as `0day` go to
 * the name service as they are and can never become user 0 (CVE-2017-1000082).
 */
static bool looks_numeric(const char *text)
{
	if (text[0] == '-' || text[0] == '+')
		text++;
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* -EINVAL for what no user can be: a sign, a leading zero, or the number that
 * means "no change" to the kernel. */
static int parse_id(const char *text, uint32_t *ret)
{
	uint32_t value;

	if (text[0] == '0' && text[1] != '\0')
		return -EINVAL;
	if (text_parse_u32(text, &value) < 0 || value == UINT32_MAX)
		return -EINVAL;
	*ret = value;
	return 0;
}

/*
 * The name service.  0, -ENOENT, -ENOMEM or what it says.
 */

/* "Not found" comes in many errors, getpwnam(3) says so. */
static int nss_error(int error)
{
	switch (error) {
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM:
		return -ENOENT;
	default:
		return -error;
	}
}

static struct account *account_new(const char *name, const char *home, uid_t uid, gid_t gid)
{
	_cleanup_(own_account) struct account *account = calloc(1, sizeof *account);

	if (!account)
		return NULL;
	account->name = strdup(name);
	account->home = strdup(home && home[0] == '/' ? home : "/");
	if (!account->name || !account->home)
		return NULL;
	account->uid = uid;
	account->gid = gid;
	return take_ptr(account);
}

/* By name, or by number when `name` is NULL. */
static int ask_user(const char *name, uid_t uid, struct account **ret)
{
	for (size_t size = 1024; size <= ANSWER_MAX; size *= 4) {
		_cleanup_free_ char *buf = malloc(size);
		struct passwd entry, *found = NULL;
		int r;

		if (!buf)
			return -ENOMEM;
		r = name ? getpwnam_r(name, &entry, buf, size, &found)
		         : getpwuid_r(uid, &entry, buf, size, &found);
		if (r == ERANGE)
			continue;
		if (!found)
			return nss_error(r);
		*ret = account_new(entry.pw_name, entry.pw_dir, entry.pw_uid, entry.pw_gid);
		return *ret ? 0 : -ENOMEM;
	}
	return -E2BIG;
}

static int ask_group(const char *name, gid_t *ret)
{
	for (size_t size = 1024; size <= ANSWER_MAX; size *= 4) {
		_cleanup_free_ char *buf = malloc(size);
		struct group entry, *found = NULL;
		int r;

		if (!buf)
			return -ENOMEM;
		r = getgrnam_r(name, &entry, buf, size, &found);
		if (r == ERANGE)
			continue;
		if (!found)
			return nss_error(r);
		*ret = entry.gr_gid;
		return 0;
	}
	return -E2BIG;
}

static int ask_membership(const char *user, gid_t gid, struct membership **ret)
{
	for (int n = 64; n <= GROUPS_MAX; n *= 4) {
		_cleanup_(own_membership) struct membership *m = calloc(1, sizeof *m);
		int found = n;

		if (!m)
			return -ENOMEM;
		m->groups = calloc((size_t)n, sizeof *m->groups);
		if (!m->groups)
			return -ENOMEM;
		if (getgrouplist(user, gid, m->groups, &found) < 0)
			continue;
		m->n = (size_t)found;
		*ret = take_ptr(m);
		return 0;
	}
	return -E2BIG;
}

/*
 * The same through the cache.
 */

static int keep_account(struct identities *identities, const char *key, struct account *account)
{
	account->next = identities->account_list;
	identities->account_list = account;
	return textmap_add(&identities->accounts, key, account);
}

static int account_of_uid(struct identities *identities, uid_t uid, const struct account **ret)
{
	char number[TEXT_NUMBER_MAX];
	struct account *account = NULL;
	int r;

	snprintf(number, sizeof number, "%u", uid);
	*ret = textmap_get(&identities->accounts, number);
	if (*ret)
		return 0;

	r = ask_user(NULL, uid, &account);
	if (r == -ENOENT) {
		account = account_new(number, "/", uid, GID_NONE);
		r = account ? 0 : -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret = account;
	return keep_account(identities, number, account);
}

/* -EINVAL: a number that no user can have. */
static int find_user(
	struct identities *identities, const char *text, const struct account **ret)
{
	struct account *account = NULL;
	uint32_t uid;
	int r;

	if (looks_numeric(text)) {
		r = parse_id(text, &uid);
		return r < 0 ? r : account_of_uid(identities, uid, ret);
	}
	*ret = textmap_get(&identities->accounts, text);
	if (*ret)
		return 0;

	r = ask_user(text, 0, &account);
	if (r < 0)
		return r;
	*ret = account;
	return keep_account(identities, text, account);
}

int identity_find_group(const char *text, gid_t *ret)
{
	return looks_numeric(text) ? parse_id(text, ret) : ask_group(text, ret);
}

int identity_find_user(struct identities *identities, const char *text, uid_t *ret)
{
	const struct account *account;
	int r;

	if (looks_numeric(text))
		return parse_id(text, ret);
	r = find_user(identities, text, &account);
	if (r == 0)
		*ret = account->uid;
	return r;
}

int identity_find_login(
	struct identities *identities, const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct account *account;
	int r = find_user(identities, name, &account);

	if (r < 0)
		return r;
	*ret_uid = account->uid;
	*ret_gid = account->gid;
	return 0;
}

static int find_membership(struct identities *identities, const struct account *account,
	gid_t gid, const struct membership **ret)
{
	_cleanup_free_ char *key = malloc(strlen(account->name) + TEXT_NUMBER_MAX);
	struct membership *membership = NULL;
	int r;

	if (!key)
		return -ENOMEM;
	text_put_u32(stpcpy(stpcpy(key, account->name), " "), gid);
	*ret = textmap_get(&identities->memberships, key);
	if (*ret)
		return 0;

	r = ask_membership(account->name, gid, &membership);
	if (r < 0)
		return r;
	membership->next = identities->membership_list;
	identities->membership_list = membership;
	*ret = membership;
	return textmap_add(&identities->memberships, key, membership);
}

int identity_find_groups(
	struct identities *identities, const char *text, const gid_t **ret, size_t *ret_n)
{
	const struct membership *membership;
	const struct account *account;
	int r;

	*ret_n = 0;
	r = find_user(identities, text, &account);
	if (r < 0 || account->gid == GID_NONE)
		return r;
	r = find_membership(identities, account, account->gid, &membership);
	if (r < 0)
		return r;
	*ret = membership->groups;
	*ret_n = membership->n;
	return 0;
}

/*
 * What it means for a service.
 */

/* A lookup went wrong: a mistake if no world could make it right, else a
 * condition.  0 or -ENOMEM. */
static int report_lookup(struct report *report, struct service_conf *service,
	const char *option, const char *what, const char *text, int error)
{
	const struct origin *origin = service_conf_origin(service, option);
	char shown[DIAG_SHOWN_MAX];

	if (error == -ENOMEM)
		return error;

	diag_shown(text, strlen(text), shown);
	if (error == -EINVAL)
		report_mistake(report, origin,
			"%s: '%s' can be no %s; write a name or a number from 0 to 4294967294",
			option, shown, what);
	else if (error == -ENOENT)
		report_condition(report, service, origin, "no %s '%s'", what, shown);
	else
		report_condition(report, service, origin, "unable to look up %s '%s': %s", what,
			shown, strerror(-error));
	return 0;
}

/* Nobody but root can become somebody else.  False after a mistake. */
static bool check_may_become(const struct service_conf *service, const struct account *account,
	const struct build_context *context, struct report *report)
{
	if (account->uid == context->uid)
		return true;

	report_mistake(report, service_conf_origin(service, "user"),
		"user: hatchd runs as user %u and cannot become '%s'; leave user out",
		context->uid, account->name);
	return false;
}

/* Nor can anybody but root move into another root directory. */
static void check_may_chroot(const struct service_conf *service,
	const struct build_context *context, struct report *report)
{
	if (service->chroot && context->uid != 0)
		report_mistake(report, service_conf_origin(service, "chroot"),
			"chroot: hatchd runs as user %u, and only root can change the root "
			"directory",
			context->uid);
}

static int resolve_user(struct identities *identities, struct service_conf *service,
	const struct build_context *context, struct report *report, const struct account **ret)
{
	const struct account *account = NULL;
	int r;

	if (!service->user) {
		r = account_of_uid(identities, context->uid, ret);
		return r < 0 ? report_lookup(report, service, "user", "user", "of hatchd", r)
		             : 0;
	}
	r = find_user(identities, service->user, &account);
	if (r < 0)
		return report_lookup(report, service, "user", "user", service->user, r);
	if (context->uid == 0 || check_may_become(service, account, context, report))
		*ret = account;
	return 0;
}

/* False after a mistake or a condition; then *reterr is 0 or -ENOMEM. */
static bool resolve_group(struct service_conf *service, const struct account *account,
	const struct build_context *context, struct report *report, int *reterr)
{
	const struct origin *origin = service_conf_origin(service, "group");
	int r;

	*reterr = 0;
	service->gid = context->uid == 0 ? account->gid : context->gid;
	if (service->group) {
		r = identity_find_group(service->group, &service->gid);
		if (r < 0) {
			*reterr = report_lookup(
				report, service, "group", "group", service->group, r);
			return false;
		}
	}
	if (service->gid == GID_NONE) {
		report_mistake(report, service_conf_origin(service, "user"),
			"user: %s is the number of no user; write its group as well",
			account->name);
		return false;
	}
	if (context->uid != 0 && service->gid != context->gid) {
		report_mistake(report, origin,
			"group: hatchd runs as user %u and cannot change its group; leave "
			"group out",
			context->uid);
		return false;
	}
	return true;
}

/* All groups of the child, the first one its own. */
static int resolve_groups(struct identities *identities, struct service_conf *service,
	const struct account *account, struct report *report)
{
	const struct membership own = {.groups = &service->gid, .n = 1}, *membership = &own;
	int r;

	/* A number has no name that the group file could list. */
	if (service->groups && account->gid != GID_NONE) {
		r = find_membership(identities, account, service->gid, &membership);
		if (r < 0)
			return report_lookup(
				report, service, "user", "groups of", account->name, r);
	}
	service->groups_list = calloc(membership->n, sizeof *service->groups_list);
	if (!service->groups_list)
		return -ENOMEM;
	memcpy(service->groups_list, membership->groups,
		membership->n * sizeof *service->groups_list);
	service->n_groups = membership->n;
	return 0;
}

static int resolve_socket_owner(
	struct identities *identities, struct service_conf *service, struct report *report)
{
	const struct account *account;
	int r;

	if (service->socket_user) {
		r = find_user(identities, service->socket_user, &account);
		if (r < 0)
			return report_lookup(report, service, "socket_user", "user",
				service->socket_user, r);
		service->socket_uid = account->uid;
	}
	if (service->socket_group) {
		r = identity_find_group(service->socket_group, &service->socket_gid);
		if (r < 0)
			return report_lookup(report, service, "socket_group", "group",
				service->socket_group, r);
	}
	return 0;
}

bool identity_require_user(const struct service_conf *service,
	const struct build_context *context, struct report *report)
{
	/* It may be one whose name was misspelt, or start no program, so that it has none. */
	if (context->uid != 0 || context->adhoc || service->unknown ||
		!service_conf_runs_program(service) ||
		service_conf_mistaken(service, conf_option_find("sensor")) ||
		service_conf_mistaken(service, conf_option_find("builtin")) ||
		(service_conf_given(service, conf_option_find("redirect")) &&
			!service_conf_has_backend(service)) ||
		service_conf_given(service, conf_option_find("user")))
		return true;

	report_mistake(report, &service->origin,
		"service '%s' has no user; write user = nobody, or a user of its own, or "
		"user = root",
		service->name);
	return false;
}

/* At a command line root may stay root, but is told. */
static int stay_root(struct service_conf *service, const struct build_context *context,
	struct report *report)
{
	if (context->uid != 0 || service->user)
		return 0;

	report_warning(report, &service->origin,
		"the program runs as root; --user NAME lets it run as somebody with fewer "
		"rights");
	service->user = strdup("root");
	if (!service->user)
		return -ENOMEM;
	return service_conf_set_given(service, conf_option_find("user"), &service->origin);
}

int identity_resolve(struct identities *identities, struct service_conf *service,
	const struct build_context *context, struct report *report,
	const struct account **ret_account)
{
	const struct account *account = NULL;
	int r;

	*ret_account = NULL;
	r = resolve_socket_owner(identities, service, report);
	if (r < 0)
		return r;
	if (!service_conf_runs_program(service) ||
		!identity_require_user(service, context, report))
		return 0;
	r = stay_root(service, context, report);
	if (r < 0)
		return r;
	check_may_chroot(service, context, report);
	r = resolve_user(identities, service, context, report, &account);
	if (r < 0 || !account)
		return r;
	if (!resolve_group(service, account, context, report, &r))
		return r;

	service->uid = account->uid;
	service->change_identity = context->uid == 0;
	if (service->change_identity) {
		r = resolve_groups(identities, service, account, report);
		if (r < 0)
			return r;
	}
	*ret_account = account;
	return 0;
}
