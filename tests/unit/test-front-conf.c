/* front-conf: what connections begin with, from its words to what the master gets. */
#include "conf-text.h"

#include "conf/diff.h"
#include "conf/plan.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MUX           "service mux {\nlisten = 1\nbuiltin = tcpmux\n}\n"
#define PROGRAM(rest) "exec = /bin/true\nuser = nobody\n" rest "\n}\n"

static char folder[] = "/tmp/hatchd-front-conf-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const void *data, size_t len)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* As whoever runs the test, to whom the files belong. */
static void load(struct conf_text *t, const char *text)
{
	struct build_context context = conf_text_user;

	context.uid = geteuid();
	context.gid = getegid();
	assert_int_equal(conf_text_load(t, text, &context), 0);
}

static void clean(struct conf_text *t, const char *text)
{
	load(t, text);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
}

/*
 * Services by name.
 */

static void assert_list(const struct conf_text *t, size_t i, const char *want)
{
	const struct service_conf *mux = t->conf.services[i];

	assert_int_equal(mux->builtin, BUILTIN_TCPMUX);
	assert_int_equal(mux->reply_len, strlen(want));
	if (want[0])
		assert_memory_equal(mux->reply, want, strlen(want));
}

/* clang-format off */
static const char named[] =
	"service Zed {\ntcpmux = yes\n" PROGRAM("")
	MUX
	"service b {\ntcpmux = plus\nlisten = 2\n" PROGRAM("")
	"service not {\nlisten = 3\n" PROGRAM("")
	"service off {\ntcpmux = plus\ndisable = yes\n" PROGRAM("")
	"service A-1 {\ntcpmux = plus\nlisten = 4\nbuiltin = echo\n}\n"
	"service other {\nlisten = 5\nbuiltin = tcpmux\n}\n";
/* clang-format on */

static void test_list(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, MUX);
	assert_list(&t, 0, "");
	assert_true(service_conf_has_front(t.conf.services[0]));
	conf_text_done(&t);

	/* Sorted as it is told, whether it has an address of its own or not. */
	clean(&t, named);
	assert_list(&t, 1, "a-1\nb\nzed\n");
	assert_list(&t, 6, "a-1\nb\nzed\n");
	assert_int_equal(t.conf.services[0]->n_listen, 0);
	assert_true(service_conf_has_mux(t.conf.services[0]));
	assert_false(service_conf_has_front(t.conf.services[0]));
	conf_text_done(&t);
}

/* What waits for something is there all the same, what was refused is not. */
static void test_list_of_what_is_served(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t, MUX "service waits {\ntcpmux = yes\nexec = /nowhere/x\nuser = nobody\n}\n");
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_non_null(t.conf.services[1]->condition);
	assert_list(&t, 0, "waits\n");
	conf_text_done(&t);
}

/* Whole lines, and those that are left out are told of. */
static void test_long_list(void **ctx)
{
	enum { N = 1025, LINE = 64 };
	char *text = NULL;
	struct conf_text t;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)ctx;
	assert_non_null(out);
	fputs(MUX, out);
	for (int i = 0; i < N - 1; i++)
		fprintf(out, "service s%0*d {\ntcpmux = yes\n" PROGRAM(""), LINE - 2, i);
	fclose(out);
	clean(&t, text);
	assert_int_equal(t.conf.services[0]->reply_len, BUILTIN_REPLY_MAX);
	conf_text_done(&t);

	text = realloc(text, len + 128);
	assert_non_null(text);
	snprintf(text + len, 128, "service t {\ntcpmux = yes\n" PROGRAM(""));
	load(&t, text);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING),
		"builtin: HELP has room for 1024 of 1025 names; the others can be had, but are "
		"not listed");
	assert_int_equal(t.conf.services[0]->reply_len, BUILTIN_REPLY_MAX);
	assert_int_equal(t.conf.services[0]->reply[BUILTIN_REPLY_MAX - 1], '\n');
	conf_text_done(&t);
	free(text);
}

/*
 * Proxies.
 */

