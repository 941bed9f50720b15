#include "conf/merge.h"

#include "conf/convert.h"
#include "conf/environ.h"

#include <assert.h>
#include <string.h>

const struct origin *service_conf_origin(const struct service_conf *service, const char *option)
{
	const struct conf_option *o = conf_option_find(option);

	if (!o || !service->origins || !service_conf_given(service, o))
		return &service->origin;
	return service_conf_given_at(service, o);
}

const char *merge_label(const struct conf_option *option, const struct origin *origin,
	char buf[OPTION_FLAG_MAX + 2])
{
	if (origin->line > 0)
		return option->name;

	memcpy(buf, "--", 2);
	conf_option_flag(option, buf + 2);
	return buf;
}

/* Judge what the type of the option alone cannot: each element of a list.
 * True if all are right. */
static bool check_elements(const struct raw_assign *assign, struct report *report)
{
	const char *name = assign->option->name, *why;
	char label[OPTION_FLAG_MAX + 2];
	bool right = true;

	for (size_t i = 0; i < assign->n_values; i++) {
		const struct raw_value *value = &assign->values[i];

		why = NULL;
		if (strcmp(name, "env") == 0)
			why = environ_check_assignment(value->text);
		else if (strcmp(name, "pass_env") == 0)
			why = environ_check_name(value->text);
		if (why)
			report_mistake(report, &value->origin, "%s: %s",
				merge_label(assign->option, &value->origin, label), why);
		right = right && !why;
	}
	return right;
}

/* 0, -EINVAL after a mistake, or -ENOMEM. */
static int merge_assign(const struct raw_assign *assign, void *base, struct report *report)
{
	const struct origin *origin = &assign->origin;
	char label[OPTION_FLAG_MAX + 2];
	struct convert_fault fault;
	int r;

	if (assign->mistaken)
		return -EINVAL;
	r = convert_assign(assign, base, &fault);
	if (r == -ENOMEM)
		return r;
	if (r == 0)
		return check_elements(assign, report) ? 0 : -EINVAL;
	if (fault.value < assign->n_values)
		origin = &assign->values[fault.value].origin;
	report_mistake(report, origin, "%s: %s", merge_label(assign->option, origin, label),
		fault.why);
	return -EINVAL;
}

/* What is said of an element later is said where it stands.  `n_old` elements were
 * there before.  0 or -ENOMEM. */
static int merge_elements_at(
	const struct raw_assign *assign, size_t n_old, struct service_conf *service)
{
	struct origin **at = service_conf_elements_at(service, assign->option), *larger;
	size_t n = assign->append ? n_old : 0;

	if (!at)
		return 0;
	larger = reallocarray(*at, n + assign->n_values + 1, sizeof *larger);
	if (!larger)
		return -ENOMEM;
	for (size_t i = 0; i < assign->n_values; i++)
		larger[n + i] = assign->values[i].origin;
	*at = larger;
	return 0;
}

static size_t count_elements(
	const struct conf_option *option, const struct service_conf *service)
{
	if (option->type != OPTION_LIST)
		return 0;
	return strv_length(*(char **const *)conf_option_field(option, service));
}

/* Of a single value, since that is what later checks will speak of. */
static const struct origin *assign_origin(const struct raw_assign *assign)
{
	return assign->n_values == 1 ? &assign->values[0].origin : &assign->origin;
}

static int merge_section(
	const struct raw_section *section, struct report *report, struct service_conf *service)
{
	service->unknown |= section->unknown;
	for (size_t i = 0; i < section->n_assigns; i++) {
		const struct raw_assign *assign = &section->assigns[i];
		const struct conf_option *option = assign->option;
		size_t n_old = count_elements(option, service);
		int r = merge_assign(assign, service, report);

		if (r == -ENOMEM)
			return r;
		if (r == 0 && merge_elements_at(assign, n_old, service) < 0)
			return -ENOMEM;
		/* What is added to a mistake leaves it one. */
		service_conf_set_mistaken(service, option,
			r < 0 || (assign->append && service_conf_mistaken(service, option)));
		r = service_conf_set_given(service, option, assign_origin(assign));
		if (r < 0)
			return r;
	}
	return 0;
}

