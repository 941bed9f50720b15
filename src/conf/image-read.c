/*
 * image-read: the parts of an image back to values, as if an enemy had written
 * them.  Where the parts lie is known to image-open.c.
 *
 * What a field may hold is checked where it is read; what must hold between
 * fields, so that the master can rely on it, in check_service().
 */
#include "base/hostname.h"
#include "base/redirect.h"
#include "base/wire.h"
#include "conf/hours-conf.h"
#include "conf/image-internal.h"
#include "conf/rate.h"
#include "conf/worker.h"
#include "policy/cert.h"

#include <string.h>

struct image_reader {
	struct wire_reader wire;
	char *const *files; /* NULL: origins go without the name of their file */
	size_t n_files;
};

static void damaged(struct wire_reader *wire)
{
	if (!wire->error)
		wire->error = -EBADMSG;
}

static void require(struct wire_reader *wire, bool holds)
{
	if (!holds)
		damaged(wire);
}

static bool get_bool(struct wire_reader *wire)
{
	uint8_t value = wire_get_u8(wire);

	require(wire, value <= 1);
	return value == 1;
}

/* Holds for what is not given as well: fallbacks lie within the ranges of the
 * table (tests/unit/test-options), and without one a field is 0. */
static bool in_range(const struct conf_option *option, uint64_t value)
{
	if (option->min == 0 && option->max == 0)
		return true;
	if (value == 0 && !option->fallback && !(option->flags & OPTION_GLOBAL))
		return true;
	return value >= (uint64_t)option->min && value <= (uint64_t)option->max;
}

static uint32_t get_u32(struct wire_reader *wire, const struct conf_option *option)
{
	uint32_t value = wire_get_u32(wire);

	/* 0: not given. */
	require(wire, in_range(option, value) || (value == 0 && option->flags & OPTION_GLOBAL));
	return value;
}

static uint32_t get_count(struct wire_reader *wire, const struct conf_option *option)
{
	uint32_t value = wire_get_u32(wire);

	/* 0: not given. */
	require(wire, in_range(option, value) || value == COUNT_UNLIMITED ||
			      (value == 0 && option->flags & OPTION_GLOBAL));
	return value;
}

static int32_t get_i32(struct wire_reader *wire, const struct conf_option *option)
{
	int32_t value = (int32_t)wire_get_u32(wire);

	require(wire, value == NICE_INHERIT || (value >= option->min && value <= option->max));
	return value;
}

static uint64_t get_u64(struct wire_reader *wire, const struct conf_option *option)
{
	uint64_t value = wire_get_u64(wire);
	bool endless = option->flags & OPTION_ENDLESS && value == DURATION_UNLIMITED;

	/* 0: not given. */
	require(wire, endless || in_range(option, value) ||
			      (value == 0 && option->flags & OPTION_GLOBAL));
	return value;
}

static int8_t get_tristate(struct wire_reader *wire)
{
	uint8_t value = wire_get_u8(wire);

	require(wire, value <= 2);
	return (int8_t)(value - 1);
}

static uint32_t count_words(const struct conf_option *option)
{
	uint32_t n = 0;

	while (option->words[n])
		n++;
	return n;
}

static int get_word(struct wire_reader *wire, const struct conf_option *option)
{
	uint32_t value = wire_get_u32(wire);

	require(wire, value < count_words(option));
	return wire->error ? 0 : (int)value;
}

static uint32_t get_set(struct wire_reader *wire, const struct conf_option *option)
{
	uint32_t value = wire_get_u32(wire), all = 0;

	for (uint32_t i = 0; i < count_words(option); i++)
		all |= option->numbers ? option->numbers[i] : UINT32_C(1) << i;
	require(wire, (value & ~all) == 0);
	return value;
}

static void get_rlimit(struct wire_reader *wire, struct rlimit_conf *limit)
{
	limit->given = get_bool(wire);
	if (!limit->given)
		return;
	limit->soft = wire_get_u64(wire);
	limit->hard = wire_get_u64(wire);
	require(wire, limit->soft <= limit->hard);
}

