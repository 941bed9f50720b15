/* convert and format: values as written, and back. */
#include "conf/convert.h"
#include "conf/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static struct service_conf *service;
static struct convert_fault fault;

static int setup(void **ctx)
{
	(void)ctx;
	service = service_conf_new("x");
	return service ? convert_fallbacks(service) : -1;
}

static int teardown(void **ctx)
{
	(void)ctx;
	service_conf_free(service);
	return 0;
}

static int set_all(const char *name, bool append, size_t n, char *const *texts)
{
	struct raw_value values[8] = {0};
	const struct raw_assign assign = {
		.option = conf_option_find(name),
		.append = append,
		.values = values,
		.n_values = n,
	};

	assert_true(n <= ARRAY_SIZE(values));
	assert_non_null(assign.option);
	for (size_t i = 0; i < n; i++)
		values[i].text = texts[i];
	memset(&fault, 0, sizeof fault);
	return convert_assign(&assign, service, &fault);
}

static int set(const char *name, const char *text)
{
	char *texts[] = {(char *)text};

	return set_all(name, false, 1, texts);
}

static void refused(const char *name, const char *text, const char *why)
{
	assert_int_equal(set(name, text), -EINVAL);
	assert_int_equal(fault.value, 0);
	assert_string_equal(fault.why, why);
}

static void test_bool(void **ctx)
{
	(void)ctx;
	assert_int_equal(set("wait", "on"), 0);
	assert_true(service->wait);
	refused("wait", "maybe", "'maybe' is neither yes nor no");
	assert_true(service->wait);
	assert_int_equal(set("v6only", "no"), 0);
	assert_int_equal(service->v6only, 0);
	assert_int_equal(set("v6only", "true"), 0);
	assert_int_equal(service->v6only, 1);
	refused("v6only", "", "'' is neither yes nor no");
}

static void test_numbers(void **ctx)
{
	(void)ctx;
	assert_int_equal(set("backlog", "1"), 0);
	assert_int_equal(service->backlog, 1);
	refused("backlog", "0", "'0' is outside the range from 1 to 2147483647");
	refused("backlog", "4294967296",
		"'4294967296' is outside the range from 1 to 2147483647");
	refused("backlog", "1x", "'1x' is not a whole number");
	assert_int_equal(set("nice", "-20"), 0);
	assert_int_equal(service->nice, -20);
	refused("nice", "20", "'20' is outside the range from -20 to 19");
	refused("nice", "-21", "'-21' is outside the range from -20 to 19");
}

static void test_count(void **ctx)
{
	(void)ctx;
	assert_int_equal(set("instances", "unlimited"), 0);
	assert_int_equal(service->instances, COUNT_UNLIMITED);
	assert_int_equal(set("instances", "0"), 0);
	assert_int_equal(service->instances, 0);
	refused("instances", "many", "'many' is neither a whole number nor 'unlimited'");
	refused("instances", "4294967295",
		"'4294967295' is too large; write 'unlimited' for no limit");
}

static void test_modes_sizes_and_times(void **ctx)
{
	(void)ctx;
	assert_int_equal(set("umask", "077"), 0);
	assert_int_equal(service->umask, 077);
	refused("umask", "1777", "'1777' is outside the range from 0 to 0777");
	refused("umask", "8", "'8' is not an octal mode such as 0640");
	assert_int_equal(set("send_buffer", "64K"), 0);
	assert_int_equal(service->send_buffer, 65536);
	refused("send_buffer", "2G", "'2G' is outside the range from 0 to 2147483647");
	refused("send_buffer", "64 K", "'64 K' is not a size such as 4096, 64K or 1M");
	assert_int_equal(set("start_timeout", "100ms"), 0);
	assert_int_equal(service->start_timeout, 100000);
	refused("start_timeout", "99ms", "'99ms' is outside the range from 100ms to 1h");
	assert_int_equal(set("keepalive_time", "2min"), 0);
	assert_int_equal(service->keepalive_time, 120000000);
	refused("keepalive_time", "1500ms", "'1500ms' is not in whole seconds");
	refused("keepalive_time", "0", "'0' is outside the range from 1s to 32767s");
	refused("keepalive_interval", "10h", "'10h' is outside the range from 1s to 32767s");
	refused("defer_accept", "2h", "'2h' is outside the range from 0 to 1h");
	refused("user_timeout", "999us", "'999us' is outside the range from 1ms to 24d");
	refused("start_timeout", "soon", "'soon' is not a time such as 10s, 500ms or 5min");
}