#define BEHIND(from)              "proxy_protocol = required\nproxy_from = " from "\n"
#define SERVICE(name, port, rest) "service " name " {\nlisten = " port "\n" PROGRAM(rest)

/* clang-format off */
static const char proxied[] =
	SERVICE("a", "1", BEHIND("10.0.0.0/8"))
	SERVICE("b", "2", BEHIND("10.0.0.0/8") "only_from = 10.0.0.0/8")
	SERVICE("c", "3", "");

static const char waiting[] =
	SERVICE("a", "1", BEHIND("10.0.0.0/8") "only_from = 'unix:uid=no-such-user'")
	SERVICE("b", "2", BEHIND("10.0.0.0/8"))
	SERVICE("c", "3", BEHIND("'unix:uid=no-such-user'"))
	SERVICE("d", "4", BEHIND("'unix:uid=no-such-user'"));

#define DEFAULTS_BEHIND_PROXY \
	"defaults {\nbanner = '%s'\npending = 3\n" BEHIND("10.0.0.1") "}\n" \
	SERVICE("a", "3", "pending_per_source = 3") MUX SERVICE("w", "2", "wait = yes")
/* clang-format on */

static void test_proxies(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, proxied);
	assert_non_null(t.conf.services[0]->proxies);
	assert_ptr_equal(t.conf.services[0]->proxies, t.conf.services[1]->proxies);
	assert_ptr_equal(t.conf.services[1]->proxies, t.conf.services[1]->access);
	assert_null(t.conf.services[0]->access);
	assert_null(t.conf.services[2]->proxies);
	assert_true(service_conf_has_proxies(t.conf.services[1]));
	assert_true(service_conf_has_front(t.conf.services[1]));
	assert_false(service_conf_has_front(t.conf.services[2]));
	assert_int_equal(t.conf.services[0]->pending_per_source, 500);
	conf_text_done(&t);
}

/* What one service waits for is not what another one with the same proxies does. */
static void test_proxies_and_conditions(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t, waiting);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_non_null(t.conf.services[0]->condition);
	assert_null(t.conf.services[1]->condition);
	assert_non_null(t.conf.services[2]->condition);
	assert_string_equal(t.conf.services[2]->condition, t.conf.services[3]->condition);
	conf_text_done(&t);
}

/* Given to all, it is for those that can have it. */
static void test_defaults(void **ctx)
{
	_cleanup_free_ char *text = NULL;
	struct conf_text t;

	(void)ctx;
	put("banner", "hello\r\n", 7);
	assert_true(asprintf(&text, DEFAULTS_BEHIND_PROXY, path_of("banner")) > 0);
	load(&t, text);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_WARNING),
		"service 'w' has wait = yes: proxy_protocol of defaults has no effect there");
	assert_int_equal(t.diags.n_by_severity[DIAG_WARNING], 1);
	assert_int_equal(t.conf.services[0]->banner_text_len, 7);
	assert_null(t.conf.services[1]->banner_text);
	assert_non_null(t.conf.services[1]->proxies);
	assert_int_equal(t.conf.services[1]->pending_per_source, 1);
	assert_null(t.conf.services[2]->banner_text);
	assert_false(service_conf_has_front(t.conf.services[2]));
	conf_text_done(&t);
}

/*
 * Banners.
 */

static void load_banners(struct conf_text *t, const char *name)
{
	_cleanup_free_ char *text = NULL;

	assert_true(
		asprintf(&text, SERVICE("a", "1", "banner_fail = '%s'"), path_of(name)) > 0);
	load(t, text);
}

static void banner_waits(const char *name, const char *before, const char *behind)
{
	char why[256];
	struct conf_text t;

	load_banners(&t, name);
	snprintf(why, sizeof why, "%s%s%s", before, path_of(name), behind);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_CONDITION), why);
	assert_string_equal(t.conf.services[0]->condition, why);
	conf_text_done(&t);
}