static size_t field_size(enum option_type type)
{
	switch (type) {
	case OPTION_BOOL:
		return sizeof(bool);
	case OPTION_TRISTATE:
		return sizeof(int8_t);
	case OPTION_U32:
	case OPTION_BITS:
	case OPTION_COUNT:
	case OPTION_I32:
	case OPTION_MODE:
	case OPTION_SET:
	case OPTION_LOAD:
		return sizeof(uint32_t);
	case OPTION_ENUM:
		return sizeof(int);
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_PENALTY:
		return sizeof(uint64_t);
	case OPTION_RATE:
		return sizeof(struct limit);
	case OPTION_RLIMIT:
		return sizeof(struct rlimit_conf);
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_LIST:
		break;
	}
	return 0; /* owns memory */
}

static int copy_elements_at(const struct conf_option *option, const struct service_conf *from,
	struct service_conf *to)
{
	struct origin **at = service_conf_elements_at(to, option), *copy;
	size_t n = count_elements(option, from);

	if (!at || n == 0)
		return 0;
	copy = calloc(n, sizeof *copy);
	if (!copy)
		return -ENOMEM;
	/* Nothing is asked of what is const here but where it is. */
	memcpy(copy, *service_conf_elements_at((struct service_conf *)from, option),
		n * sizeof *copy);
	*at = copy;
	return 0;
}

static int copy_option(const struct conf_option *option, const struct service_conf *from,
	struct service_conf *to)
{
	const void *source = conf_option_field(option, from);
	void *target = conf_option_field(option, to);
	size_t size = field_size(option->type);
	const char *text;

	if (size > 0) {
		memcpy(target, source, size);
		return 0;
	}
	if (option->type == OPTION_LIST) {
		int r = strv_copy(*(char **const *)source, target);

		return r < 0 ? r : copy_elements_at(option, from, to);
	}

	text = *(char *const *)source;
	if (!text)
		return 0;
	*(char **)target = strdup(text);
	return *(char **)target ? 0 : -ENOMEM;
}

static int copy_options(const struct service_conf *from, struct service_conf *to)
{
	int r;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (o->flags & (OPTION_GLOBAL | OPTION_NO_DEFAULTS))
			continue;
		r = copy_option(o, from, to);
		if (r < 0)
			return r;
	}
	memcpy(to->mistaken, from->mistaken, sizeof to->mistaken);
	to->unknown = from->unknown;
	return service_conf_copy_given(from, to);
}

int merge_defaults(
	const struct raw_section *defaults, struct report *report, struct service_conf **ret)
{
	_cleanup_service_conf_ struct service_conf *service = service_conf_new("defaults");
	int r;

	if (!service)
		return -ENOMEM;

	r = convert_fallbacks(service);
	if (r < 0)
		return r;
	if (defaults) {
		r = merge_section(defaults, report, service);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(service);
	return 0;
}

int merge_service(const struct service_conf *defaults, const struct raw_section *section,
	struct report *report, struct service_conf **ret)
{
	_cleanup_service_conf_ struct service_conf *service = service_conf_new(section->title);
	int r;

	if (!service)
		return -ENOMEM;

	service->origin = section->origin;
	r = copy_options(defaults, service);
	if (r < 0)
		return r;
	r = merge_section(section, report, service);
	if (r < 0)
		return r;
	*ret = take_ptr(service);
	return 0;
}

int merge_globals(const struct raw_section *section, struct report *report, struct conf *conf)
{
	for (size_t i = 0; i < section->n_assigns; i++) {
		const struct raw_assign *assign = &section->assigns[i];
		struct origin *given_at = conf_option_given_at(assign->option, conf);

		assert(assign->option->flags & OPTION_GLOBAL);
		if (merge_assign(assign, conf, report) == -ENOMEM)
			return -ENOMEM;
		*given_at = assign->origin;
	}
	return 0;
}
