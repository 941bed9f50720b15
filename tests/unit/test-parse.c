/* parse: values and places, files and what may be wrong with them. */
#include "conf/options.h"
#include "conf/parse.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

static struct diag_list diags;
static struct raw_conf raw;
static struct source *sources;
static char *folder; /* a fresh one for each test, and the working directory */

static void forget(void)
{
	raw_conf_done(&raw);
	source_list_free(sources);
	sources = NULL;
	diag_list_done(&diags);
}

static int setup(void **state)
{
	char name[] = "/tmp/hatchd-test-parse-XXXXXX";

	(void)state;
	diag_list_init(&diags);
	raw_conf_init(&raw);
	folder = strdup(mkdtemp(name));
	umask(022);
	return folder ? chdir(folder) : -1;
}

static int teardown(void **state)
{
	_cleanup_free_ char *command = NULL;
	int r;

	(void)state;
	forget();
	if (chdir("/") < 0 || asprintf(&command, "rm -r %s", folder) < 0)
		return -1;
	r = system(command);
	free(folder);
	return r;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void parse(const char *text)
{
	forget();
	assert_int_equal(parse_text("f", text, strlen(text), &raw, &sources, &diags), 0);
}

static const struct raw_value *value_of(const char *section, const char *option, size_t i)
{
	for (size_t s = 0; s < raw.n_sections; s++) {
		if (strcmp(raw.sections[s].title ? raw.sections[s].title : "", section) != 0)
			continue;
		for (size_t a = 0; a < raw.sections[s].n_assigns; a++) {
			const struct raw_assign *assign = &raw.sections[s].assigns[a];

			if (strcmp(assign->option->name, option) == 0 && i < assign->n_values)
				return &assign->values[i];
		}
	}
	fail_msg("no value %zu of %s in '%s'", i, option, section);
	return NULL;
}

static void check_value(const char *section, const char *option, size_t i, const char *wanted)
{
	assert_string_equal(value_of(section, option, i)->text, wanted);
}

/* The names of all services in order, with a blank behind each. */
static void check_services(const char *wanted)
{
	char names[200] = "";

	for (size_t i = 0; i < raw.n_sections; i++) {
		if (raw.sections[i].kind != RAW_SERVICE)
			continue;
		strcat(names, raw.sections[i].title);
		strcat(names, " ");
	}
	assert_string_equal(names, wanted);
}

static void check_said(const char *file, const char *what)
{
	for (size_t i = 0; i < diags.n; i++) {
		if (strcmp(diags.items[i].origin.file, file) == 0 &&
			strstr(diags.items[i].text, what))
			return;
	}
	diag_print(&diags, sources, false, stderr);
	fail_msg("'%s' not said of %s", what, file);
}

static bool is_refused(const char *path)
{
	for (const struct source *s = sources; s; s = s->next) {
		if (strcmp(s->path, path) == 0)
			return s->refused;
	}
	fail_msg("%s has not been read", path);
	return false;
}

/* Read main.conf anew. */
static int load(void)
{
	forget();
	return parse_files("main.conf", &raw, &sources, &diags);
}

static void test_values(void **state)
{
	(void)state;
	parse("service a { exec = { plain, \"d \\\"q\\\" \\n\\t\\\\\", 's \\' \\\\ \\n $ "
	      "${HOME} \"' }\n"
	      "shell = 'one \\\n two\nthree' env += \"\xc3\xbc\" argv0 = \"\" }");
	assert_int_equal(diags.n, 0);
	check_value("a", "exec", 0, "plain");
	check_value("a", "exec", 1, "d \"q\" \n\t\\");
	check_value("a", "exec", 2, "s ' \\ \\n $ ${HOME} \"");
	check_value("a", "shell", 0, "one  two\nthree");
	check_value("a", "env", 0, "\xc3\xbc");
	check_value("a", "argv0", 0, "");
}

static void test_shape(void **state)
{
	const struct raw_section *s;

	(void)state;
	parse("total_instances = 7\n"
	      "defaults { user = x rlimit { core = 0 nofile = 9 } }\n"
	      "service a { env += { } listen = 1 rlimit { core = 1 } wait = no }\n"
	      "total_instances = 8\n");
	assert_int_equal(diags.n_by_severity[DIAG_ERROR], 1);
	assert_int_equal(raw.n_sections, 3);
	check_value("a", "rlimit.core", 0, "1");
	check_value("", "total_instances", 0, "7");
	check_value("", "rlimit.nofile", 0, "9");

	s = &raw.sections[1];
	assert_int_equal(s->kind, RAW_SERVICE);
	assert_int_equal(s->n_assigns, 4);
	assert_true(s->assigns[0].append);
	assert_int_equal(s->assigns[0].n_values, 0);
	assert_false(s->assigns[1].append);
	assert_int_equal(s->assigns[3].origin.line, 3);
	assert_int_equal(s->assigns[3].origin.column, 55);
	assert_true(sources->refused);
}

static void test_broken_text_yields_nothing(void **state)
{
	(void)state;
	parse("service a { user = x } service b { user = \"");
	assert_int_equal(raw.n_sections, 0);
	assert_true(sources->refused);
	/* And leaves nothing behind for the next. */
	parse("service c { user = x }");
	assert_int_equal(diags.n, 0);
	check_services("c ");
}

static void test_many_services(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	for (int i = 0; i < 10000; i++)
		fprintf(out, "service s%d { listen = %d exec = { a, b } }\n", i, i);
	fclose(out);
	parse(text);
	free(text);
	assert_int_equal(diags.n, 0);
	assert_int_equal(raw.n_sections, 10000);
	check_value("s9999", "listen", 0, "9999");
	assert_int_equal(value_of("s9999", "exec", 1)->origin.line, 10000);
}

/* libconfuse is told of the options that a file has, and no others. */
static void test_each_section_has_options_of_its_own(void **state)
{
	(void)state;
	parse("service empty { } service none { rlimit { } }\n"
	      "service a { user = x } service b { exec = { p, q } }\n"
	      "service c { rlimit { core = 1 } nope = 1 }\n");
	assert_int_equal(diags.n, 1);
	check_services("empty none a b c ");
	check_value("a", "user", 0, "x");
	check_value("b", "exec", 1, "q");
	check_value("c", "rlimit.core", 0, "1");
	assert_int_equal(raw.sections[0].n_assigns, 0);
	assert_int_equal(raw.sections[1].n_assigns, 0);

	parse("service empty { } service none { rlimit { } }");
	assert_int_equal(diags.n, 0);
	check_services("empty none ");
}

static void test_environment_is_not_used(void **state)
{
	(void)state;
	setenv("HATCHD_TEST", "expanded", 1);
	parse("service a { user = \"$HATCHD_TEST\" shell = '${HATCHD_TEST}' }");
	check_value("a", "user", 0, "$HATCHD_TEST");
	check_value("a", "shell", 0, "${HATCHD_TEST}");
}

static void test_includes(void **state)
{
	(void)state;
	assert_int_equal(mkdir("d", 0755) | mkdir("d/sub", 0755) | mkdir("e", 0755), 0);
	write_file(
		"main.conf", "include_dir(\"d/\") service m { } include(\"x\") include_dir(e)");
	write_file("x", "service x { } include(\"d/sub/y\")");
	write_file("d/sub/y", "service y { } include(z)");
	write_file("d/sub/z", "service z { }");
	write_file("d/b.conf", "service b { }");
	write_file("d/B.conf", "service bb { }");
	write_file("d/10.conf", "service ten { }");
	write_file("d/9.conf", "service nine { }");
	write_file("d/.hidden.conf", "nonsense");
	write_file("d/b.conf~", "nonsense");
	write_file("d/b.conf.dpkg-old", "nonsense");
	write_file("d/.conf", "nonsense");
	assert_int_equal(load(), 0);
	assert_int_equal(diags.n, 0);
	check_services("m ten nine bb b x y z ");
}

static void test_file_of_directory_alone_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	write_file("main.conf", "include_dir(d)");
	write_file("d/a.conf", "service a { user = { x } group = y }");
	write_file("d/b.conf", "service b { }");
	write_file("d/c.conf", "service b { }");
	assert_int_equal(symlink("nowhere", "d/d.conf"), 0);
	assert_int_equal(load(), 0);
	assert_false(is_refused("main.conf"));
	assert_true(is_refused("d/a.conf"));
	assert_false(is_refused("d/b.conf"));
	assert_true(is_refused("d/c.conf"));
	assert_true(is_refused("d/d.conf"));
	check_services("a b ");
	check_value("a", "group", 0, "y");
}

