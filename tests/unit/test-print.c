/* print: what is printed reads back as the same configuration. */
#include "conf-text.h"

#include "conf/format.h"
#include "conf/merge.h"
#include "conf/print.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void quotes_to(const char *text, const char *want)
{
	_cleanup_free_ char *quoted = print_quote(text);

	assert_string_equal(quoted, want);
}

static void test_quote(void **ctx)
{
	(void)ctx;
	quotes_to("tcp:[::1]:80", "tcp:[::1]:80");
	quotes_to("/usr/bin/tr", "/usr/bin/tr");
	quotes_to("", "\"\"");
	quotes_to("//x", "\"//x\"");
	quotes_to("a b", "\"a b\"");
	quotes_to("a#b", "\"a#b\"");
	quotes_to("A=1", "\"A=1\"");
	quotes_to("it's", "\"it's\"");
	quotes_to("say \"$x\"", "'say \"$x\"'");
	quotes_to("${x}'\\", "'${x}\\'\\\\'");
	quotes_to("a\\b", "'a\\\\b'");
	quotes_to("one\ntwo\t\"", "\"one\\ntwo\\t\\\"\"");
	quotes_to("gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"");
}

static char *print_to_text(const struct conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(print_conf(conf, out), 0);
	fclose(out);
	return text;
}

static void test_layout(void **ctx)
{
	static const char text[] = "total_instances = 100\n"
				   "\n"
				   "service upper {\n"
				   "\tlisten    = { tcp:7777, udp:7777 }\n"
				   "\texec      = { /bin/sh, -c, \"tr a-z A-Z\" }\n"
				   "\twait      = yes\n"
				   "\tinstances = unlimited\n"
				   "\tumask     = 0077\n"
				   "\tenv       = {}\n"
				   "\trlimit {\n"
				   "\t\tcore   = 0\n"
				   "\t\tnofile = 64:128\n"
				   "\t}\n"
				   "}\n"
				   "\n"
				   "service b {\n"
				   "\tlisten = unix:@b\n"
				   "\tshell  = 'echo \"$1\"'\n"
				   "}\n"
				   "\n"
				   "service c {\n"
				   "\tlisten   = unix:@c\n"
				   "\tredirect = tcp:127.0.0.1:80\n"
				   "\tbackend {\n"
				   "\t\texec      = { /bin/sh, x }\n"
				   "\t\tidle_stop = 1h\n"
				   "\t}\n"
				   "\trlimit {\n"
				   "\t\tas = 1G\n"
				   "\t}\n"
				   "}\n";
	_cleanup_free_ char *printed = NULL;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, text, &conf_text_user), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	printed = print_to_text(&t.conf);
	assert_string_equal(printed, text);
	conf_text_done(&t);
}

/*
 * Made-up services.
 */

static uint64_t state;

static size_t draw(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % n);
}

/* Of control characters a file takes only these two. */
static void draw_text(char *buf, size_t size)
{
	static const char *const pieces[] = {"a", "Z", "7", " ", "'", "\"", "\\", "\n", "\t",
		"$", "${", "}", "{", "#", ";", "//", "/*", "=", "+", ",", "(", ")", "*", "&",
		"|", "\xc3\xa9", "\xe2\x82\xac", "\\n", "\\'", "\\\n", "-", "%", "@", "<", ">",
		"`", "!", "yes"};
	size_t n = 1 + draw(10);

	for (buf[0] = '\0'; n > 0; n--)
		strncat(buf, pieces[draw(ARRAY_SIZE(pieces))], size - strlen(buf) - 1);
}

