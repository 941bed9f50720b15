/* cmdline: what the words mean, and what is said about those that mean nothing. */
#include "conf/cmdline.h"

#include "base/strv.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARGV(...) ((char *[]){"hatchd", __VA_ARGS__, NULL})

static struct cmdline cmdline;

static int parse(char **argv, char **ret_text)
{
	size_t len;
	FILE *err = open_memstream(ret_text, &len);
	int r;

	assert_non_null(err);
	r = cmdline_parse((int)strv_length(argv), argv, &cmdline, err);
	fclose(err);
	return r;
}

static void accepted(char **argv)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(parse(argv, &text), 0);
	assert_string_equal(text, "");
}

static void refused(char **argv, const char *why)
{
	_cleanup_free_ char *text = NULL, *want = NULL;

	assert_int_equal(parse(argv, &text), -EINVAL);
	assert_true(asprintf(&want, "hatchd: %s\nTry 'hatchd --help'.\n", why) > 0);
	assert_string_equal(text, want);
}

/* Values of one option in the section that the line made, as "a|b". */
static void has(const char *option, const char *want)
{
	const struct raw_section *section = cmdline.raw.sections;
	char all[256] = "";

	assert_int_equal(cmdline.raw.n_sections, 1);
	for (size_t i = 0; i < section->n_assigns; i++) {
		const struct raw_assign *assign = &section->assigns[i];

		if (strcmp(assign->option->name, option) != 0)
			continue;
		for (size_t j = 0; j < assign->n_values; j++) {
			snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
				j ? "|" : "", assign->values[j].text);
			assert_string_equal(assign->values[j].origin.file, "command line");
			assert_int_equal(assign->values[j].origin.line, 0);
		}
	}
	assert_string_equal(all, want);
}

static void test_serve(void **ctx)
{
	(void)ctx;
	accepted((char *[]){"hatchd", NULL});
	assert_int_equal(cmdline.mode, CMDLINE_SERVE);
	assert_non_null(strstr(cmdline.file, "/hatchd/hatchd.conf"));
	assert_false(cmdline.adhoc || cmdline.once || cmdline.strict);
	assert_int_equal(cmdline.image_fd, -1);
	assert_int_equal(cmdline.in_force_fd, -1);
	assert_int_equal(cmdline.raw.n_sections, 0);
	cmdline_done(&cmdline);

	accepted(ARGV("--image-fd=5", "--in-force-fd=6", "-vvf", "x.conf", "--strict",
		"--spawn=private", "-v"));
	assert_int_equal(cmdline.mode, CMDLINE_SERVE);
	assert_string_equal(cmdline.file, "x.conf");
	assert_int_equal(cmdline.verbose, 3);
	assert_true(cmdline.strict);
	assert_int_equal(cmdline.spawn, CMDLINE_SPAWN_PRIVATE);
	assert_int_equal(cmdline.image_fd, 5);
	assert_int_equal(cmdline.in_force_fd, 6);
	assert_false(cmdline.conditions);
	assert_int_equal(cmdline.secrets_fd, -1);
	assert_int_equal(cmdline.old_secrets_fd, -1);
	cmdline_done(&cmdline);

	accepted(ARGV("--secrets-fd=7", "--old-secrets-fd", "8"));
	assert_int_equal(cmdline.secrets_fd, 7);
	assert_int_equal(cmdline.old_secrets_fd, 8);
	cmdline_done(&cmdline);

	accepted(ARGV("--conditions", "--loader-timeout=7"));
	assert_true(cmdline.conditions);
	assert_int_equal(cmdline.loader_timeout, 7);
	cmdline_done(&cmdline);
}

static void test_adhoc(void **ctx)
{
	(void)ctx;
	accepted(ARGV("-l", "7777", "-lunix:@x", "--once", "--", "tr", "--", "-f"));
	assert_int_equal(cmdline.mode, CMDLINE_ADHOC);
	assert_true(cmdline.adhoc && cmdline.once);
	assert_string_equal(cmdline.raw.sections[0].title, "tr");
	has("listen", "7777|unix:@x");
	has("exec", "tr|--|-f");
	cmdline_done(&cmdline);

	accepted(ARGV("--listen=7", "--shell", "wc -c", "--wait", "--nodelay=no",
		"--per-source=4", "--rlimit-nofile=100", "--env", "A=1", "--env=B=2",
		"--v6only"));
	assert_int_equal(cmdline.mode, CMDLINE_ADHOC);
	assert_string_equal(cmdline.raw.sections[0].title, "shell");
	has("shell", "wc -c");
	has("wait", "yes");
	has("nodelay", "no");
	has("v6only", "yes");
	has("per_source", "4");
	has("rlimit.nofile", "100");
	has("env", "A=1|B=2");
	cmdline_done(&cmdline);

	accepted(ARGV("-l7", "--builtin", "text", "--text=a b", "--text-file=/x"));
	assert_int_equal(cmdline.mode, CMDLINE_ADHOC);
	assert_string_equal(cmdline.raw.sections[0].title, "text");
	has("builtin", "text");
	has("text", "a b");
	has("text_file", "/x");
	cmdline_done(&cmdline);

	/* Found wrong later, but it is a name. */
	accepted(ARGV("-l7", "--builtin="));
	assert_string_equal(cmdline.raw.sections[0].title, "program");
	cmdline_done(&cmdline);
}

