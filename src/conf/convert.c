#include "conf/convert.h"

#include "base/clock.h"
#include "base/text.h"
#include "conf/rate.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

/* The text being converted and room to say what is wrong with it. */
struct input {
	const struct conf_option *option;
	const char *text;
	struct convert_fault *fault;
};

/* "'TEXT' <what>"; always -EINVAL. */
static int bad(const struct input *in, const char *format, ...) _printf_(2, 3);
static int bad(const struct input *in, const char *format, ...)
{
	char shown[DIAG_SHOWN_MAX];
	size_t size = sizeof in->fault->why;
	va_list ap;
	int n;

	diag_shown(in->text, strlen(in->text), shown);
	n = snprintf(in->fault->why, size, "'%s' ", shown);
	va_start(ap, format);
	vsnprintf(in->fault->why + n, size - (size_t)n, format, ap);
	va_end(ap);
	return -EINVAL;
}

/* A range of the table as people write it. */
static void format_bound(
	const struct conf_option *option, int64_t bound, char buf[TEXT_NUMBER_MAX])
{
	if (option->type == OPTION_SIZE)
		text_format_size((uint64_t)bound, buf);
	else if (option->type == OPTION_LOAD)
		snprintf(buf, TEXT_NUMBER_MAX, "%lld", (long long)bound / 100);
	else if (option->type == OPTION_DURATION)
		text_format_duration((uint64_t)bound, buf);
	else if (option->type == OPTION_MODE)
		snprintf(buf, TEXT_NUMBER_MAX, "%#llo", (unsigned long long)bound);
	else
		snprintf(buf, TEXT_NUMBER_MAX, "%lld", (long long)bound);
}

static int out_of_range(const struct input *in)
{
	char min[TEXT_NUMBER_MAX], max[TEXT_NUMBER_MAX];

	if (in->option->min == 0 && in->option->max == 0)
		return bad(in, in->text[0] == '-' ? "is below 0" : "is too large");

	format_bound(in->option, in->option->min, min);
	format_bound(in->option, in->option->max, max);
	return bad(in, "is outside the range from %s to %s", min, max);
}

/* A whole number, but one that no count can be. */
static bool is_negative(const char *text)
{
	return text[0] == '-' && text[1] && text[1 + strspn(text + 1, "0123456789")] == '\0';
}

static bool in_range(const struct conf_option *option, uint64_t value)
{
	if (option->min == 0 && option->max == 0)
		return true;
	return value >= (uint64_t)option->min && value <= (uint64_t)option->max;
}

static int convert_bool(const struct input *in, bool *ret)
{
	if (text_parse_bool(in->text, ret) < 0)
		return bad(in, "is neither yes nor no");
	return 0;
}

static int convert_u32(const struct input *in, uint32_t *ret)
{
	uint32_t value;
	int r;

	r = text_parse_u32(in->text, &value);
	if (r == -EINVAL && is_negative(in->text))
		return out_of_range(in);
	if (r == -EINVAL)
		return bad(in, "is not a whole number");
	if (r < 0 || !in_range(in->option, value))
		return out_of_range(in);
	*ret = value;
	return 0;
}

/* "one of a, b or c" */
static void list_words(const char *const *words, char buf[128])
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; words[i] && used < 128; i++) {
		const char *join = i == 0 ? "" : words[i + 1] ? ", " : " or ";

		used += (size_t)snprintf(buf + used, 128 - used, "%s%s", join, words[i]);
	}
}

static int bad_bits(const struct input *in)
{
	const char *const *words = in->option->words;
	const char *near = words ? text_nearest(in->text, words) : NULL;
	char all[128];

	if (!words)
		return bad(in, "is not a whole number, decimal or as in 0x10");
	list_words(words, all);
	if (near)
		return bad(in, "is neither a number nor %s; did you mean '%s'?", all, near);
	return bad(in, "is neither a number nor %s", all);
}

static int convert_bits(const struct input *in, uint32_t *ret)
{
	const struct conf_option *option = in->option;
	uint32_t value;
	int r;

	for (size_t i = 0; option->words && option->words[i]; i++) {
		if (strcmp(option->words[i], in->text) == 0) {
			*ret = option->numbers[i];
			return 0;
		}
	}
	r = text_parse_bits(in->text, &value);
	if (r == -EINVAL && is_negative(in->text))
		return out_of_range(in);
	if (r == -EINVAL)
		return bad_bits(in);
	if (r < 0 || !in_range(option, value))
		return out_of_range(in);
	*ret = value;
	return 0;
}

