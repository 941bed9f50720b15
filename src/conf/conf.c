#include "conf/conf.h"

#include <string.h>

void conf_init(struct conf *conf)
{
	*conf = (struct conf){.control_gid = (gid_t)-1};
}

void conf_done(struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services; i++)
		service_conf_free(conf->services[i]);
	free(conf->services);
	strv_free(conf->files);
	free(conf->main_file);
	free(conf->accounting_file);
	conf_init(conf);
}

struct service_conf *service_conf_new(const char *name)
{
	_cleanup_service_conf_ struct service_conf *service = NULL;

	service = calloc(1, sizeof *service);
	if (!service)
		return NULL;

	service->name = strdup(name);
	if (!service->name)
		return NULL;

	service->nice = NICE_INHERIT;
	service->v6only = -1;
	service->socket_uid = (uid_t)-1;
	service->socket_gid = (gid_t)-1;
	service->old = CONF_NONE;
	return take_ptr(service);
}

/* The table knows which options own memory, so a new one cannot be forgotten. */
static void free_options(struct service_conf *service)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		void *field = conf_option_field(o, service);

		if (o->flags & OPTION_GLOBAL)
			continue;
		if (o->type == OPTION_STRING || o->type == OPTION_PATH)
			free(*(char **)field);
		else if (o->type == OPTION_LIST)
			strv_free(*(char ***)field);
	}
}

/* What stands in an environment may be a secret; freed memory keeps what it had. */
static void erase(char **vector)
{
	for (; vector && *vector; vector++)
		explicit_bzero(*vector, strlen(*vector));
}

/* With keys. */
static void erase_bytes(void *data, size_t len)
{
	if (data)
		explicit_bzero(data, len);
	free(data);
}

static void free_tls(struct service_conf *service)
{
	for (size_t i = 0; i < service->n_tls_pems; i++) {
		free(service->tls_pems[i].chain);
		erase_bytes(service->tls_pems[i].key, service->tls_pems[i].key_len);
	}
	free(service->tls_pems);
	free(service->tls_ca_pem);
	erase_bytes(service->tls_setup, service->tls_length);
	free(service->tls_host);
}