static void test_banners(void **ctx)
{
	static const char bytes[] = "a\0\xff\r\n";
	static char large[BUILTIN_REPLY_MAX + 1];
	struct conf_text t;

	(void)ctx;
	put("bytes", bytes, sizeof bytes);
	load_banners(&t, "bytes");
	assert_null(t.conf.services[0]->condition);
	assert_int_equal(t.conf.services[0]->banner_fail_text_len, sizeof bytes);
	assert_memory_equal(t.conf.services[0]->banner_fail_text, bytes, sizeof bytes);
	assert_null(t.conf.services[0]->banner_text);
	assert_null(t.conf.services[0]->banner_success_text);
	conf_text_done(&t);

	put("empty", "", 0);
	banner_waits("empty", "", " is empty");
	put("large", large, sizeof large);
	banner_waits("large", "", " is larger than 64K, the most there is");
	banner_waits("nowhere", "no file ", "");
	banner_waits(".", "unable to read ", ": Is a directory");
}

/* Who could put another file there could have any of root's told to clients. */
static void test_writers(void **ctx)
{
	char why[256];
	struct conf_text t;

	(void)ctx;
	put("open", "x\n", 2);
	assert_int_equal(chmod(path_of("open"), 0666), 0);
	load_banners(&t, "open");
	snprintf(why, sizeof why, "%s: %s may write to %s", "banner_fail",
		geteuid() == 0 ? "root reads it, but others than root"
			       : "others than root and the user of hatchd",
		path_of("open"));
	assert_string_equal(
		conf_text_said(&t, geteuid() == 0 ? DIAG_ERROR : DIAG_WARNING), why);
	conf_text_done(&t);
}

/*
 * Another one in its place.
 */

static void plan_says(const struct conf *old, const struct conf *new, const char *want)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(plan_print(old, new, out), 0);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void plan_goes(const char *old, const char *new, const char *want)
{
	struct conf_text a, b;

	load(&a, old);
	load(&b, new);
	plan_says(&a.conf, &b.conf, want);
	conf_text_done(&a);
	conf_text_done(&b);
}

static void test_plan(void **ctx)
{
	(void)ctx;
	plan_goes(SERVICE("a", "1", BEHIND("10.0.0.1")), SERVICE("a", "1", BEHIND("10.0.0.1")),
		"nothing would change\n");
	plan_goes(SERVICE("a", "1", BEHIND("10.0.0.1")), SERVICE("a", "1", BEHIND("10.0.0.2")),
		"a: changed: proxy_from 10.0.0.1 -> 10.0.0.2\n  kept     tcp:1\n1 kept\n");
	plan_goes(SERVICE("a", "1", "banner = /etc/passwd\npending = 8"),
		SERVICE("a", "1", "banner = /etc/passwd\npending = 9"),
		"a: changed: pending 8 -> 9\n  kept     tcp:1\n1 kept\n");
}

/* Nobody has written anything else into that service, but it has something else to say. */
static void test_plan_of_a_list(void **ctx)
{
	(void)ctx;
	plan_goes(MUX SERVICE("a", "2", "tcpmux = no"), MUX SERVICE("a", "2", "tcpmux = yes"),
		"mux: changed: other services can be had by their names\n"
		"  kept     tcp:1\n"
		"a: changed: tcpmux no -> yes\n"
		"  kept     tcp:2\n"
		"2 kept\n");
}

/* The same words, but the file has changed. */
static void test_plan_of_the_machine(void **ctx)
{
	struct conf_text a, b;

	(void)ctx;
	put("motd", "one\n", 4);
	load_banners(&a, "motd");
	put("motd", "two\n", 4);
	load_banners(&b, "motd");
	plan_says(&a.conf, &b.conf,
		"a: changed: other text in its banners\n  kept     tcp:1\n1 kept\n");
	conf_text_done(&a);
	conf_text_done(&b);
}

static int make_folder(void **ctx)
{
	(void)ctx;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **ctx)
{
	static const char *const names[] = {
		"banner", "bytes", "empty", "large", "open", "motd"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(path_of(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_of_what_is_served),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_proxies_and_conditions),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_banners),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_of_a_list),
		cmocka_unit_test(test_plan_of_the_machine),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