static void test_other_modes(void **ctx)
{
	(void)ctx;
	accepted(ARGV("--check", "-f", "x"));
	assert_int_equal(cmdline.mode, CMDLINE_CHECK);
	assert_false(cmdline.adhoc);
	cmdline_done(&cmdline);

	accepted(ARGV("--plan", "-fx", "--pid=12"));
	assert_int_equal(cmdline.mode, CMDLINE_PLAN);
	assert_int_equal(cmdline.pid, 12);
	cmdline_done(&cmdline);

	accepted(ARGV("--explain", "upper", "192.0.2.7", "-f", "x"));
	assert_int_equal(cmdline.mode, CMDLINE_EXPLAIN);
	assert_string_equal(cmdline.explain_service, "upper");
	assert_string_equal(cmdline.explain_address, "192.0.2.7");
	cmdline_done(&cmdline);
	accepted(ARGV("--print-config", "-l7", "--", "cat"));
	assert_int_equal(cmdline.mode, CMDLINE_PRINT_CONFIG);
	assert_true(cmdline.adhoc);
	cmdline_done(&cmdline);

	accepted(ARGV("--help", "--no-such-flag"));
	assert_int_equal(cmdline.mode, CMDLINE_HELP);
	cmdline_done(&cmdline);
	accepted(ARGV("-vV"));
	assert_int_equal(cmdline.mode, CMDLINE_VERSION);
	cmdline_done(&cmdline);
}

static void named(const char *program, const char *want)
{
	accepted(ARGV("-l7", "--", (char *)program));
	assert_string_equal(cmdline.raw.sections[0].title, want);
	assert_true(service_name_valid(want));
	cmdline_done(&cmdline);
}

static void test_names(void **ctx)
{
	(void)ctx;
	named("/usr/bin/tr", "tr");
	named("./my prog!", "my-prog-");
	named("[", "program");
	named("_x.sh", "x.sh");
	named("a/", "program");
	named("gr\xc3\xbc", "gr--");
}

static void test_mistakes(void **ctx)
{
	(void)ctx;
	refused(ARGV("--instanses=4"),
		"unknown flag '--instanses'; did you mean '--instances'?");
	refused(ARGV("--chek"), "unknown flag '--chek'; did you mean '--check'?");
	refused(ARGV("--zzzzzzzz"), "unknown flag '--zzzzzzzz'");
	refused(ARGV("--exec=x"), "unknown flag '--exec'");
	refused(ARGV("-x"), "unknown flag '-x'");
	refused(ARGV("-f"), "-f needs a value");
	refused(ARGV("-l7", "--user"), "--user needs a value");
	refused(ARGV("--check=x"), "--check takes no value");
	refused(ARGV("--spawn=x"), "--spawn: 'x' is not auto, shared or private");
	refused(ARGV("--plan", "--pid=0"), "--pid=0: not the number of a process");
	refused(ARGV("--plan", "--pid=2147483648"),
		"--pid=2147483648: not the number of a process");
	refused(ARGV("--image-fd=-1"), "--image-fd=-1: not a number that will do");
	refused(ARGV("-l7", "--nice=1", "--nice=2"), "--nice is given twice");
	refused(ARGV("-fa", "-fb"), "-f is given twice; a file can include others");
}