static void test_times_without_an_end(void **ctx)
{
	(void)ctx;
	assert_true(service->time_limit == DURATION_UNLIMITED);
	assert_int_equal(service->kill_after, 10000000);
	assert_int_equal(set("time_limit", "2h"), 0);
	assert_int_equal(service->time_limit, UINT64_C(7200000000));
	assert_int_equal(set("time_limit", "unlimited"), 0);
	assert_true(service->time_limit == DURATION_UNLIMITED);
	refused("time_limit", "0", "'0' is outside the range from 100ms to 366d");
	refused("time_limit", "2y",
		"'2y' is neither a time such as 10s, 500ms or 5min nor 'unlimited'");
	refused("time_limit", "never", "'never' is not known; did you mean 'unlimited'?");
	refused("time_limit", "5m", "'5m' has a unit that is not known; did you mean '5min'?");
	refused("start_timeout", "unlimited",
		"'unlimited' is not a time such as 10s, 500ms or 5min; the longest is 1h");
}

static void test_loads(void **ctx)
{
	static const struct {
		const char *text;
		uint32_t load;
	} cases[] = {{"0", 0}, {"4", 400}, {"2.5", 250}, {"2.05", 205}, {"0.01", 1},
		{"100000", 10000000}, {"100000.00", 10000000}, {"0000004", 400}};

	(void)ctx;
	assert_int_equal(service->max_load, COUNT_UNLIMITED);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(set("max_load", cases[i].text), 0);
		assert_int_equal(service->max_load, cases[i].load);
	}
	assert_int_equal(set("max_load", "unlimited"), 0);
	assert_int_equal(service->max_load, COUNT_UNLIMITED);
	refused("max_load", "", "'' is neither a load such as 4 or 2.5 nor 'unlimited'");
	refused("max_load", ".5", "'.5' is neither a load such as 4 or 2.5 nor 'unlimited'");
	refused("max_load", "5.", "'5.' is neither a load such as 4 or 2.5 nor 'unlimited'");
	refused("max_load", "5.123",
		"'5.123' is neither a load such as 4 or 2.5 nor 'unlimited'");
	refused("max_load", "5.1x",
		"'5.1x' is neither a load such as 4 or 2.5 nor 'unlimited'");
	refused("max_load", "-1", "'-1' is neither a load such as 4 or 2.5 nor 'unlimited'");
	refused("max_load", "100000.01", "'100000.01' is outside the range from 0 to 100000");
	refused("max_load", "99999999", "'99999999' is outside the range from 0 to 100000");
}

static void test_bits(void **ctx)
{
	(void)ctx;
	assert_int_equal(set("mark", "17"), 0);
	assert_int_equal(service->mark, 17);
	assert_int_equal(set("mark", "0xFFffffff"), 0);
	assert_int_equal(service->mark, UINT32_MAX);
	refused("mark", "0x100000000", "'0x100000000' is too large");
	refused("mark", "-1", "'-1' is below 0");
	refused("mark", "0x", "'0x' is not a whole number, decimal or as in 0x10");
	refused("mark", "web", "'web' is not a whole number, decimal or as in 0x10");
	assert_int_equal(set("tos", "throughput"), 0);
	assert_int_equal(service->tos, 8);
	assert_int_equal(set("tos", "0xb8"), 0);
	assert_int_equal(service->tos, 0xb8);
	refused("tos", "256", "'256' is outside the range from 0 to 255");
	refused("tos", "lowdelay",
		"'lowdelay' is neither a number nor low-delay, throughput, reliability or "
		"low-cost; did you mean 'low-delay'?");
	refused("ttl", "0", "'0' is outside the range from 1 to 255");
	refused("keepalive_probes", "128", "'128' is outside the range from 1 to 127");
}

