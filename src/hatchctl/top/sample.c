#include "hatchctl/top/sample.h"

#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static struct top_use unknown_use(void)
{
	return (struct top_use){TOP_UNKNOWN, TOP_UNKNOWN, TOP_UNKNOWN, TOP_UNKNOWN, -1, -1, -1};
}

/* ------------------------------------------------------------------------ texts */

/* Each character of another alphabet becomes one that every terminal has. */
static void make_ascii(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if ((*text & 0xc0) == 0x80)
			continue;
		*to++ = *text & 0x80 ? '?' : *text;
	}
	*to = '\0';
}

static char *copy_escaped(const char *text)
{
	size_t len = strlen(text), size = 4 * len + 1;
	char *shown = malloc(size);

	if (!shown)
		return NULL;
	text_escape(text, len, shown, size);
	make_ascii(shown);
	return shown;
}

/* "" for what is no text. */
static char *get_text(struct json_value object, const char *key)
{
	_cleanup_free_ char *text = json_to_string(json_get(object, key));

	return copy_escaped(text ? text : "");
}

/* TOP_UNKNOWN for what is not there, or null. */
static uint64_t get_number(struct json_value object, const char *key)
{
	struct json_value value = json_get(object, key);

	return value.at && *value.at != 'n' ? json_to_number(value) : TOP_UNKNOWN;
}

static uint64_t get_count(struct json_value object, const char *key)
{
	return json_to_number(json_get(object, key));
}

static uint64_t sum_up(struct json_value counts)
{
	struct json_value item = {NULL, NULL};
	uint64_t all = 0;

	while (json_next(counts, &item, NULL))
		all += json_to_number(item);
	return all;
}

/* --------------------------------------------------------------------- services */

/* Those that cannot be had are in parentheses, as `hatchctl list` shows them. */
static void put_address(FILE *out, struct json_value address)
{
	_cleanup_free_ char *text = get_text(address, "address");
	_cleanup_free_ char *state = get_text(address, "state");
	bool open = state && strcmp(state, "open") == 0;

	fprintf(out, open ? "%s" : "(%s)", text ? text : "?");
}