static void test_combinations(void **ctx)
{
	(void)ctx;
	refused(ARGV("-l7", "tr", "a-z"), "put -- before the program: -- tr ...");
	refused(ARGV("-l7", "--wait", "yes", "--", "x"),
		"--wait takes its value with '=': --wait=yes");
	refused(ARGV("-l7", "--groups", "no"),
		"--groups takes its value with '=': --groups=no");
	refused(ARGV("-l7", "--groups", "tr"), "put -- before the program: -- tr ...");
	refused(ARGV("-l7", "--groups", "--wait", "-v", "no"),
		"put -- before the program: -- no ...");
	refused(ARGV("x.conf"), "unexpected 'x.conf': a program stands after --, a "
				"configuration file after -f");
	refused(ARGV("--", "tr"), "no address; add -l PORT");
	refused(ARGV("--shell=x"), "no address; add -l PORT");
	refused(ARGV("--builtin=echo"), "no address; add -l PORT");
	refused(ARGV("-l7"), "no program; add -- PROGRAM, --shell 'COMMAND', --builtin NAME "
			     "or --redirect ADDRESS");
	refused(ARGV("-l7", "--text=x"),
		"no program; add -- PROGRAM, --shell 'COMMAND', --builtin NAME "
		"or --redirect ADDRESS");
	refused(ARGV("-l7", "--"), "the program after -- is missing");
	refused(ARGV("-l7", "--shell=x", "--", "tr"),
		"--shell and a program after -- exclude each other");
	refused(ARGV("-l7", "--builtin=echo", "--", "tr"),
		"--builtin and a program after -- exclude each other");
	refused(ARGV("--redirect=unix:/x"), "no address; add -l PORT");
	refused(ARGV("-l7", "--redirect=unix:/x", "--", "tr"),
		"--redirect and a program after -- exclude each other");
	refused(ARGV("-l7", "--builtin=echo", "--redirect=unix:/x"),
		"--builtin and --redirect exclude each other");
	refused(ARGV("-l7", "--builtin=echo", "--shell=x"),
		"--shell and --builtin exclude each other");
	refused(ARGV("-l7", "-fx", "--", "tr"),
		"-f serves a file and -l or -- a single program: choose one");
	refused(ARGV("--once"), "--once is for -l ADDRESS -- PROGRAM");
	refused(ARGV("--per-source=3"),
		"--per-source is for -l ADDRESS -- PROGRAM; a file has its own options");
	refused(ARGV("--pid=5"), "--pid is for --plan");
	refused(ARGV("--plan", "-l7", "--", "tr"),
		"--plan is about a file: only files are reloaded");
	refused(ARGV("--plan", "--check"), "--check, --print-config, --plan, --explain and "
					   "--self-signed exclude one another");
	refused(ARGV("--check", "--print-config"), "--check, --print-config, --plan, --explain "
						   "and --self-signed exclude one another");
}

static void test_self_signed(void **ctx)
{
	(void)ctx;
	accepted(ARGV("--self-signed", "a.b", "10.0.0.1", "-v"));
	assert_int_equal(cmdline.mode, CMDLINE_SELF_SIGNED);
	assert_int_equal(cmdline.verbose, 1);
	assert_string_equal(cmdline.certified[0], "a.b");
	assert_string_equal(cmdline.certified[1], "10.0.0.1");
	assert_null(cmdline.certified[2]);
	cmdline_done(&cmdline);
	accepted(ARGV("--self-signed=a.b", "c.d"));
	assert_string_equal(cmdline.certified[1], "c.d");
	cmdline_done(&cmdline);

	refused(ARGV("--self-signed"), "--self-signed needs a value");
	refused(ARGV("--self-signed", "a", "--self-signed", "b"),
		"--self-signed is given twice; it takes several names");
	refused(ARGV("--self-signed", "a", "-f", "x"),
		"--self-signed only writes a file; serve it by another command");
	refused(ARGV("--self-signed", "a", "--daemon"),
		"--daemon and --self-signed exclude each other");
}

static void test_daemon(void **ctx)
{
	(void)ctx;
	accepted(ARGV("-f", "x"));
	assert_false(cmdline.daemon);
	assert_null(cmdline.pid_file);
	cmdline_done(&cmdline);
	accepted(ARGV("--daemon", "-f", "x"));
	assert_int_equal(cmdline.mode, CMDLINE_SERVE);
	assert_true(cmdline.daemon);
	assert_string_equal(cmdline.pid_file, "/run/hatchd.pid");
	cmdline_done(&cmdline);
	accepted(ARGV("--pid-file", "/run/x.pid"));
	assert_false(cmdline.daemon);
	assert_string_equal(cmdline.pid_file, "/run/x.pid");
	cmdline_done(&cmdline);
	accepted(ARGV("--daemon", "--help"));
	cmdline_done(&cmdline);

	refused(ARGV("--explain", "a", "::1", "--check"),
		"--check, --print-config, --plan, --explain and --self-signed exclude one "
		"another");
	refused(ARGV("--explain", "a"),
		"--explain needs a service and the address of a client");
	refused(ARGV("--explain"), "--explain needs a value");
	refused(ARGV("--explain", "a", "-v"),
		"--explain needs a service and the address of a client");
	refused(ARGV("--explain", "a", "::1", "--explain", "b", "::1"),
		"--explain is given twice");
	refused(ARGV("--explain", "a", "::1", "--daemon"),
		"--daemon and --explain exclude each other");
	refused(ARGV("--daemon", "--check"), "--daemon and --check exclude each other");
	refused(ARGV("--print-config", "--daemon"),
		"--daemon and --print-config exclude each other");
	refused(ARGV("--check", "--pid-file=/x"), "--pid-file and --check exclude each other");
	refused(ARGV("--daemon", "--once", "-l7", "--", "cat"),
		"--daemon and --once exclude each other");
	refused(ARGV("--daemon", "-l7", "--", "cat"),
		"--daemon is for services from a file, not for -l ADDRESS -- PROGRAM");
	refused(ARGV("--pid-file=/x", "--shell=cat"),
		"--pid-file is for services from a file, not for -l ADDRESS -- PROGRAM");
	refused(ARGV("--pid-file=x"), "--pid-file: 'x' is not the full path of a file");
	refused(ARGV("--pid-file=/run/"), "--pid-file: '/run/' is not the full path of a file");
	refused(ARGV("--pid-file="), "--pid-file: '' is not the full path of a file");
	refused(ARGV("--pid-file=/a", "--pid-file=/b"), "--pid-file is given twice");
	refused(ARGV("--daemon=yes"), "--daemon takes no value");
}