void service_conf_free(struct service_conf *service)
{
	if (!service)
		return;

	erase(service->env);
	erase(service->base_env);
	free_options(service);
	free(service->name);
	free(service->origins);
	free(service->only_from_at);
	free(service->no_access_at);
	free(service->access_times_at);
	free(service->proxy_from_at);
	free(service->tls_certificate_at);
	free(service->tls_key_at);
	free(service->tls_name_at);
	free_tls(service);
	access_list_release(service->access);
	access_list_release(service->proxies);
	access_list_release(service->wrappers);
	free(service->listen);
	free(service->reply);
	free(service->banner_text);
	free(service->banner_success_text);
	free(service->banner_fail_text);
	free(service->targets);
	strv_free(service->target_names);
	strv_free(service->names);
	strv_free(service->certs);
	free(service->path);
	free(service->hours);
	strv_free(service->argv);
	strv_free(service->base_env);
	free(service->groups_list);
	free(service->condition);
	free(service);
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool service_name_valid(const char *name)
{
	size_t len = strnlen(name, SERVICE_NAME_MAX + 1);

	if (len > SERVICE_NAME_MAX || !is_alnum(name[0]))
		return false;

	for (size_t i = 0; i < len; i++) {
		if (!is_alnum(name[i]) && !strchr("_.-", name[i]))
			return false;
	}
	return true;
}

bool service_conf_given(const struct service_conf *service, const struct conf_option *option)
{
	size_t i = conf_option_index(option);

	return service->given[i / 64] >> (i % 64) & 1;
}

/* How many options were given that stand before `i` in the table. */
static size_t count_given(const struct service_conf *service, size_t i)
{
	size_t n = 0;

	for (size_t word = 0; word < i / 64; word++)
		n += (size_t)__builtin_popcountll(service->given[word]);
	if (i % 64 > 0)
		n += (size_t)__builtin_popcountll(service->given[i / 64] << (64 - i % 64));
	return n;
}

const struct origin *service_conf_given_at(
	const struct service_conf *service, const struct conf_option *option)
{
	return &service->origins[count_given(service, conf_option_index(option))];
}

int service_conf_set_given(struct service_conf *service, const struct conf_option *option,
	const struct origin *origin)
{
	size_t i = conf_option_index(option), at = count_given(service, i);
	size_t n = count_given(service, CONF_OPTIONS_MAX);
	struct origin *larger;

	if (!service_conf_given(service, option)) {
		larger = reallocarray(service->origins, n + 1, sizeof *larger);
		if (!larger)
			return -ENOMEM;
		memmove(larger + at + 1, larger + at, (n - at) * sizeof *larger);
		service->origins = larger;
		service->given[i / 64] |= UINT64_C(1) << (i % 64);
	}
	service->origins[at] = *origin;
	return 0;
}

int service_conf_copy_given(const struct service_conf *from, struct service_conf *to)
{
	size_t n = count_given(from, CONF_OPTIONS_MAX);

	if (n == 0)
		return 0;
	to->origins = calloc(n, sizeof *to->origins);
	if (!to->origins)
		return -ENOMEM;
	memcpy(to->origins, from->origins, n * sizeof *to->origins);
	memcpy(to->given, from->given, sizeof to->given);
	return 0;
}

bool service_conf_mistaken(const struct service_conf *service, const struct conf_option *option)
{
	size_t i = conf_option_index(option);

	return service->mistaken[i / 64] >> (i % 64) & 1;
}

bool service_conf_mistaken_any(const struct service_conf *service)
{
	for (size_t i = 0; i < ARRAY_SIZE(service->mistaken); i++) {
		if (service->mistaken[i])
			return true;
	}
	return false;
}

void service_conf_set_mistaken(
	struct service_conf *service, const struct conf_option *option, bool mistaken)
{
	size_t i = conf_option_index(option);
	uint64_t bit = UINT64_C(1) << (i % 64);

	if (mistaken)
		service->mistaken[i / 64] |= bit;
	else
		service->mistaken[i / 64] &= ~bit;
}

bool service_conf_has_program(const struct service_conf *service)
{
	return !service->sensor && !service_conf_has_worker(service);
}

bool service_conf_is_builtin(const struct service_conf *service)
{
	return !service->sensor && service->builtin != BUILTIN_NONE;
}

bool service_conf_builtin_takes(const struct service_conf *service, const struct addr *addr)
{
	if (addr_is_datagram(addr))
		return addr_is_udp(addr) && service->builtin != BUILTIN_TCPMUX;
	return addr->kind != ADDR_UNIX_SEQPACKET;
}

bool service_conf_is_redirect(const struct service_conf *service)
{
	return !service->sensor && service->redirect && service->redirect[0];
}

bool service_conf_has_backend(const struct service_conf *service)
{
	return service_conf_is_redirect(service) &&
	       (service->backend_exec || service->backend_shell);
}

bool service_conf_says_backend(const struct service_conf *service)
{
	return service->backend_exec || service->backend_shell || service->backend_ready ||
	       service->backend_start_timeout > 0 || service->backend_idle_stop > 0;
}

bool service_conf_runs_program(const struct service_conf *service)
{
	return service_conf_has_program(service) || service_conf_has_backend(service);
}

static bool same_start(const struct service_conf *a, const struct service_conf *b)
{
	for (const struct conf_option *o = conf_options; o->name; o++)
		if (conf_option_is_of_program(o) &&
			!conf_option_equal(o, conf_option_field(o, a), conf_option_field(o, b)))
			return false;
	return true;
}

static bool same_groups(const struct service_conf *a, const struct service_conf *b)
{
	return a->n_groups == b->n_groups &&
	       (a->n_groups == 0 || memcmp(a->groups_list, b->groups_list,
					    a->n_groups * sizeof *a->groups_list) == 0);
}

bool service_conf_same_backend(const struct service_conf *a, const struct service_conf *b)
{
	if (!service_conf_has_backend(a) || !service_conf_has_backend(b) || a->condition ||
		b->condition)
		return false;
	return addr_equal(&a->targets[a->backend_target], &b->targets[b->backend_target]) &&
	       strcmp(a->path, b->path) == 0 && strv_equal(a->argv, b->argv) &&
	       strv_equal(a->base_env, b->base_env) &&
	       a->change_identity == b->change_identity && a->uid == b->uid &&
	       a->gid == b->gid && same_groups(a, b) && same_start(a, b);
}

bool service_conf_has_worker(const struct service_conf *service)
{
	return service_conf_is_builtin(service) || service_conf_is_redirect(service);
}

static bool has_target(const struct service_conf *service, bool for_datagrams)
{
	for (size_t i = 0; i < service->n_targets; i++)
		if (addr_is_datagram(&service->targets[i]) == for_datagrams)
			return true;
	return false;
}

bool service_conf_redirect_takes(const struct service_conf *service, const struct addr *addr)
{
	if (addr->kind == ADDR_FD)
		return true;
	if (addr->kind == ADDR_UNIX_DGRAM || addr->kind == ADDR_UNIX_SEQPACKET)
		return false;
	return has_target(service, addr_is_datagram(addr));
}

static bool is_set(const uint8_t digest[ACCESS_DIGEST_LEN])
{
	static const uint8_t none[ACCESS_DIGEST_LEN];

	return memcmp(digest, none, sizeof none) != 0;
}

bool service_conf_has_peers(const struct service_conf *service, const struct addr *addr)
{
	if (service->wait || !addr_is_datagram(addr))
		return false;
	return service_conf_has_program(service) || service_conf_is_redirect(service);
}

bool service_conf_has_access(const struct service_conf *service)
{
	return is_set(service->access_digest);
}

bool service_conf_has_wrappers(const struct service_conf *service)
{
	return is_set(service->wrappers_digest);
}

bool service_conf_has_proxies(const struct service_conf *service)
{
	return is_set(service->proxies_digest);
}

bool service_conf_has_front(const struct service_conf *service)
{
	if (service->wait || service->sensor)
		return false;
	if (service->proxy_protocol != PROXY_USE_NO || service->builtin == BUILTIN_TCPMUX)
		return true;
	return service_conf_tells_banners(service) &&
	       (service->banner || service->banner_success || service->banner_fail);
}

/* Whether there may be connections with an end that has an address of IP; of a client for
 * whom a proxy speaks it is not that end.  What the service manager hands over may be
 * anything, and a tcpmux anywhere; it serves nobody itself. */
static bool takes_connections_of_ip(const struct service_conf *service, bool proxied)
{
	if (service->wait || service->sensor || service->builtin == BUILTIN_TCPMUX)
		return false;
	if (service_conf_has_mux(service) || service_conf_is_tls_guest(service))
		return true;
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (addr_is_datagram(addr))
			continue;
		if (proxied || addr_is_ip(addr) || addr->kind == ADDR_FD)
			return true;
	}
	return false;
}

