#include "hatchctl/steer/drain-set.h"

#include "hatchctl/steer/connections-of.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void drain_set_init(struct drain_set *set, const char *path)
{
	*set = (struct drain_set){.path = path};
}

void drain_set_done(struct drain_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->services[i].name);
	free(set->services);
}

/* ------------------------------------------------------------------------ choosing */

static uint64_t count_left(struct json_value service)
{
	return json_to_number(json_get(service, "children")) +
	       json_to_number(json_get(service, "pending"));
}

static bool is_state(struct json_value service, const char *wanted)
{
	_cleanup_free_ char *state = json_to_string(json_get(service, "state"));

	return state && strcmp(state, wanted) == 0;
}

static bool is_called(struct json_value service, const char *wanted)
{
	_cleanup_free_ char *name = json_to_string(json_get(service, "service"));

	return name && strcmp(name, wanted) == 0;
}

static int add(struct drain_set *set, struct json_value service)
{
	struct drained *services = set->services;
	size_t room = set->room ? 2 * set->room : 16;
	char *name;

	if (set->n == set->room) {
		services = reallocarray(services, room, sizeof *services);
		if (!services)
			return -ENOMEM;
		set->services = services;
		set->room = room;
	}
	name = json_to_string(json_get(service, "service"));
	if (!name)
		return -ENOMEM;
	services[set->n++] = (struct drained){.name = name, .left = count_left(service)};
	return 0;
}

/* Those that serve nobody now need not be disabled, but may have clients of before. */
static bool is_worth_it(struct json_value service)
{
	return count_left(service) > 0 ||
	       !(is_state(service, "waiting") || is_state(service, "disabled") ||
		       is_state(service, "stopped"));
}

static int choose_all(struct drain_set *set, const struct answer *answer)
{
	int r = 0;

	for (size_t i = 0; i < answer->n_lines && r == 0; i++)
		if (is_worth_it(answer->lines[i]))
			r = add(set, answer->lines[i]);
	return r;
}

static int choose(struct drain_set *set, const struct answer *answer, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->services[i].name, name) == 0)
			return 0;
	for (size_t i = 0; i < answer->n_lines; i++)
		if (is_called(answer->lines[i], name))
			return add(set, answer->lines[i]);
	snprintf(set->why, sizeof set->why, "%s: no such service", name);
	return -ESRCH;
}

int drain_set_choose(struct drain_set *set, char **names)
{
	_cleanup_answer_ struct answer answer = {0};
	int r = request_try(set->path, "list", &answer, set->why);

	if (r < 0)
		return r;
	if (!*names)
		r = choose_all(set, &answer);
	for (; *names && r == 0; names++)
		r = choose(set, &answer, *names);
	if (r == -ENOMEM)
		snprintf(set->why, sizeof set->why, "%s", strerror(ENOMEM));
	return r;
}

/* ---------------------------------------------------------------- changing, looking */

int drain_set_disable(struct drain_set *set)
{
	char words[REQUEST_LINE_MAX];

	for (size_t i = 0; i < set->n; i++) {
		struct drained *service = &set->services[i];
		int r;

		snprintf(words, sizeof words, "disable %s", service->name);
		r = request_try(set->path, words, NULL, set->why);
		/* One that serves nobody now has nobody to be kept out. */
		if (r < 0 && (r != -EREMOTEIO || strcmp(set->why, "it serves nobody now") != 0))
			return r;
		service->disabled = r == 0;
	}
	return 0;
}

/* Something was done to it that is not for us to undo. */
static int lose(struct drain_set *set, struct drained *service, const char *how)
{
	service->disabled = false;
	snprintf(set->why, sizeof set->why, "%s: %s", service->name, how);
	return -ESTALE;
}

static int update(struct drain_set *set, struct drained *service, const struct answer *answer)
{
	for (size_t i = 0; i < answer->n_lines; i++) {
		struct json_value line = answer->lines[i];

		if (!is_called(line, service->name))
			continue;
		service->left = count_left(line);
		if (!service->disabled || is_state(line, "disabled"))
			return 0;
		return lose(set, service, "a reload or somebody else has enabled it again");
	}
	return lose(set, service, "a reload has removed it");
}

/* The one that has clients left, if it is the only one. */
static struct drained *find_last(const struct drain_set *set)
{
	struct drained *last = NULL;

	for (size_t i = 0; i < set->n; i++) {
		if (set->services[i].left == 0)
			continue;
		if (last)
			return NULL;
		last = &set->services[i];
	}
	return last;
}

/* To ask for ten thousand services again and again, for the sake of one, is nothing that a
 * busy hatchd would thank for. */
int drain_set_look(struct drain_set *set)
{
	_cleanup_answer_ struct answer answer = {0};
	struct drained *last = find_last(set);
	int r;

	if (last)
		r = request_service(set->path, last->name, &answer, set->why);
	else
		r = request_try(set->path, "list", &answer, set->why);
	if (last && (r == 0 || r == -ESRCH))
		return update(set, last, &answer);
	for (size_t i = 0; i < set->n && r == 0; i++)
		r = update(set, &set->services[i], &answer);
	return r;
}

int drain_set_kill(struct drain_set *set)
{
	int r = 0;
	size_t n;

	for (size_t i = 0; i < set->n && r == 0; i++)
		if (set->services[i].left > 0)
			r = connections_kill(set->path, set->services[i].name, &n, set->why);
	return r;
}

/* ------------------------------------------------------------------------- telling */

uint64_t drain_set_left(const struct drain_set *set)
{
	uint64_t left = 0;

	for (size_t i = 0; i < set->n; i++)
		left += set->services[i].left;
	return left;
}

const char *drain_set_describe(const struct drain_set *set, char *buf, size_t size)
{
	uint64_t left = drain_set_left(set);
	const char *before = ": ";
	size_t len;

	len = (size_t)snprintf(buf, size, "%" PRIu64 " %s left", left,
		left == 1 ? "connection" : "connections");
	for (size_t i = 0; i < set->n && len < size; i++) {
		const struct drained *service = &set->services[i];

		if (service->left == 0)
			continue;
		len += (size_t)snprintf(buf + len, size - len, "%s%s %" PRIu64, before,
			service->name, service->left);
		before = ", ";
	}
	return buf;
}