static void test_control(void **ctx)
{
	char path[120] = "/";

	(void)ctx;
	accepted(ARGV("-f", "x"));
	assert_string_equal(cmdline.control, "/run/hatchd/control");
	assert_false(cmdline.control_given);
	cmdline_done(&cmdline);
	accepted(ARGV("--control", "/tmp/c"));
	assert_string_equal(cmdline.control, "/tmp/c");
	assert_true(cmdline.control_given);
	cmdline_done(&cmdline);
	accepted(ARGV("--control=none"));
	assert_null(cmdline.control);
	assert_true(cmdline.control_given);
	cmdline_done(&cmdline);
	accepted(ARGV("-l7", "--", "cat"));
	assert_null(cmdline.control);
	cmdline_done(&cmdline);
	accepted(ARGV("-l7", "--control=/tmp/c", "--", "cat"));
	assert_string_equal(cmdline.control, "/tmp/c");
	cmdline_done(&cmdline);
	accepted(ARGV("--check"));
	assert_null(cmdline.control);
	cmdline_done(&cmdline);

	refused(ARGV("--control=/a", "--control=none"), "--control is given twice");
	refused(ARGV("--control="), "--control: '' is not the full path of a socket, or none");
	refused(ARGV("--control=c"),
		"--control: 'c' is not the full path of a socket, or none");
	refused(ARGV("--control=/run/"),
		"--control: '/run/' is not the full path of a socket, or none");
	refused(ARGV("--control=/c", "--check"), "--control and --check exclude each other");
	refused(ARGV("--plan", "--control=none"), "--control and --plan exclude each other");
	memset(path + 1, 'a', 106);
	accepted(ARGV("--take-over=/tmp/c"));
	assert_string_equal(cmdline.take_over, "/tmp/c");
	cmdline_done(&cmdline);
	accepted(ARGV("-f", "/tmp/f", "--take-over", "/tmp/c"));
	assert_string_equal(cmdline.take_over, "/tmp/c");
	cmdline_done(&cmdline);
	refused(ARGV("-l7", "--take-over", "/tmp/c", "--", "cat"),
		"--take-over is for services from a file, as the other one's");
	refused(ARGV("--take-over=c"), "--take-over: 'c' is not the full path of a socket");
	refused(ARGV("--take-over=/a", "--take-over=/b"), "--take-over is given twice");
	refused(ARGV("--take-over=/a", "--check"),
		"--take-over and --check exclude each other");

	accepted(ARGV("--control", path));
	cmdline_done(&cmdline);
	path[107] = 'a';
	refused(ARGV("--control", path),
		"--control: the path has 108 bytes; sockets have room for 107");
}

static void test_help(void **ctx)
{
	_cleanup_free_ char *text = NULL;
	char flag[OPTION_FLAG_MAX], item[OPTION_FLAG_MAX + 3];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)ctx;
	cmdline_help(out);
	fclose(out);
	assert_non_null(strstr(text, CMDLINE_FILE));
	for (const struct conf_option *o = conf_options; o->name; o++) {
		snprintf(item, sizeof item, "--%s", conf_option_flag(o, flag));
		if (!(o->flags & OPTION_NO_FLAG))
			assert_non_null(strstr(text, item));
	}
	assert_null(strstr(text, "image-fd"));
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serve),
		cmocka_unit_test(test_adhoc),
		cmocka_unit_test(test_other_modes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_self_signed),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