/* What others write where there is no limit. */
static bool means_unlimited(const char *text)
{
	static const char *const words[] = {
		"unlimited", "infinity", "infinite", "forever", "never"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

/* 1: there is no limit; 0: there is one; -EINVAL for a word that nearly says so. */
static int read_unlimited(const struct input *in)
{
	if (strcmp(in->text, "unlimited") == 0)
		return 1;
	if (means_unlimited(in->text))
		return bad(in, "is not known; did you mean 'unlimited'?");
	return 0;
}

static int convert_count(const struct input *in, uint32_t *ret)
{
	uint32_t value;
	int r = read_unlimited(in);

	if (r != 0) {
		*ret = COUNT_UNLIMITED;
		return r < 0 ? r : 0;
	}
	r = text_parse_u32(in->text, &value);
	if (r == -EINVAL && is_negative(in->text))
		return out_of_range(in);
	if (r == -EINVAL)
		return bad(in, "is neither a whole number nor 'unlimited'");
	if (r < 0 || value == COUNT_UNLIMITED)
		return bad(in, "is too large; write 'unlimited' for no limit");
	if (!in_range(in->option, value))
		return out_of_range(in);
	*ret = value;
	return 0;
}

static int convert_i32(const struct input *in, int32_t *ret)
{
	int32_t value;
	int r;

	r = text_parse_i32(in->text, &value);
	if (r == -EINVAL)
		return bad(in, "is not a whole number");
	if (r < 0 || value < in->option->min || value > in->option->max)
		return out_of_range(in);
	*ret = value;
	return 0;
}

static int convert_mode(const struct input *in, uint32_t *ret)
{
	uint32_t value;
	int r;

	r = text_parse_mode(in->text, &value);
	if (r == -EINVAL)
		return bad(in, "is not an octal mode such as 0640");
	if (r < 0 || !in_range(in->option, value))
		return out_of_range(in);
	*ret = value;
	return 0;
}

static int convert_size(const struct input *in, uint64_t *ret)
{
	uint64_t value;
	int r;

	r = text_parse_size(in->text, &value);
	if (r == -EINVAL)
		return bad(in, "is not a size such as 4096, 64K or 1M");
	if (r < 0 || !in_range(in->option, value))
		return out_of_range(in);
	*ret = value;
	return 0;
}

static int bad_duration(const struct input *in)
{
	size_t digits = strspn(in->text, "0123456789");
	char max[TEXT_NUMBER_MAX];

	if (digits > 0 && strcmp(in->text + digits, "m") == 0)
		return bad(in, "has a unit that is not known; did you mean '%.*smin'?",
			(int)digits, in->text);
	if (in->option->flags & OPTION_ENDLESS)
		return bad(in, "is neither a time such as 10s, 500ms or 5min nor 'unlimited'");
	if (in->option->max == 0 || !means_unlimited(in->text))
		return bad(in, "is not a time such as 10s, 500ms or 5min");
	format_bound(in->option, in->option->max, max);
	return bad(in, "is not a time such as 10s, 500ms or 5min; the longest is %s", max);
}

static int convert_duration(const struct input *in, uint64_t *ret)
{
	uint64_t value;
	int r = in->option->flags & OPTION_ENDLESS ? read_unlimited(in) : 0;

	if (r != 0) {
		*ret = DURATION_UNLIMITED;
		return r < 0 ? r : 0;
	}
	r = text_parse_duration(in->text, &value);
	if (r == -EINVAL)
		return bad_duration(in);
	if (r < 0 || !in_range(in->option, value))
		return out_of_range(in);
	if (in->option->flags & OPTION_SECONDS && value % USEC_PER_SEC)
		return bad(in, "is not in whole seconds");
	*ret = value;
	return 0;
}

static int convert_rate(const struct input *in, struct limit *ret)
{
	const char *why;
	int r = read_unlimited(in);

	if (r < 0)
		return r;
	r = rate_parse(in->text, ret, &why);
	return r < 0 ? bad(in, "%s", why) : 0;
}

static int convert_penalty(const struct input *in, uint64_t *ret)
{
	const char *why;
	int r = rate_parse_penalty(in->text, ret, &why);

	return r < 0 ? bad(in, "%s", why) : 0;
}

/* "2", "2.5" or "2.25". */
static int parse_load(const char *text, uint32_t *ret)
{
	size_t whole = strspn(text, "0123456789"), rest;
	uint32_t value = 0;

	if (whole == 0 || (text[whole] != '\0' && text[whole] != '.'))
		return -EINVAL;
	rest = text[whole] ? strspn(text + whole + 1, "0123456789") : 0;
	if (text[whole] && (rest < 1 || rest > 2 || text[whole + 1 + rest] != '\0'))
		return -EINVAL;
	/* So many digits are more than any range has. */
	if (whole > 7)
		return -ERANGE;
	for (size_t i = 0; i < whole; i++)
		value = value * 10 + (uint32_t)(text[i] - '0') * 100;
	for (size_t i = 0, unit = 10; i < rest; i++, unit = 1)
		value += (uint32_t)(text[whole + 1 + i] - '0') * (uint32_t)unit;
	*ret = value;
	return 0;
}

static int convert_load(const struct input *in, uint32_t *ret)
{
	uint32_t value;
	int r = read_unlimited(in);

	if (r != 0) {
		*ret = COUNT_UNLIMITED;
		return r < 0 ? r : 0;
	}
	r = parse_load(in->text, &value);
	if (r == -EINVAL)
		return bad(in, "is neither a load such as 4 or 2.5 nor 'unlimited'");
	if (r < 0 || !in_range(in->option, value))
		return out_of_range(in);
	*ret = value;
	return 0;
}

/* "one of a, b or c", and the nearest if there is one. */
static int bad_word(const struct input *in)
{
	const char *const *words = in->option->words;
	const char *near = text_nearest(in->text, words);
	char all[128];

	list_words(words, all);
	if (near)
		return bad(in, "is not %s; did you mean '%s'?", all, near);
	return bad(in, "is not %s", all);
}

static int convert_word(const struct input *in, int *ret)
{
	for (int i = 0; in->option->words[i]; i++) {
		if (strcmp(in->option->words[i], in->text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return bad_word(in);
}

/* One of the two sides of a resource limit.  The largest half of the numbers
 * is refused: the kernel's "no limit" is among them and has a word. */
static int convert_limit(const struct input *in, uint64_t *ret)
{
	unsigned flags = in->option->flags;
	uint64_t value;
	int r = read_unlimited(in);

	if (r != 0) {
		*ret = RLIMIT_CONF_INFINITY;
		return r < 0 ? r : 0;
	}
	if (flags & OPTION_BYTES)
		r = convert_size(in, &value);
	else if (flags & (OPTION_SECONDS | OPTION_USECS))
		r = convert_duration(in, &value);
	else if ((r = text_parse_u64(in->text, &value)) == -EINVAL)
		r = bad(in, "is neither a whole number nor 'unlimited'");
	if (r == -EINVAL)
		return r;
	if (r < 0 || value > INT64_MAX)
		return bad(in, "is too large; write 'unlimited' for no limit");
	if (flags & OPTION_SECONDS && value % USEC_PER_SEC)
		return bad(in, "is not in whole seconds");

	*ret = flags & OPTION_SECONDS ? value / USEC_PER_SEC : value;
	return 0;
}

static int convert_rlimit(const struct input *in, struct rlimit_conf *ret)
{
	struct rlimit_conf limit = {.given = true};
	_cleanup_free_ char *soft = NULL;
	const char *colon = strchr(in->text, ':');
	struct input part = *in;
	int r;

	if (colon) {
		part.text = soft = strndup(in->text, (size_t)(colon - in->text));
		if (!soft)
			return -ENOMEM;
	}
	r = convert_limit(&part, &limit.soft);
	if (r < 0)
		return r;

	limit.hard = limit.soft;
	if (colon) {
		part.text = colon + 1;
		r = convert_limit(&part, &limit.hard);
		if (r < 0)
			return r;
	}
	if (limit.soft > limit.hard)
		return bad(in, "has a soft limit above the hard one; it is SOFT:HARD");
	*ret = limit;
	return 0;
}

static int convert_string(const struct input *in, char **ret)
{
	char *copy;

	if (in->option->type == OPTION_PATH && in->text[0] != '/')
		return bad(in, "is not an absolute path; it must begin with /");
	if (in->text[0] == '\0')
		return bad(in, "is empty");

	copy = strdup(in->text);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

/* What one word of a set stands for. */
static int convert_set_word(const struct input *in, uint32_t *ret)
{
	const uint32_t *numbers = in->option->numbers;
	int at = 0, r = convert_word(in, &at);

	if (r == 0)
		*ret = numbers ? numbers[at] : UINT32_C(1) << at;
	return r;
}

static int convert_scalar(const struct input *in, void *field)
{
	bool yes;
	int r;

	switch (in->option->type) {
	case OPTION_BOOL:
		return convert_bool(in, field);
	case OPTION_TRISTATE:
		r = convert_bool(in, &yes);
		if (r == 0)
			*(int8_t *)field = yes;
		return r;
	case OPTION_U32:
		return convert_u32(in, field);
	case OPTION_BITS:
		return convert_bits(in, field);
	case OPTION_COUNT:
		return convert_count(in, field);
	case OPTION_I32:
		return convert_i32(in, field);
	case OPTION_MODE:
		return convert_mode(in, field);
	case OPTION_SIZE:
		return convert_size(in, field);
	case OPTION_DURATION:
		return convert_duration(in, field);
	case OPTION_RATE:
		return convert_rate(in, field);
	case OPTION_PENALTY:
		return convert_penalty(in, field);
	case OPTION_LOAD:
		return convert_load(in, field);
	case OPTION_ENUM:
		return convert_word(in, field);
	case OPTION_RLIMIT:
		return convert_rlimit(in, field);
	case OPTION_STRING:
	case OPTION_PATH:
		return convert_string(in, field);
	case OPTION_SET:
		return convert_set_word(in, field);
	case OPTION_LIST:
		break;
	}
	assert(false); /* a list is no scalar */
	return -EINVAL;
}

static int convert_set(
	const struct raw_assign *assign, uint32_t *field, struct convert_fault *reterr)
{
	uint32_t set = assign->append ? *field : 0;

	for (size_t i = 0; i < assign->n_values; i++) {
		struct input in = {assign->option, assign->values[i].text, reterr};
		uint32_t bits = 0;
		int r;

		reterr->value = i;
		r = convert_set_word(&in, &bits);
		if (r < 0)
			return r;
		if (bits == 0 && (assign->append || assign->n_values > 1))
			return bad(&in, "stands alone, behind =");
		set |= bits;
	}
	*field = set;
	return 0;
}

/* In one allocation: lists may have as many elements as a file has room for. */
static int convert_list(const struct raw_assign *assign, char ***field)
{
	size_t n_old = assign->append ? strv_length(*field) : 0, n = 0;
	_cleanup_strv_ char **list = calloc(n_old + assign->n_values + 1, sizeof *list);

	if (!list)
		return -ENOMEM;

	for (size_t i = 0; i < n_old; i++) {
		list[n] = strdup((*field)[i]);
		if (!list[n++])
			return -ENOMEM;
	}
	for (size_t i = 0; i < assign->n_values; i++) {
		list[n] = strdup(assign->values[i].text);
		if (!list[n++])
			return -ENOMEM;
	}
	strv_free(*field);
	*field = take_ptr(list);
	return 0;
}

int convert_assign(const struct raw_assign *assign, void *base, struct convert_fault *reterr)
{
	const struct conf_option *option = assign->option;
	void *field = conf_option_field(option, base);
	struct input in = {.option = option, .fault = reterr};

	reterr->value = assign->n_values;
	if (option->type == OPTION_SET)
		return convert_set(assign, field, reterr);
	if (option->type == OPTION_LIST)
		return convert_list(assign, field);

	if (assign->append || assign->n_values != 1) {
		snprintf(reterr->why, sizeof reterr->why, "%s",
			assign->append ? "+= is for lists; write ="
				       : "takes exactly one value");
		return -EINVAL;
	}
	reterr->value = 0;
	in.text = assign->values[0].text;
	return convert_scalar(&in, field);
}

int convert_fallbacks(struct service_conf *service)
{
	struct convert_fault fault;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		struct input in = {o, o->fallback, &fault};
		int r;

		if (!o->fallback || o->flags & OPTION_GLOBAL)
			continue;
		r = convert_scalar(&in, conf_option_field(o, service));
		if (r < 0) {
			assert(r == -ENOMEM);
			return r;
		}
	}
	return 0;
}