static void get_rate(struct wire_reader *wire, struct limit *limit)
{
	limit->count = wire_get_u32(wire);
	limit->burst = wire_get_u32(wire);
	limit->period = wire_get_u64(wire);
	require(wire, rate_holds(limit));
}

static char *get_path(struct wire_reader *wire)
{
	char *path = wire_get_string(wire);

	require(wire, !path || path[0] == '/');
	return path;
}

static void get_option(struct wire_reader *wire, const struct conf_option *option, void *field)
{
	switch (option->type) {
	case OPTION_BOOL:
		*(bool *)field = get_bool(wire);
		return;
	case OPTION_TRISTATE:
		*(int8_t *)field = get_tristate(wire);
		return;
	case OPTION_U32:
	case OPTION_BITS:
	case OPTION_MODE:
		*(uint32_t *)field = get_u32(wire, option);
		return;
	case OPTION_COUNT:
	case OPTION_LOAD:
		*(uint32_t *)field = get_count(wire, option);
		return;
	case OPTION_SET:
		*(uint32_t *)field = get_set(wire, option);
		return;
	case OPTION_I32:
		*(int32_t *)field = get_i32(wire, option);
		return;
	case OPTION_ENUM:
		*(int *)field = get_word(wire, option);
		return;
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_PENALTY:
		*(uint64_t *)field = get_u64(wire, option);
		return;
	case OPTION_RATE:
		get_rate(wire, field);
		return;
	case OPTION_RLIMIT:
		get_rlimit(wire, field);
		return;
	case OPTION_STRING:
		*(char **)field = wire_get_string(wire);
		return;
	case OPTION_PATH:
		*(char **)field = get_path(wire);
		return;
	case OPTION_LIST:
		*(char ***)field = wire_get_strv(wire);
		return;
	}
}

static void get_options(struct wire_reader *wire, void *base, unsigned which)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if ((o->flags & IMAGE_PARTS) == which)
			get_option(wire, o, conf_option_field(o, base));
	}
}

static void get_backend(struct wire_reader *wire, struct service_conf *service)
{
	if (!get_bool(wire))
		return;
	get_options(wire, service, OPTION_BACKEND);
	service->backend_target = wire_get_u32(wire);
	require(wire, service_conf_says_backend(service));
}

static void get_tls(struct wire_reader *wire, struct service_conf *service)
{
	if (get_bool(wire)) {
		get_options(wire, service, OPTION_TLS);
		wire_get_raw(wire, service->tls_digest, sizeof service->tls_digest);
		wire_get_raw(wire, service->tls_trust, sizeof service->tls_trust);
		service->tls_not_after = (int64_t)wire_get_u64(wire);
		service->tls_has_guests = get_bool(wire);
		require(wire, service_conf_says_tls(service));
	}
	service->tls_host = wire_get_string(wire);
	require(wire, !service->tls_host || service_name_valid(service->tls_host));
}

static void get_origin(struct image_reader *r, struct origin *origin)
{
	uint32_t file = wire_get_u32(&r->wire);

	require(&r->wire, file == IMAGE_NO_FILE || file < r->n_files);
	origin->file = NULL;
	if (r->files && !r->wire.error && file != IMAGE_NO_FILE)
		origin->file = r->files[file];
	origin->line = wire_get_u32(&r->wire);
	origin->column = wire_get_u32(&r->wire);
	origin->width = wire_get_u32(&r->wire);
}

/* Reading the text anew proves kind, family, length and names at once. */
static void get_addr(struct wire_reader *wire, struct addr *addr)
{
	_cleanup_free_ char *text = wire_get_string(wire);
	struct addr_spec spec;
	const char *why;

	if (!text || addr_parse(text, &spec, &why) < 0 || spec.host[0] || spec.service[0] ||
		spec.port_first != spec.port_last) {
		damaged(wire);
		return;
	}
	*addr = spec.addr;
}