static char *get_addresses(struct json_value addresses)
{
	struct json_value item = {NULL, NULL};
	char *text = NULL;
	size_t len, n = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	while (json_next(addresses, &item, NULL)) {
		if (n++ > 0)
			fputc(' ', out);
		put_address(out, item);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static bool read_service(struct json_value line, struct top_service *service)
{
	*service = (struct top_service){
		.name = get_text(line, "service"),
		.state = get_text(line, "state"),
		.reason = get_text(line, "reason"),
		.addresses = get_addresses(json_get(line, "addresses")),
		.children = get_count(line, "children"),
		.limit = get_number(line, "instances"),
		.pending = get_number(line, "pending"),
		.started = get_count(line, "started"),
		.refused = sum_up(json_get(line, "refused")),
		.use = unknown_use(),
		.starts = -1,
		.refusals = -1,
	};
	return service->name && service->state && service->reason && service->addresses;
}

static int compare_names(const void *a, const void *b)
{
	const struct top_service *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static bool read_services(struct top_sample *sample, const struct answer *answer)
{
	size_t n = answer->n_lines;

	sample->services = calloc(n ? n : 1, sizeof *sample->services);
	sample->by_name = calloc(n ? n : 1, sizeof(struct top_service *));
	if (!sample->services || !sample->by_name)
		return false;
	for (size_t i = 0; i < n; i++) {
		sample->by_name[i] = &sample->services[i];
		if (!read_service(answer->lines[i], &sample->services[sample->n_services++]))
			return false;
	}
	qsort(sample->by_name, n, sizeof(struct top_service *), compare_names);
	return true;
}

struct top_service *top_sample_service(const struct top_sample *sample, const char *name)
{
	const struct top_service wanted = {.name = (char *)name}, *key = &wanted;
	struct top_service **found = bsearch(&key, sample->by_name, sample->n_services,
		sizeof(struct top_service *), compare_names);

	return found ? *found : NULL;
}

/* ------------------------------------------------------------------ connections */

static bool read_connection(struct json_value line, struct top_connection *connection)
{
	*connection = (struct top_connection){
		.id = get_count(line, "connection"),
		.pid = get_number(line, "pid"),
		.age = get_count(line, "age_usec"),
		.service = get_text(line, "service"),
		.peer = get_text(line, "peer"),
		.local = get_text(line, "local"),
		.user = get_text(line, "user"),
		.state = get_text(line, "state"),
		.name = get_text(line, "peer_name"),
		.worker = get_text(line, "worker"),
		.proxy = get_text(line, "proxy"),
		.reached = get_text(line, "reached"),
		.use = unknown_use(),
	};
	return connection->service && connection->peer && connection->local &&
	       connection->user && connection->state && connection->name &&
	       connection->worker && connection->proxy && connection->reached;
}

static int compare_ids(const void *a, const void *b)
{
	const struct top_connection *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static bool read_connections(struct top_sample *sample, const struct answer *answer)
{
	size_t n = answer->n_lines;

	sample->connections = calloc(n ? n : 1, sizeof *sample->connections);
	if (!sample->connections)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!read_connection(
			    answer->lines[i], &sample->connections[sample->n_connections++]))
			return false;
	qsort(sample->connections, n, sizeof *sample->connections, compare_ids);
	return true;
}

struct top_connection *top_sample_connection(const struct top_sample *sample, uint64_t id)
{
	const struct top_connection wanted = {.id = id};

	return bsearch(&wanted, sample->connections, sample->n_connections, sizeof wanted,
		compare_ids);
}

/* ---------------------------------------------------------------- hatchd itself */

static char *describe_reload(struct json_value reload)
{
	_cleanup_free_ char *last = get_text(reload, "last"), *why = get_text(reload, "reason");
	char elapsed[TEXT_NUMBER_MAX], *text;
	int n;

	if (!last || !why)
		return NULL;
	if (!*last)
		return strdup("none yet");
	text_format_elapsed(get_count(reload, "ago_usec"), elapsed);
	n = asprintf(&text, "%s %s ago%s%s", last, elapsed, *why ? ": " : "", why);
	return n < 0 ? NULL : text;
}

static bool has_failed(struct json_value reload)
{
	_cleanup_free_ char *last = get_text(reload, "last");

	return last && strcmp(last, "failed") == 0;
}

static size_t count_items(struct json_value list)
{
	struct json_value item = {NULL, NULL};
	size_t n = 0;

	while (json_next(list, &item, NULL))
		n++;
	return n;
}

static bool read_reasons(struct top_sample *sample, struct json_value refused)
{
	struct json_value item = {NULL, NULL}, key;
	size_t n = count_items(refused);

	sample->reasons = calloc(n ? n : 1, sizeof *sample->reasons);
	if (!sample->reasons)
		return false;
	while (json_next(refused, &item, &key)) {
		struct top_reason *reason = &sample->reasons[sample->n_reasons++];
		_cleanup_free_ char *word = json_to_string(key);

		reason->word = copy_escaped(word ? word : "");
		reason->n = json_to_number(item);
		reason->rate = -1;
		if (!reason->word)
			return false;
		sample->refused += reason->n;
	}
	return true;
}

static bool read_status(struct top_sample *sample, struct json_value line)
{
	struct json_value reload = json_get(line, "reload");

	sample->version = get_text(line, "hatchd");
	sample->state = get_text(line, "state");
	sample->reload = describe_reload(reload);
	sample->reload_failed = has_failed(reload);
	sample->pid = get_count(line, "pid");
	sample->up = get_count(line, "up_usec");
	sample->came = get_count(line, "connections");
	sample->children = get_count(line, "children");
	sample->limit = get_count(line, "total_instances");
	sample->accepts = sample->refusals = sample->load = -1;
	if (!sample->version || !sample->state || !sample->reload)
		return false;
	return read_reasons(sample, json_get(line, "refused"));
}

struct top_sample *top_sample_new(const struct answer *status, const struct answer *services,
	const struct answer *connections)
{
	const struct json_value none = {NULL, NULL};
	struct top_sample *sample = calloc(1, sizeof *sample);

	if (!sample)
		return NULL;
	if (!read_status(sample, status->n_lines > 0 ? status->lines[0] : none) ||
		!read_services(sample, services) || !read_connections(sample, connections))
		return top_sample_free(sample);
	sample->hatchd = connections->pid;
	return sample;
}

/* ------------------------------------------------------------------- the end of it */

static void free_connection(struct top_connection *connection)
{
	free(connection->service);
	free(connection->peer);
	free(connection->local);
	free(connection->user);
	free(connection->state);
	free(connection->name);
	free(connection->worker);
	free(connection->proxy);
	free(connection->reached);
}

static void free_service(struct top_service *service)
{
	free(service->name);
	free(service->state);
	free(service->reason);
	free(service->addresses);
}

struct top_sample *top_sample_free(struct top_sample *sample)
{
	if (!sample)
		return NULL;
	for (size_t i = 0; i < sample->n_connections; i++)
		free_connection(&sample->connections[i]);
	for (size_t i = 0; i < sample->n_services; i++)
		free_service(&sample->services[i]);
	for (size_t i = 0; i < sample->n_reasons; i++)
		free(sample->reasons[i].word);
	free(sample->connections);
	free(sample->services);
	free(sample->reasons);
	free(sample->by_name);
	free(sample->version);
	free(sample->state);
	free(sample->reload);
	free(sample);
	return NULL;
}
