/* options: the table is sound, so that those who walk it need not check. */
#include "conf/conf.h"
#include "conf/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_find(void **ctx)
{
	(void)ctx;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		assert_ptr_equal(conf_option_find(o->name), o);
		assert_true(conf_option_index(o) < conf_options_count());
	}
	assert_null(conf_option_find("nofile"));
	assert_null(conf_option_find("rlimit"));
	assert_null(conf_option_find(""));
	assert_null(conf_options[conf_options_count()].name);
}

static void test_each_is_complete(void **ctx)
{
	(void)ctx;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		bool wordy = o->type == OPTION_ENUM || o->type == OPTION_SET;
		bool boolean = o->type == OPTION_BOOL || o->type == OPTION_TRISTATE;

		assert_non_null(o->help);
		assert_true(o->help[strlen(o->help) - 1] != '.');
		if (o->type != OPTION_BITS)
			assert_int_equal(o->words != NULL, wordy);
		if (o->type != OPTION_SET)
			assert_int_equal(
				o->numbers != NULL, o->type == OPTION_BITS && o->words != NULL);
		assert_true(o->metavar || boolean);
		assert_true(o->min <= o->max);
	}
}

static void test_fields_do_not_overlap(void **ctx)
{
	(void)ctx;
	for (const struct conf_option *a = conf_options; a->name; a++) {
		for (const struct conf_option *b = a + 1; b->name; b++)
			assert_false(a->offset == b->offset &&
				     !((a->flags ^ b->flags) & OPTION_GLOBAL));
	}
}

static void test_flags(void **ctx)
{
	char buf[OPTION_FLAG_MAX];

	(void)ctx;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		assert_true(strlen(o->name) < OPTION_FLAG_MAX);
		assert_null(strpbrk(conf_option_flag(o, buf), "_."));
	}
	assert_string_equal(
		conf_option_flag(conf_option_find("rlimit.nofile"), buf), "rlimit-nofile");
}

/* The image checks ranges also of what was not given. */
static void test_fallbacks_are_valid(void **ctx)
{
	_cleanup_service_conf_ struct service_conf *service = service_conf_new("x");

	(void)ctx;
	assert_non_null(service);
	assert_int_equal(convert_fallbacks(service), 0);
	assert_int_equal(service->instances, 512);
	assert_int_equal(service->start_timeout, 5000000);
	assert_int_equal(service->umask, 022);
	assert_int_equal(service->socket_mode, 0666);
	assert_int_equal(service->backlog, 4096);
	assert_int_equal(service->v6only, -1);
	assert_int_equal(service->nice, NICE_INHERIT);
	assert_int_equal(service->pass_as, PASS_STDIO);
	assert_int_equal(service->stop, STOP_LEAVE);
	assert_true(service->groups);
	assert_false(service->wait || service->disable || service->nodelay);
	assert_string_equal(service->stderr_to, "log");
	assert_string_equal(service->directory, "/");
}

/* The word of that set, and what it stands for. */
static void check_word(const char *name, const char *word, uint32_t bits)
{
	const struct conf_option *option = conf_option_find(name);
	size_t i = 0;

	while (strcmp(option->words[i], word) != 0)
		i++;
	assert_int_equal(option->numbers[i], bits);
}