static void get_fate(struct wire_reader *wire, struct listen_conf *listen)
{
	uint32_t fate = wire_get_u32(wire);

	require(wire, fate < _LISTEN_FATE_MAX);
	listen->fate = wire->error ? LISTEN_OPENED : (enum listen_fate)fate;
	listen->old_service = wire_get_u32(wire);
	listen->old_listen = wire_get_u32(wire);
	require(wire, (listen->fate == LISTEN_OPENED) == (listen->old_service == CONF_NONE));
}

static void get_addresses(struct wire_reader *wire, struct service_conf *service)
{
	uint32_t n = wire_get_count(wire, sizeof(uint32_t));

	require(wire, n <= CONF_LISTEN_MAX);
	if (wire->error || n == 0)
		return;
	service->listen = calloc(n, sizeof *service->listen);
	if (!service->listen) {
		wire->error = -ENOMEM;
		return;
	}
	service->n_listen = n;
	for (uint32_t i = 0; i < n && !wire->error; i++)
		get_addr(wire, &service->listen[i].addr);
}

/* Any bytes; none at all are NULL. */
static void get_bytes(struct wire_reader *wire, char **ret, size_t *ret_len)
{
	uint32_t n = wire_get_count(wire, 1);

	require(wire, n <= BUILTIN_REPLY_MAX);
	if (wire->error || n == 0)
		return;
	*ret = malloc(n);
	if (!*ret) {
		wire->error = -ENOMEM;
		return;
	}
	*ret_len = n;
	wire_get_raw(wire, *ret, n);
}

static void get_texts(struct wire_reader *wire, struct service_conf *service)
{
	get_bytes(wire, &service->reply, &service->reply_len);
	get_bytes(wire, &service->banner_text, &service->banner_text_len);
	get_bytes(wire, &service->banner_success_text, &service->banner_success_text_len);
	get_bytes(wire, &service->banner_fail_text, &service->banner_fail_text_len);
}

static void get_targets(struct wire_reader *wire, struct service_conf *service)
{
	uint32_t n = wire_get_count(wire, sizeof(uint32_t));

	require(wire, n <= REDIRECT_TARGETS_MAX);
	if (wire->error || n == 0)
		return;
	service->targets = calloc(n, sizeof *service->targets);
	if (!service->targets) {
		wire->error = -ENOMEM;
		return;
	}
	service->n_targets = n;
	for (uint32_t i = 0; i < n && !wire->error; i++)
		get_addr(wire, &service->targets[i]);
}

/* Addresses are anybody's, and those of a name are to be looked up. */
static bool target_holds(const struct addr *target, const char *name)
{
	if (name[0] == '\0')
		return !redirect_refuses(target);
	return hostname_is_plain(name) && target->kind == ADDR_TCP &&
	       addr_is_wildcard(target) && addr_port(target) > 0;
}

static bool targets_hold(const struct service_conf *service)
{
	char *const *names = service->target_names;

	if (names && strv_length(names) != service->n_targets)
		return false;
	for (size_t i = 0; i < service->n_targets; i++)
		if (!target_holds(&service->targets[i], names ? names[i] : ""))
			return false;
	return !names || service->n_targets > 0;
}

/* Nobody is let in by his name without a list that keeps all others out. */
static bool names_hold(const struct service_conf *service)
{
	if (!service->names)
		return true;
	if (!service->resolve || !service_conf_has_access(service) ||
		strv_length(service->names) > CONF_NAMES_MAX)
		return false;
	for (size_t i = 0; service->names[i]; i++)
		if (!hostname_is_pattern(service->names[i]))
			return false;
	return service->names[0];
}

/* Nor by his certificate. */
static bool certs_hold(const struct service_conf *service)
{
	if (!service->certs)
		return true;
	if (!service_conf_has_access(service) || strv_length(service->certs) > CONF_CERTS_MAX)
		return false;
	for (size_t i = 0; service->certs[i]; i++)
		if (!cert_is_rule(service->certs[i]))
			return false;
	return service->certs[0];
}

