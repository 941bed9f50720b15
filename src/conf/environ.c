#include "conf/environ.h"

#include "conf/manager-environ.h"
#include "conf/merge.h"

#include <string.h>

#define PATH_ROOT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_USER "/usr/local/bin:/usr/bin:/bin"

/* Set for each connection.  A value of the file's own would make a program
 * believe something about a peer that nobody has checked.  `*` at the end:
 * every name that begins like this. */
static const char *const per_connection[] = {
	"HATCHD_*",
	"IPCREMOTE*",
	"IPCLOCAL*",
	"LISTEN_FDNAMES",
	"LISTEN_FDS",
	"LISTEN_PID",
	"NCAT_*",
	"NOTIFY_SOCKET",
	"PROTO",
	"PROXY_*",
	"REMOTE_ADDR",
	"REMOTE_HOST",
	"REMOTE_INFO",
	"REMOTE_PORT",
	"SERVER_ADDR",
	"SERVER_PORT",
	"SOCAT_*",
	"SSL_*",
	"TCPLOCAL*",
	"TCPREMOTE*",
	"UDPLOCAL*",
	"UDPLITELOCAL*",
	"UDPLITEREMOTE*",
	"UDPREMOTE*",
	"VSOCKLOCAL*",
	"VSOCKREMOTE*",
};

static bool is_name(const char *name, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	static const char digits[] = "0123456789";

	if (len == 0 || !strchr(letters, name[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!strchr(letters, name[i]) && !strchr(digits, name[i]))
			return false;
	}
	return true;
}

static bool is_per_connection(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(per_connection); i++) {
		const char *known = per_connection[i];
		size_t n = strcspn(known, "*");

		if (strncmp(name, known, n) == 0 && len >= n && (known[n] == '*' || len == n))
			return true;
	}
	return false;
}

static const char *check_name(const char *name, size_t len)
{
	if (!is_name(name, len))
		return "a name consists of letters, digits and _ and does not begin with a "
		       "digit";
	if (is_per_connection(name, len))
		return "hatchd itself sets this variable, for each connection";
	return NULL;
}

const char *environ_check_assignment(const char *text)
{
	const char *equal = strchr(text, '=');

	if (!equal)
		return "write NAME=VALUE, in quotes";
	return check_name(text, (size_t)(equal - text));
}

const char *environ_check_name(const char *text)
{
	if (strchr(text, '='))
		return "write the name alone; env sets values";
	if (manager_environ_has(text, strlen(text)))
		return "with this variable the service manager speaks to hatchd alone";
	return check_name(text, strlen(text));
}

/* At a command line the caller's own programs are meant. */
static const char *default_path(
	const struct account *account, const struct build_context *context)
{
	const char *path = NULL;

	if (context->adhoc)
		path = strv_env_get(context->environ, "PATH");
	if (path)
		return path;
	return account->uid == 0 ? PATH_ROOT : PATH_USER;
}

static int set_account(
	char ***env, const struct account *account, const struct build_context *context)
{
	const struct {
		const char *name, *value;
	} entries[] = {
		{"PATH", default_path(account, context)},
		{"HOME", account->home},
		{"USER", account->name},
		{"LOGNAME", account->name},
		{"SHELL", "/bin/sh"},
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		r = strv_env_set(env, entries[i].name, entries[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int pass_from(char *const *from, char *const *names, char ***env)
{
	for (; names && *names; names++) {
		const char *value = strv_env_get(from, *names);
		int r;

		if (!value)
			continue;
		r = strv_env_set(env, *names, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_own(char *const *assignments, char ***env)
{
	for (; assignments && *assignments; assignments++) {
		const char *equal = strchr(*assignments, '=');
		_cleanup_free_ char *name = NULL;
		int r;

		if (!equal)
			continue;
		name = strndup(*assignments, (size_t)(equal - *assignments));
		if (!name)
			return -ENOMEM;
		r = strv_env_set(env, name, equal + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static void check_bounds(
	const struct service_conf *service, char *const *env, struct report *report)
{
	const struct origin *origin = service_conf_origin(service, "env");
	size_t n = strv_length(env), bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(env[i]) + 1;

	if (n > CONF_ENV_MAX)
		report_mistake(report, origin,
			"env: the environment has %zu variables, %d are allowed", n,
			CONF_ENV_MAX);
	else if (bytes > CONF_ENV_BYTES_MAX)
		report_mistake(report, origin,
			"env: the environment has %zu bytes, %d are allowed", bytes,
			CONF_ENV_BYTES_MAX);
}

int environ_prepare(struct service_conf *service, const struct account *account,
	const struct build_context *context, struct report *report)
{
	_cleanup_strv_ char **env = NULL;
	int r;

	r = set_account(&env, account, context);
	if (r < 0)
		return r;
	r = pass_from(context->environ, service->pass_env, &env);
	if (r < 0)
		return r;
	r = set_own(service->env, &env);
	if (r < 0)
		return r;
	r = strv_env_set(&env, "HATCHD_SERVICE", service->name);
	if (r < 0)
		return r;

	check_bounds(service, env, report);
	service->base_env = take_ptr(env);
	return 0;
}