static void test_words_match_enums(void **ctx)
{
	(void)ctx;
	assert_string_equal(conf_option_find("pass_as")->words[PASS_LISTEN_FDS], "listen_fds");
	assert_string_equal(conf_option_find("stop")->words[STOP_TERMINATE], "terminate");
	assert_string_equal(conf_option_find("builtin")->words[BUILTIN_QOTD], "qotd");
	assert_string_equal(conf_option_find("env_dialect")->words[0], "socat");
	assert_int_equal(ENV_SOCAT, 1 << 0);
	assert_string_equal(conf_option_find("env_dialect")->words[2], "cgi");
	assert_int_equal(ENV_CGI, 1 << 2);
	check_word("log_on_success", "all", RECORD_OF_SUCCESS);
	check_word("log_on_success", "none", RECORD_NONE);
	check_word("log_on_success", "pid", RECORD_PID);
	check_word("log_on_success", "host", RECORD_HOST);
	check_word("log_on_success", "userid", RECORD_USERID);
	check_word("log_on_success", "exit", RECORD_EXIT);
	check_word("log_on_success", "duration", RECORD_DURATION);
	check_word("log_on_success", "traffic", RECORD_TRAFFIC);
	check_word("log_on_success", "cpu", RECORD_CPU);
	check_word("log_on_failure", "all", RECORD_OF_FAILURE);
	check_word("log_on_failure", "none", RECORD_NONE);
	check_word("log_on_failure", "host", RECORD_HOST);
	check_word("log_on_failure", "userid", RECORD_USERID);
	check_word("log_on_failure", "attempt", RECORD_ATTEMPT);
	assert_string_equal(
		conf_option_find("log_address")->words[LOG_ADDRESS_PREFIX], "prefix");
	assert_string_equal(conf_option_find("log_address")->words[LOG_ADDRESS_NONE], "none");
	assert_string_equal(conf_option_find("tos")->words[0], "low-delay");
	assert_int_equal(conf_option_find("tos")->numbers[0], 0x10);
	assert_int_equal(conf_option_find("tos")->numbers[3], 0x02);
}

static void give(struct service_conf *service, size_t i)
{
	const struct origin origin = {.file = "x", .line = (uint32_t)i + 1};

	assert_int_equal(service_conf_set_given(service, &conf_options[i], &origin), 0);
}

/* Every `step`th option is given, each at its own place, and no other. */
static void assert_given(const struct service_conf *service, size_t step)
{
	for (size_t i = 0; i < conf_options_count(); i++) {
		const struct conf_option *o = &conf_options[i];

		assert_int_equal(service_conf_given(service, o), i % step == 0);
		if (i % step == 0)
			assert_int_equal(service_conf_given_at(service, o)->line, i + 1);
	}
}

/* In whichever order they come, and more than once. */
static void test_given(void **ctx)
{
	_cleanup_service_conf_ struct service_conf *service = service_conf_new("x");
	_cleanup_service_conf_ struct service_conf *copy = service_conf_new("y");
	size_t n = conf_options_count();

	(void)ctx;
	assert_int_equal(service_conf_copy_given(service, copy), 0);
	for (size_t i = 0; i < n; i++)
		assert_false(service_conf_given(copy, &conf_options[i]));
	for (size_t i = n; i-- > 0;) {
		if (i % 6 == 0)
			give(service, i);
	}
	assert_given(service, 6);
	assert_int_equal(service_conf_copy_given(service, copy), 0);
	for (size_t i = 0; i < n; i++) {
		if (i % 3 == 0)
			give(copy, i);
	}
	assert_given(copy, 3);
	assert_given(service, 6);
	for (size_t i = 0; i < n; i++)
		give(service, i);
	assert_given(service, 1);
}

static void test_names(void **ctx)
{
	char name[SERVICE_NAME_MAX + 2];

	(void)ctx;
	assert_true(service_name_valid("a"));
	assert_true(service_name_valid("9P.x_y-z"));
	assert_false(service_name_valid(""));
	assert_false(service_name_valid("-a"));
	assert_false(service_name_valid(".a"));
	assert_false(service_name_valid("a b"));
	assert_false(service_name_valid("a/b"));
	memset(name, 'a', sizeof name);
	name[SERVICE_NAME_MAX + 1] = '\0';
	assert_false(service_name_valid(name));
	name[SERVICE_NAME_MAX] = '\0';
	assert_true(service_name_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_each_is_complete),
		cmocka_unit_test(test_fields_do_not_overlap),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_fallbacks_are_valid),
		cmocka_unit_test(test_words_match_enums),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