static void get_names(struct wire_reader *wire, struct service_conf *service)
{
	service->names = wire_get_strv(wire);
	service->certs = wire_get_strv(wire);
	service->target_names = wire_get_strv(wire);
	require(wire, wire->error || (names_hold(service) && certs_hold(service) &&
					     targets_hold(service)));
}

static void get_identity(struct wire_reader *wire, struct service_conf *service)
{
	uint32_t n;

	service->change_identity = get_bool(wire);
	service->uid = wire_get_u32(wire);
	service->gid = wire_get_u32(wire);
	n = wire_get_count(wire, sizeof(uint32_t));
	require(wire, n <= IMAGE_GROUPS_MAX);
	if (n > 0 && !wire->error) {
		service->groups_list = calloc(n, sizeof *service->groups_list);
		if (!service->groups_list)
			wire->error = -ENOMEM;
		else
			service->n_groups = n;
	}
	for (size_t i = 0; i < service->n_groups; i++)
		service->groups_list[i] = wire_get_u32(wire);
	service->socket_uid = wire_get_u32(wire);
	service->socket_gid = wire_get_u32(wire);
}

static void get_access(struct wire_reader *wire, struct service_conf *service)
{
	if (!get_bool(wire))
		return;
	wire_get_blob(wire, service->access_digest, sizeof service->access_digest);
	require(wire, service_conf_has_access(service));
}

static void get_proxies(struct wire_reader *wire, struct service_conf *service)
{
	if (!get_bool(wire))
		return;
	wire_get_blob(wire, service->proxies_digest, sizeof service->proxies_digest);
	require(wire, service_conf_has_proxies(service));
}

/* Nothing but the digest: whether there is one is what hosts_access says. */
static void get_wrappers(struct wire_reader *wire, struct service_conf *service)
{
	if (!service->hosts_access)
		return;
	wire_get_blob(wire, service->wrappers_digest, sizeof service->wrappers_digest);
	require(wire, service_conf_has_wrappers(service));
}

/*
 * Between fields.
 */

static bool env_holds(char *const *env)
{
	size_t n = strv_length(env), bytes = 0;

	if (n > CONF_ENV_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *equal = strchr(env[i], '=');

		if (!equal || equal == env[i])
			return false;
		bytes += strlen(env[i]) + 1;
	}
	return bytes <= CONF_ENV_BYTES_MAX;
}

static bool addresses_hold(const struct service_conf *service)
{
	for (size_t i = 0; i < service->n_listen; i++) {
		if (addr_is_datagram(&service->listen[i].addr) && service->sensor)
			return false;
	}
	if (!service_conf_has_program(service) && service->wait)
		return false;
	for (size_t i = 0; service_conf_has_worker(service) && i < service->n_listen; i++) {
		const struct addr *addr = &service->listen[i].addr;

		if (service_conf_is_builtin(service)
				? !service_conf_builtin_takes(service, addr)
				: service->n_targets > 0 &&
					  !service_conf_redirect_takes(service, addr))
			return false;
	}
	if (service->notify && service_conf_has_program(service) &&
		service->pass_as != PASS_LISTEN_FDS)
		return false;
	return service->pass_as != PASS_LISTEN_FDS || service->wait;
}

/* Others find it by its name, and hand it their clients. */
static bool mux_holds(const struct service_conf *service)
{
	bool guest = service_conf_is_tls_guest(service), mux = service_conf_has_mux(service);

	if (!guest && !mux)
		return service->n_listen > 0;
	if (guest && (mux || service->n_listen > 0 || service->sensor))
		return false;
	return !service->wait && service->builtin != BUILTIN_TCPMUX;
}

static bool banners_hold(const struct service_conf *service)
{
	if (!service_conf_tells_banners(service))
		return !service->banner_text && !service->banner_success_text &&
		       !service->banner_fail_text;
	return !service->banner == !service->banner_text &&
	       !service->banner_success == !service->banner_success_text &&
	       !service->banner_fail == !service->banner_fail_text;
}

/* Without a list of proxies everybody could say that he is somebody else. */
static bool front_holds(const struct service_conf *service)
{
	if (!service_conf_has_front(service))
		return true;
	if (service->proxy_protocol != PROXY_USE_NO && !service_conf_has_proxies(service))
		return false;
	return service->header_timeout > 0;
}

