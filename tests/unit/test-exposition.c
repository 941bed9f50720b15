/* exposition: each format as it is defined, and no text that ends a label too early. */
#include "base/own.h"
#include "hatchctl/metrics/exposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct metric gauge = {"a_children", "How many.", NULL, METRIC_GAUGE};
static const struct metric counter = {"a_cpu_seconds", "How long.", "seconds", METRIC_COUNTER};
static const struct metric info = {"a_build", "What.", NULL, METRIC_INFO};
static const struct metric histogram = {
	"a_wait_seconds", "How long.", "seconds", METRIC_HISTOGRAM};

/* What becomes of it when `put` writes in that format. */
static void expect(
	enum exposition_format format, void (*put)(struct exposition *x), const char *text)
{
	_cleanup_free_ char *written = NULL;
	struct exposition x;
	size_t len;
	FILE *out = open_memstream(&written, &len);

	assert_non_null(out);
	exposition_init(&x, out, format);
	put(&x);
	exposition_end(&x);
	fclose(out);
	assert_string_equal(written, text);
}

static void put_all_types(struct exposition *x)
{
	const struct metric_labels labels = {{{"service", "up"}, {"result", "ok"}}, 2};
	const struct metric_labels version = {{{"version", "1"}}, 1};

	exposition_begin(x, &gauge);
	exposition_number(x, NULL, UINT64_MAX);
	exposition_begin(x, &counter);
	exposition_usec(x, &labels, 1500000);
	exposition_begin(x, &info);
	exposition_number(x, &version, 1);
}

static void test_formats(void **ctx)
{
	(void)ctx;
	expect(EXPOSITION_OPENMETRICS, put_all_types,
		"# TYPE a_children gauge\n"
		"# HELP a_children How many.\n"
		"a_children 18446744073709551615\n"
		"# TYPE a_cpu_seconds counter\n"
		"# UNIT a_cpu_seconds seconds\n"
		"# HELP a_cpu_seconds How long.\n"
		"a_cpu_seconds_total{service=\"up\",result=\"ok\"} 1.5\n"
		"# TYPE a_build info\n"
		"# HELP a_build What.\n"
		"a_build_info{version=\"1\"} 1\n"
		"# EOF\n");
	expect(EXPOSITION_PROMETHEUS, put_all_types,
		"# TYPE a_children gauge\n"
		"# HELP a_children How many.\n"
		"a_children 18446744073709551615\n"
		"# TYPE a_cpu_seconds_total counter\n"
		"# HELP a_cpu_seconds_total How long.\n"
		"a_cpu_seconds_total{service=\"up\",result=\"ok\"} 1.5\n"
		"# TYPE a_build_info gauge\n"
		"# HELP a_build_info What.\n"
		"a_build_info{version=\"1\"} 1\n");
}

static void put_histogram(struct exposition *x)
{
	static const uint64_t bounds[] = {500, 1000000}, counts[] = {2, 0, 1};
	const struct exposition_histogram h = {
		.bounds = bounds, .counts = counts, .n_bounds = 2, .sum = 2000001};
	const struct metric_labels labels = {{{"service", "up"}}, 1};

	exposition_begin(x, &histogram);
	exposition_histogram(x, &labels, &h);
	exposition_histogram(x, NULL, &h);
}

/* Each bucket has what is in those before it. */
static void test_histogram(void **ctx)
{
	(void)ctx;
	expect(EXPOSITION_PROMETHEUS, put_histogram,
		"# TYPE a_wait_seconds histogram\n"
		"# HELP a_wait_seconds How long.\n"
		"a_wait_seconds_bucket{service=\"up\",le=\"0.0005\"} 2\n"
		"a_wait_seconds_bucket{service=\"up\",le=\"1.0\"} 2\n"
		"a_wait_seconds_bucket{service=\"up\",le=\"+Inf\"} 3\n"
		"a_wait_seconds_sum{service=\"up\"} 2.000001\n"
		"a_wait_seconds_count{service=\"up\"} 3\n"
		"a_wait_seconds_bucket{le=\"0.0005\"} 2\n"
		"a_wait_seconds_bucket{le=\"1.0\"} 2\n"
		"a_wait_seconds_bucket{le=\"+Inf\"} 3\n"
		"a_wait_seconds_sum 2.000001\n"
		"a_wait_seconds_count 3\n");
}

static void put_seconds(struct exposition *x)
{
	static const uint64_t usecs[] = {0, 1, 10, 1000000, 100000000, 1230000};

	exposition_begin(x, &counter);
	for (size_t i = 0; i < ARRAY_SIZE(usecs); i++)
		exposition_usec(x, NULL, usecs[i]);
}

static void test_seconds(void **ctx)
{
	(void)ctx;
	expect(EXPOSITION_PROMETHEUS, put_seconds,
		"# TYPE a_cpu_seconds_total counter\n"
		"# HELP a_cpu_seconds_total How long.\n"
		"a_cpu_seconds_total 0.0\n"
		"a_cpu_seconds_total 0.000001\n"
		"a_cpu_seconds_total 0.00001\n"
		"a_cpu_seconds_total 1.0\n"
		"a_cpu_seconds_total 100.0\n"
		"a_cpu_seconds_total 1.23\n");
}

static void put_labels(struct exposition *x)
{
	static const char *const values[] = {
		"", "a\"b", "a\\", "a\nb 1\n", "\\n", "{},=#", "\xc3\xa4\x01"};

	exposition_begin(x, &gauge);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		const struct metric_labels labels = {{{"address", values[i]}}, 1};

		exposition_number(x, &labels, i);
	}
}

static void test_labels(void **ctx)
{
	(void)ctx;
	expect(EXPOSITION_PROMETHEUS, put_labels,
		"# TYPE a_children gauge\n"
		"# HELP a_children How many.\n"
		"a_children{address=\"\"} 0\n"
		"a_children{address=\"a\\\"b\"} 1\n"
		"a_children{address=\"a\\\\\"} 2\n"
		"a_children{address=\"a\\nb 1\\n\"} 3\n"
		"a_children{address=\"\\\\n\"} 4\n"
		"a_children{address=\"{},=#\"} 5\n"
		"a_children{address=\"\xc3\xa4\x01\"} 6\n");
}

static void put_nothing(struct exposition *x)
{
	exposition_begin(x, &gauge);
	exposition_begin(x, &counter);
}

static void test_nothing(void **ctx)
{
	(void)ctx;
	expect(EXPOSITION_OPENMETRICS, put_nothing, "# EOF\n");
	expect(EXPOSITION_PROMETHEUS, put_nothing, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