static void test_words(void **ctx)
{
	char *both[] = {"socat", "cgi"}, *more[] = {"ncat"}, *wrong[] = {"ncat", "soca"};

	(void)ctx;
	assert_int_equal(set("pass_as", "listen_fds"), 0);
	assert_int_equal(service->pass_as, PASS_LISTEN_FDS);
	refused("pass_as", "stdoi",
		"'stdoi' is not stdio or listen_fds; did you mean 'stdio'?");
	assert_int_equal(set_all("env_dialect", false, 2, both), 0);
	assert_int_equal(service->env_dialect, ENV_SOCAT | ENV_CGI);
	assert_int_equal(set_all("env_dialect", true, 1, more), 0);
	assert_int_equal(service->env_dialect, ENV_SOCAT | ENV_CGI | ENV_NCAT);
	assert_int_equal(set_all("env_dialect", false, 2, wrong), -EINVAL);
	assert_int_equal(fault.value, 1);
	assert_int_equal(service->env_dialect, ENV_SOCAT | ENV_CGI | ENV_NCAT);
	assert_int_equal(set_all("env_dialect", false, 0, NULL), 0);
	assert_int_equal(service->env_dialect, 0);
}

/* Words that stand for several, or for nothing. */
static void test_records(void **ctx)
{
	char *two[] = {"host", "cpu"}, *all[] = {"all"}, *none[] = {"none"}, *more[] = {"pid"};
	char *odd[] = {"pid", "none"};

	(void)ctx;
	assert_int_equal(set_all("log_on_success", false, 2, two), 0);
	assert_int_equal(service->log_on_success, RECORD_HOST | RECORD_CPU);
	assert_int_equal(set_all("log_on_success", true, 1, more), 0);
	assert_int_equal(service->log_on_success, RECORD_HOST | RECORD_CPU | RECORD_PID);
	assert_int_equal(set_all("log_on_success", false, 1, none), 0);
	assert_int_equal(service->log_on_success, RECORD_NONE);
	assert_int_equal(set_all("log_on_success", true, 1, more), 0);
	assert_int_equal(service->log_on_success, RECORD_PID);
	assert_int_equal(set_all("log_on_success", true, 1, none), -EINVAL);
	assert_string_equal(fault.why, "'none' stands alone, behind =");
	assert_int_equal(set_all("log_on_success", false, 2, odd), -EINVAL);
	assert_int_equal(fault.value, 1);
	assert_int_equal(service->log_on_success, RECORD_PID);
	assert_int_equal(set_all("log_on_failure", false, 1, all), 0);
	assert_int_equal(service->log_on_failure, RECORD_OF_FAILURE);
	assert_int_equal(set_all("log_on_failure", false, 1, more), -EINVAL);
}

static void test_rlimits(void **ctx)
{
	const struct rlimit_conf *nofile = &service->rlimit[RLIMIT_NOFILE];

	(void)ctx;
	assert_int_equal(set("rlimit.nofile", "100"), 0);
	assert_true(nofile->given && nofile->soft == 100 && nofile->hard == 100);
	assert_int_equal(set("rlimit.nofile", "100:unlimited"), 0);
	assert_true(nofile->soft == 100 && nofile->hard == RLIMIT_CONF_INFINITY);
	refused("rlimit.nofile", "200:100",
		"'200:100' has a soft limit above the hard one; it is SOFT:HARD");
	refused("rlimit.nofile", "64K", "'64K' is neither a whole number nor 'unlimited'");
	refused("rlimit.nofile", "1:", "'' is neither a whole number nor 'unlimited'");
	refused("rlimit.nofile", "9223372036854775808",
		"'9223372036854775808' is too large; write 'unlimited' for no limit");
	assert_int_equal(set("rlimit.as", "64M"), 0);
	assert_int_equal(service->rlimit[RLIMIT_AS].soft, 64 << 20);
	assert_int_equal(set("rlimit.cpu", "2min:1h"), 0);
	assert_int_equal(service->rlimit[RLIMIT_CPU].soft, 120);
	assert_int_equal(service->rlimit[RLIMIT_CPU].hard, 3600);
	refused("rlimit.cpu", "1500ms", "'1500ms' is not in whole seconds");
	assert_int_equal(set("rlimit.rttime", "200ms"), 0);
	assert_int_equal(service->rlimit[RLIMIT_RTTIME].soft, 200000);
	assert_false(service->rlimit[RLIMIT_CORE].given);
}