static bool pending_holds(const struct service_conf *service)
{
	if (service_conf_has_lookups(service) && service->lookup_timeout == 0)
		return false;
	return !service_conf_has_pending(service) || service->pending_per_source > 0;
}

static bool backend_holds(const struct service_conf *service)
{
	if (!service_conf_has_backend(service))
		return true;
	return service->backend_start_timeout > 0 && service->backend_idle_stop > 0 &&
	       service->backend_target < service->n_targets;
}

static bool tls_holds(const struct service_conf *service)
{
	if (service->certs && !service_conf_asks_certificates(service))
		return false;
	if (!service_conf_has_tls(service))
		return true;
	return service->tls_handshake_timeout > 0;
}

/* What a service needs before it may be served. */
static bool is_ready(const struct service_conf *service)
{
	const uint32_t none = UINT32_MAX;

	if (service->disable || service->condition)
		return true;
	if (!front_holds(service) || !pending_holds(service) || !banners_hold(service))
		return false;
	if (service_conf_is_builtin(service) &&
		builtin_has_reply((enum service_builtin)service->builtin) && !service->reply)
		return false;
	if (service_conf_is_redirect(service) && service->n_targets == 0)
		return false;
	if (!backend_holds(service) || !tls_holds(service))
		return false;
	if (!service_conf_runs_program(service))
		return service->directory;
	return service->path && strv_length(service->argv) > 0 && service->base_env &&
	       service->directory &&
	       (!service->change_identity || (service->uid != none && service->gid != none));
}

static bool check_service(const struct service_conf *service)
{
	if (service->stderr_kind == STDERR_FILE &&
		(!service->stderr_to || service->stderr_to[0] != '/'))
		return false;
	if (service->bind_to_device && strlen(service->bind_to_device) >= IF_NAMESIZE)
		return false;
	for (char **link = service->symlinks; link && *link; link++) {
		if ((*link)[0] != '/')
			return false;
	}
	if (service->congestion && strlen(service->congestion) >= CONF_CONGESTION_MAX)
		return false;
	return is_ready(service) && addresses_hold(service) && mux_holds(service) &&
	       env_holds(service->base_env);
}

/* Reading the text anew proves that each of them is one. */
static void get_hours(struct wire_reader *wire, struct service_conf *service)
{
	const char *text, *why;
	int r;

	if (wire->error)
		return;
	r = hours_conf_read(service->access_times, &service->hours, &text, &why);
	if (r < 0)
		wire->error = r == -ENOMEM ? r : -EBADMSG;
}

static void get_body(struct wire_reader *wire, struct service_conf *service)
{
	uint32_t kind;

	for (size_t i = 0; i < ARRAY_SIZE(service->given); i++)
		service->given[i] = wire_get_u64(wire);
	get_options(wire, service, 0);
	get_hours(wire, service);

	get_addresses(wire, service);
	get_texts(wire, service);
	get_targets(wire, service);
	get_backend(wire, service);
	get_tls(wire, service);
	service->path = get_path(wire);
	service->argv = wire_get_strv(wire);
	service->base_env = wire_get_strv(wire);
	kind = wire_get_u32(wire);
	require(wire, kind <= STDERR_FILE);
	service->stderr_kind = wire->error ? STDERR_LOG : (int)kind;
	get_identity(wire, service);
	get_access(wire, service);
	get_proxies(wire, service);
	get_wrappers(wire, service);
	get_names(wire, service);
	service->condition = wire_get_string(wire);
}

static void get_tail(struct image_reader *r, struct service_conf *service)
{
	struct wire_reader *wire = &r->wire;

	get_origin(r, &service->origin);
	for (size_t i = 0; i < service->n_listen && !wire->error; i++) {
		get_origin(r, &service->listen[i].origin);
		get_fate(wire, &service->listen[i]);
	}
	service->old = wire_get_u32(wire);
	service->news = wire_get_u32(wire);
	require(wire, service->news <= _SERVICE_NEWS_ALL);
}