static void draw_value(const struct conf_option *option, char *buf, size_t size)
{
	size_t n = 0;

	switch (option->type) {
	case OPTION_BOOL:
	case OPTION_TRISTATE:
		snprintf(buf, size, "%s", draw(2) ? "yes" : "off");
		return;
	case OPTION_U32:
	case OPTION_BITS:
	case OPTION_COUNT:
	case OPTION_SIZE:
		snprintf(buf, size, "%zu", 1 + draw(1 << draw(30)));
		return;
	case OPTION_I32:
		snprintf(buf, size, "%d", (int)draw(40) - 20);
		return;
	case OPTION_MODE:
		snprintf(buf, size, "%zo", draw(01000));
		return;
	case OPTION_DURATION:
		if (option->flags & OPTION_ENDLESS && draw(4) == 0)
			snprintf(buf, size, "unlimited");
		else
			snprintf(buf, size, "%zums", 100 + draw(3000000));
		return;
	case OPTION_RATE:
		snprintf(buf, size, draw(2) ? "%zu/%zuus" : "%zu/%zuh burst 7", draw(100000),
			1 + draw(24));
		return;
	case OPTION_PENALTY:
		snprintf(buf, size, draw(2) ? "refuse" : "ban %zus", 1 + draw(1000000));
		return;
	case OPTION_LOAD:
		if (draw(4) == 0)
			snprintf(buf, size, "unlimited");
		else
			snprintf(buf, size, "%zu.%02zu", draw(1000), draw(100));
		return;
	case OPTION_RLIMIT:
		n = draw(100000);
		snprintf(buf, size, draw(2) ? "%zu:%zu" : "%zu", n, n + draw(10));
		return;
	case OPTION_ENUM:
	case OPTION_SET:
		snprintf(buf, size, "%s", option->words[draw(2)]);
		return;
	case OPTION_PATH:
		buf[0] = '/';
		draw_text(buf + 1, size - 1);
		return;
	case OPTION_STRING:
	case OPTION_LIST:
		draw_text(buf, size);
		return;
	}
}

static void draw_section(struct raw_conf *raw)
{
	static const struct origin nowhere = {.file = "made up", .line = 1};
	struct raw_section *section = raw_add_section(raw, RAW_SERVICE, "x", &nowhere);

	for (const struct conf_option *o = conf_options; o->name; o++) {
		size_t n = conf_option_is_list(o) ? draw(4) : 1;
		struct raw_assign *assign;

		if (o->flags & OPTION_GLOBAL || draw(3))
			continue;
		assign = raw_add_assign(section, o, false, &nowhere);
		for (; n > 0; n--) {
			char value[256];

			draw_value(o, value, sizeof value);
			assert_non_null(raw_add_value(assign, value, &nowhere));
		}
	}
}

static struct service_conf *merge(const struct raw_section *section)
{
	_cleanup_service_conf_ struct service_conf *defaults = NULL;
	struct service_conf *service = NULL;
	struct diag_list diags;
	struct report report;

	diag_list_init(&diags);
	assert_int_equal(report_init(&report, NULL, &diags), 0);
	assert_int_equal(merge_defaults(NULL, &report, &defaults), 0);
	assert_int_equal(merge_service(defaults, section, &report, &service), 0);
	report_done(&report);
	diag_list_done(&diags);
	return service;
}

static void assert_same(const struct service_conf *a, const struct service_conf *b)
{
	assert_memory_equal(a->given, b->given, sizeof a->given);
	for (const struct conf_option *o = conf_options; o->name; o++) {
		_cleanup_strv_ char **x = NULL, **y = NULL;

		if (o->flags & OPTION_GLOBAL || !service_conf_given(a, o))
			continue;
		assert_int_equal(format_option(o, a, &x), 0);
		assert_int_equal(format_option(o, b, &y), 0);
		assert_true(strv_equal(x, y));
	}
}

static void reads_back(const struct service_conf *service)
{
	_cleanup_service_conf_ struct service_conf *again = NULL;
	_cleanup_free_ char *text = NULL;
	struct service_conf *services[] = {(struct service_conf *)service};
	const struct conf conf = {.services = services, .n_services = 1};
	struct conf_text t = {0};

	text = print_to_text(&conf);
	assert_int_equal(
		parse_text("printed", text, strlen(text), &t.raw, &t.sources, &t.diags), 0);
	if (t.diags.n > 0)
		diag_print(&t.diags, t.sources, false, stderr);
	assert_int_equal(t.diags.n, 0);
	assert_int_equal(t.raw.n_sections, 1);
	again = merge(t.raw.sections);
	assert_same(service, again);
	conf_text_done(&t);
}

static void test_round_trip(void **ctx)
{
	(void)ctx;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		_cleanup_service_conf_ struct service_conf *service = NULL;
		struct raw_conf raw;

		state = seed * UINT64_C(0x9e3779b97f4a7c15);
		raw_conf_init(&raw);
		draw_section(&raw);
		service = merge(raw.sections);
		reads_back(service);
		raw_conf_done(&raw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