bool service_conf_asks_names(const struct service_conf *service)
{
	bool proxied = service->proxy_protocol != PROXY_USE_NO;

	return service->resolve && takes_connections_of_ip(service, proxied);
}

bool service_conf_asks_ident(const struct service_conf *service)
{
	if (service->ident == IDENT_USE_NO)
		return false;
	if (service->proxy_protocol == PROXY_USE_REQUIRED && !service_conf_has_mux(service))
		return false;
	return takes_connections_of_ip(service, false);
}

bool service_conf_has_lookups(const struct service_conf *service)
{
	return service_conf_asks_names(service) || service_conf_asks_ident(service) ||
	       service->target_names;
}

bool service_conf_has_pending(const struct service_conf *service)
{
	return service_conf_has_front(service) || service_conf_has_lookups(service) ||
	       service_conf_has_tls(service);
}

bool service_conf_tells_banners(const struct service_conf *service)
{
	return !service->wait && !service->sensor && service->builtin != BUILTIN_TCPMUX &&
	       !service_conf_has_tls(service) && !service_conf_is_tls_guest(service);
}

/* What the service manager hands over may be a socket of TCP. */
static bool takes_tls(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (!addr_is_tcp(addr) && addr->kind != ADDR_FD)
			return false;
	}
	return service->n_listen > 0;
}

bool service_conf_has_tls(const struct service_conf *service)
{
	if (service->wait || service->sensor || service->builtin == BUILTIN_TCPMUX ||
		service_conf_has_mux(service) || service->tls_host)
		return false;
	return service->tls_certificate && service->tls_certificate[0] && takes_tls(service);
}

bool service_conf_is_tls_guest(const struct service_conf *service)
{
	return service->tls_host;
}

bool service_conf_asks_certificates(const struct service_conf *service)
{
	return service_conf_is_tls_guest(service) ||
	       (service_conf_has_tls(service) && service->tls_verify != TLS_VERIFY_NONE);
}

bool service_conf_says_tls(const struct service_conf *service)
{
	for (const struct conf_option *o = conf_options; o->name; o++)
		if (o->flags & OPTION_TLS && service_conf_given(service, o))
			return true;
	return false;
}

bool service_conf_has_mux(const struct service_conf *service)
{
	return service->tcpmux != TCPMUX_USE_NO && !service->sensor;
}

uint32_t service_name_hash(const char *name)
{
	uint32_t hash = UINT32_C(2166136261);

	for (; *name; name++) {
		bool capital = *name >= 'A' && *name <= 'Z';

		hash ^= (uint8_t)(capital ? *name - 'A' + 'a' : *name);
		hash *= UINT32_C(16777619);
	}
	return hash ? hash : 1;
}

struct origin **service_conf_elements_at(
	struct service_conf *service, const struct conf_option *option)
{
	switch (option->offset) {
	case offsetof(struct service_conf, only_from):
		return &service->only_from_at;
	case offsetof(struct service_conf, no_access):
		return &service->no_access_at;
	case offsetof(struct service_conf, access_times):
		return &service->access_times_at;
	case offsetof(struct service_conf, proxy_from):
		return &service->proxy_from_at;
	case offsetof(struct service_conf, tls_certificate):
		return &service->tls_certificate_at;
	case offsetof(struct service_conf, tls_key):
		return &service->tls_key_at;
	case offsetof(struct service_conf, tls_name):
		return &service->tls_name_at;
	default:
		return NULL;
	}
}