static void test_texts(void **ctx)
{
	(void)ctx;
	assert_int_equal(set("shell", "a $b"), 0);
	assert_string_equal(service->shell, "a $b");
	refused("shell", "", "'' is empty");
	assert_int_equal(set("chroot", "/srv"), 0);
	refused("chroot", "srv", "'srv' is not an absolute path; it must begin with /");
	assert_string_equal(service->chroot, "/srv");
	refused("umask", "\033[2J", "'\\x1b[2J' is not an octal mode such as 0640");
}

static void test_lists(void **ctx)
{
	char *ab[] = {"a", "b"}, *c[] = {"c"}, *abc[] = {"a", "b", "c", NULL};

	(void)ctx;
	assert_int_equal(set_all("env", false, 2, ab), 0);
	assert_int_equal(set_all("env", true, 1, c), 0);
	assert_true(strv_equal(service->env, abc));
	assert_int_equal(set_all("env", false, 1, c), 0);
	assert_int_equal(strv_length(service->env), 1);
	assert_int_equal(set_all("env", false, 0, NULL), 0);
	assert_int_equal(strv_length(service->env), 0);
}

static void test_shape(void **ctx)
{
	char *two[] = {"1", "2"};

	(void)ctx;
	assert_int_equal(set_all("instances", false, 2, two), -EINVAL);
	assert_int_equal(fault.value, 2);
	assert_int_equal(set_all("instances", false, 0, NULL), -EINVAL);
	assert_int_equal(set_all("instances", true, 1, two), -EINVAL);
	assert_int_equal(service->instances, 512);
}

/* What format writes, convert reads as the same. */
static void test_round_trip(void **ctx)
{
	static const struct {
		const char *name, *text;
	} samples[] = {
		{"wait", "yes"},
		{"v6only", "no"},
		{"instances", "unlimited"},
		{"backlog", "17"},
		{"nice", "-7"},
		{"mark", "0x1F"},
		{"mark", "0"},
		{"tos", "16"},
		{"tos", "0xb8"},
		{"keepalive_time", "90"},
		{"umask", "0027"},
		{"socket_mode", "0"},
		{"send_buffer", "1M"},
		{"send_buffer", "1000001"},
		{"start_timeout", "1500ms"},
		{"pass_as", "listen_fds"},
		{"rlimit.cpu", "90s:unlimited"},
		{"rlimit.cpu", "9000000000000"},
		{"rlimit.as", "1G:2G"},
		{"rlimit.rttime", "7us:8us"},
		{"rlimit.nproc", "0"},
		{"stderr", "/var/log/x y"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct conf_option *o = conf_option_find(samples[i].name);
		_cleanup_strv_ char **first = NULL, **second = NULL;

		assert_int_equal(set(samples[i].name, samples[i].text), 0);
		assert_int_equal(format_option(o, service, &first), 0);
		assert_int_equal(strv_length(first), 1);
		assert_int_equal(set(samples[i].name, first[0]), 0);
		assert_int_equal(format_option(o, service, &second), 0);
		assert_true(strv_equal(first, second));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bool),
		TEST(test_numbers),
		TEST(test_count),
		TEST(test_modes_sizes_and_times),
		TEST(test_times_without_an_end),
		TEST(test_loads),
		TEST(test_bits),
		TEST(test_words),
		TEST(test_records),
		TEST(test_rlimits),
		TEST(test_texts),
		TEST(test_lists),
		TEST(test_shape),
		TEST(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