static void test_kinds_of_file(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	write_file(
		"main.conf", "include(fifo) include(/dev/null) include(socket) include(dir)");
	assert_int_equal(mkfifo("fifo", 0644) | mkdir("dir", 0755), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
	assert_int_equal(load(), 0);
	check_said("main.conf", "FIFO");
	check_said("main.conf", "device");
	check_said("main.conf", "socket");
	check_said("main.conf", "use include_dir()");
	assert_int_equal(diags.n, 4);
	assert_true(is_refused("main.conf"));
}

static void test_main_file(void **state)
{
	(void)state;
	assert_int_equal(load(), -ENOENT);
	check_said("main.conf", "No such file");
	assert_int_equal(mkdir("main.conf", 0755), 0);
	assert_int_equal(load(), -EISDIR);
	assert_int_equal(rmdir("main.conf"), 0);
	write_file("main.conf", "");
	assert_int_equal(load(), 0);
	assert_int_equal(diags.n, 0);
	assert_int_equal(truncate("main.conf", CONF_FILE_MAX + 1), 0);
	assert_int_equal(load(), -EFBIG);
	check_said("main.conf", "larger than 16 MB");
	assert_int_equal(truncate("main.conf", CONF_FILE_MAX), 0);
	assert_int_equal(load(), 0);
	check_said("main.conf", "NUL byte at offset 0");
}

static void test_trust(void **state)
{
	(void)state;
	write_file("main.conf", "service a { }");
	assert_int_equal(chmod("main.conf", 0666), 0);
	assert_int_equal(load(), -EPERM);
	check_said("main.conf", "everybody may write to it");
	assert_int_equal(chmod("main.conf", 0664), 0);
	assert_int_equal(load(), 0);
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown("main.conf", 12345, 0), 0);
	assert_int_equal(load(), -EPERM);
	check_said("main.conf", "neither root");
}