/* In the order of time: that is what hours_local() relies on. */
static void get_zone(struct wire_reader *wire, struct hours_zone *zone)
{
	uint32_t n = wire_get_count(wire, sizeof(uint64_t) + sizeof(uint32_t));

	require(wire, n <= HOURS_SHIFTS_MAX);
	for (uint32_t i = 0; i < n && !wire->error; i++) {
		struct hours_shift *shift = &zone->shifts[i];

		shift->from = (int64_t)wire_get_u64(wire);
		shift->offset = (int32_t)wire_get_u32(wire);
		require(wire, i == 0 || shift->from > zone->shifts[i - 1].from);
		require(wire,
			shift->offset > -HOURS_OFFSET_MAX && shift->offset < HOURS_OFFSET_MAX);
		zone->n = i + 1;
	}
}

/* Whatever the loader says, no worker becomes root, and none the one that has keys. */
static void get_worker(struct wire_reader *wire, struct conf *conf)
{
	bool speaks_tls;

	conf->worker_identity = get_bool(wire);
	conf->worker_uid = wire_get_u32(wire);
	conf->worker_gid = wire_get_u32(wire);
	conf->tls_worker_uid = wire_get_u32(wire);
	conf->tls_worker_gid = wire_get_u32(wire);
	speaks_tls = conf->tls_worker_uid != 0 || conf->tls_worker_gid != 0;
	if (conf->worker_identity)
		require(wire,
			worker_id_valid(conf->worker_uid) && worker_id_valid(conf->worker_gid));
	else
		require(wire, conf->worker_uid == 0 && conf->worker_gid == 0 && !speaks_tls);
	if (speaks_tls)
		require(wire, worker_id_valid(conf->tls_worker_uid) &&
				      worker_id_valid(conf->tls_worker_gid) &&
				      conf->tls_worker_uid != conf->worker_uid);
}

int image_get_globals(const void *data, size_t len, struct conf *conf)
{
	struct wire_reader wire;

	wire_reader_init(&wire, data, len);
	conf->main_file = get_path(&wire);
	conf->files = wire_get_strv(&wire);
	get_options(&wire, conf, OPTION_GLOBAL);
	conf->n_addresses = wire_get_u32(&wire);
	conf->n_notify = wire_get_u32(&wire);
	conf->n_pending = wire_get_u32(&wire);
	conf->certificates_end = (int64_t)wire_get_u64(&wire);
	get_zone(&wire, &conf->zone);
	get_worker(&wire, conf);
	conf->control_gid = wire_get_u32(&wire);
	if (wire.error)
		return wire.error;
	return wire_reader_complete(&wire) ? 0 : -EBADMSG;
}

int image_get_record(const void *data, size_t len, char *const *files, size_t n_files,
	struct service_conf **ret)
{
	struct image_reader r = {.files = files, .n_files = n_files};
	_cleanup_service_conf_ struct service_conf *service = NULL;
	_cleanup_free_ char *name = NULL;

	wire_reader_init(&r.wire, data, len);
	name = wire_get_string(&r.wire);
	if (r.wire.error)
		return r.wire.error;
	if (!name || !service_name_valid(name))
		return -EBADMSG;

	service = service_conf_new(name);
	if (!service)
		return -ENOMEM;
	get_body(&r.wire, service);
	get_tail(&r, service);
	if (r.wire.error)
		return r.wire.error;
	if (!wire_reader_complete(&r.wire) || !check_service(service))
		return -EBADMSG;
	*ret = take_ptr(service);
	return 0;
}

int image_get_name(const void *data, size_t len, char ret[SERVICE_NAME_MAX + 1])
{
	struct wire_reader wire;
	uint32_t n;

	wire_reader_init(&wire, data, len);
	n = wire_get_count(&wire, 1);
	if (wire.error || n > SERVICE_NAME_MAX)
		return -EBADMSG;
	memcpy(ret, (const char *)data + wire.at, n);
	ret[n] = '\0';
	return 0;
}
