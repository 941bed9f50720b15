#include "conf/format.h"

#include "base/clock.h"
#include "base/text.h"
#include "conf/rate.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static const char *format_limit(unsigned flags, uint64_t value, char buf[TEXT_NUMBER_MAX])
{
	if (value == RLIMIT_CONF_INFINITY)
		return memcpy(buf, "unlimited", sizeof "unlimited");
	if (flags & OPTION_BYTES)
		return text_format_size(value, buf);
	if (flags & OPTION_USECS)
		return text_format_duration(value, buf);
	/* More seconds than fit in microseconds stay a bare number. */
	if (flags & OPTION_SECONDS && value <= UINT64_MAX / USEC_PER_SEC)
		return text_format_duration(value * USEC_PER_SEC, buf);
	snprintf(buf, TEXT_NUMBER_MAX, "%" PRIu64, value);
	return buf;
}

static int add_rlimit(unsigned flags, const struct rlimit_conf *limit, char ***values)
{
	char soft[TEXT_NUMBER_MAX], hard[TEXT_NUMBER_MAX];

	format_limit(flags, limit->soft, soft);
	if (limit->soft == limit->hard)
		return strv_add(values, soft);
	return strv_addf(values, "%s:%s", soft, format_limit(flags, limit->hard, hard));
}

/* The word for a number, where there is one. */
static int add_bits(const struct conf_option *option, uint32_t bits, char ***values)
{
	for (size_t i = 0; option->words && option->words[i]; i++) {
		if (option->numbers[i] == bits)
			return strv_add(values, option->words[i]);
	}
	return strv_addf(values, "%#" PRIx32, bits);
}

static bool holds_word(const struct conf_option *option, uint32_t set, size_t i)
{
	uint32_t bits = option->numbers ? option->numbers[i] : UINT32_C(1) << i;

	return bits != 0 && (set & bits) == bits;
}

/* One word for all of it, where there is one, or else a word for each. */
static int add_set(const struct conf_option *option, uint32_t set, char ***values)
{
	for (size_t i = 0; option->numbers && option->words[i]; i++) {
		if (option->numbers[i] == set)
			return strv_add(values, option->words[i]);
	}
	for (size_t i = 0; option->words[i]; i++) {
		int r = holds_word(option, set, i) ? strv_add(values, option->words[i]) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_count(uint32_t count, char ***values)
{
	if (count == COUNT_UNLIMITED)
		return strv_add(values, "unlimited");
	return strv_addf(values, "%" PRIu32, count);
}

/* 2, 2.5 or 2.25. */
static int add_load(uint32_t load, char ***values)
{
	uint32_t whole = load / 100, rest = load % 100;

	if (load == COUNT_UNLIMITED)
		return strv_add(values, "unlimited");
	if (rest % 10)
		return strv_addf(values, "%" PRIu32 ".%02" PRIu32, whole, rest);
	if (rest)
		return strv_addf(values, "%" PRIu32 ".%" PRIu32, whole, rest / 10);
	return strv_addf(values, "%" PRIu32, whole);
}

static int add_duration(uint64_t duration, char ***values)
{
	char buf[TEXT_NUMBER_MAX];

	if (duration == DURATION_UNLIMITED)
		return strv_add(values, "unlimited");
	return strv_add(values, text_format_duration(duration, buf));
}

static int add_values(const struct conf_option *option, const void *field, char ***values)
{
	char buf[TEXT_NUMBER_MAX], rate[RATE_TEXT_MAX];

	switch (option->type) {
	case OPTION_BOOL:
		return strv_add(values, *(const bool *)field ? "yes" : "no");
	case OPTION_TRISTATE:
		return strv_add(values, *(const int8_t *)field ? "yes" : "no");
	case OPTION_U32:
		return strv_addf(values, "%" PRIu32, *(const uint32_t *)field);
	case OPTION_BITS:
		return add_bits(option, *(const uint32_t *)field, values);
	case OPTION_COUNT:
		return add_count(*(const uint32_t *)field, values);
	case OPTION_I32:
		return strv_addf(values, "%" PRId32, *(const int32_t *)field);
	case OPTION_MODE:
		return strv_addf(values, "0%03" PRIo32, *(const uint32_t *)field);
	case OPTION_SIZE:
		return strv_add(values, text_format_size(*(const uint64_t *)field, buf));
	case OPTION_DURATION:
		return add_duration(*(const uint64_t *)field, values);
	case OPTION_RATE:
		return strv_add(values, rate_format(field, rate));
	case OPTION_PENALTY:
		return strv_add(values, rate_format_penalty(*(const uint64_t *)field, rate));
	case OPTION_LOAD:
		return add_load(*(const uint32_t *)field, values);
	case OPTION_ENUM:
		return strv_add(values, option->words[*(const int *)field]);
	case OPTION_SET:
		return add_set(option, *(const uint32_t *)field, values);
	case OPTION_RLIMIT:
		return add_rlimit(option->flags, field, values);
	case OPTION_STRING:
	case OPTION_PATH:
		return strv_add(values, *(char *const *)field);
	case OPTION_LIST:
		return strv_extend(values, *(char **const *)field);
	}
	assert(false); /* no such type */
	return 0;
}

int format_option(const struct conf_option *option, const void *base, char ***ret)
{
	_cleanup_strv_ char **values = NULL;
	int r;

	r = add_values(option, conf_option_field(option, base), &values);
	if (r < 0)
		return r;
	*ret = take_ptr(values);
	return 0;
}