/* Who may put a file into a directory can configure root as well. */
static void test_trust_of_directory(void **state)
{
	(void)state;
	write_file("main.conf", "include_dir(d)");
	assert_int_equal(mkdir("d", 0755), 0);
	write_file("d/a.conf", "service a { }");
	assert_int_equal(chmod("d", 0777), 0);
	assert_int_equal(load(), 0);
	check_said("main.conf", "everybody may write to it");
	check_services("");
	if (geteuid() != 0)
		skip();

	assert_int_equal(chmod("d", 0775), 0);
	assert_int_equal(load(), 0);
	assert_int_equal(diags.n, 0);
	assert_int_equal(chown("d", 0, 12345), 0);
	assert_int_equal(load(), 0);
	check_said("main.conf", "the group of 'd' may write to it");
	assert_false(is_refused("main.conf"));
	check_services("a ");

	assert_int_equal(chown("d", 12345, 0), 0);
	assert_int_equal(load(), 0);
	check_said("main.conf", "it does not belong to root");
	assert_true(is_refused("main.conf"));
	check_services("");
}

static void test_loops(void **state)
{
	(void)state;
	write_file("main.conf", "service a { } include(\"./main.conf\")");
	assert_int_equal(load(), 0);
	check_said("main.conf", "includes itself");
	assert_int_equal(diags.n, 1);

	/* By another name, and through a directory that holds the file itself. */
	assert_int_equal(symlink("main.conf", "alias"), 0);
	write_file("main.conf", "include(alias)");
	assert_int_equal(load(), 0);
	check_said("main.conf", "includes itself");
	write_file("main.conf", "include_dir(\".\")");
	assert_int_equal(load(), 0);
	check_said("main.conf", "includes itself");
	assert_int_equal(diags.n, 1);
}

static void test_depth(void **state)
{
	char name[16], text[32];

	(void)state;
	for (int i = 1; i <= 20; i++) {
		if (i == 1)
			snprintf(name, sizeof name, "main.conf");
		else
			snprintf(name, sizeof name, "%d", i);
		snprintf(text, sizeof text, "include(%d)", i + 1);
		write_file(name, i < CONF_INCLUDE_DEPTH ? text : "service last { }");
	}
	assert_int_equal(load(), 0);
	assert_int_equal(diags.n, 0);
	check_services("last ");
	write_file("16", "include(17)");
	assert_int_equal(load(), 0);
	check_said("16", "more than 16 files");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_broken_text_yields_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_services, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_each_section_has_options_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(test_includes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_file_of_directory_alone_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds_of_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_main_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trust, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trust_of_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
