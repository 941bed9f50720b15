/* load: what a mistake, a condition and a flag do to the exit status (I7). */
#include "conf/load.h"

#include "conf/image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-load-XXXXXX";
static char main_path[64], one_path[64], two_path[64];

/* Uid of the runner as a user that it may name. */
static const char *me(void)
{
	static char number[16];

	snprintf(number, sizeof number, "%u", getuid());
	return number;
}

static void write_file(const char *path, const char *name, const char *rest)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	if (!name)
		fputs("include(\"one.conf\")\ninclude(\"two.conf\")\n", file);
	else
		fprintf(file,
			"service %s {\nlisten = unix:@%s\nexec = /bin/sh\nuser = %s\ngroup = "
			"%u\n%s\n}\n",
			name, name, me(), getgid(), rest);
	fclose(file);
	chmod(path, 0644);
}

static int setup(void **ctx)
{
	(void)ctx;
	if (!mkdtemp(folder))
		return -1;
	snprintf(main_path, sizeof main_path, "%s/main.conf", folder);
	snprintf(one_path, sizeof one_path, "%s/one.conf", folder);
	snprintf(two_path, sizeof two_path, "%s/two.conf", folder);
	return 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	unlink(main_path);
	unlink(one_path);
	unlink(two_path);
	rmdir(folder);
	return 0;
}

/* Two services in included files; `rest` is what else the second one says. */
static void write_files(const char *rest)
{
	write_file(main_path, NULL, NULL);
	write_file(one_path, "one", "");
	write_file(two_path, "two", rest);
}

struct said {
	int status;
	char *out, *err;
};

static struct said run(struct cmdline *cmdline)
{
	size_t out_len, err_len;
	struct said said = {0};
	struct load *load;
	FILE *out = open_memstream(&said.out, &out_len);
	FILE *err = open_memstream(&said.err, &err_len);

	cmdline->file = main_path;
	said.status = load_run(cmdline, out, err, &load);
	assert_null(load_free(load));
	fclose(out);
	fclose(err);
	return said;
}

static void said_done(struct said *said)
{
	free(said->out);
	free(said->err);
}

/* Load as for the master; the number of services in the image, or -1. */
static int serve(bool strict, int *ret_status)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING), n = -1;
	struct cmdline cmdline = {.mode = CMDLINE_SERVE,
		.strict = strict,
		.image_fd = fd,
		.in_force_fd = -1,
		.secrets_fd = -1,
		.old_secrets_fd = -1};
	struct said said = run(&cmdline);
	struct conf conf;

	*ret_status = said.status;
	if (image_read(fd, &conf) == 0) {
		n = (int)conf.n_services;
		conf_done(&conf);
	}
	close(fd);
	said_done(&said);
	return n;
}

static void check(const char *summary, int status)
{
	struct cmdline cmdline = {.mode = CMDLINE_CHECK,
		.image_fd = -1,
		.in_force_fd = -1,
		.secrets_fd = -1,
		.old_secrets_fd = -1};
	struct said said = run(&cmdline);

	assert_string_equal(said.out, summary);
	assert_int_equal(said.status, status);
	said_done(&said);
}

static void test_clean(void **ctx)
{
	char summary[128];
	int status;

	(void)ctx;
	write_files("");
	assert_int_equal(serve(true, &status), 2);
	assert_int_equal(status, LOAD_OK);
	snprintf(summary, sizeof summary, "%s: 2 services, no mistakes\n", main_path);
	check(summary, LOAD_OK);
}

static void test_mistake_in_one_file(void **ctx)
{
	int status;

	(void)ctx;
	write_files("nice = 99");
	assert_int_equal(serve(false, &status), 1);
	assert_int_equal(status, LOAD_OK);
	assert_int_equal(serve(true, &status), -1);
	assert_int_equal(status, LOAD_MISTAKES);
	check("1 mistake in 1 file\n", LOAD_MISTAKES);
}

static void test_mistake_in_main_file(void **ctx)
{
	FILE *file;
	int status;

	(void)ctx;
	write_files("");
	file = fopen(main_path, "a");
	fputs("defaults { nice = 99 }\n", file);
	fclose(file);
	assert_int_equal(serve(false, &status), -1);
	assert_int_equal(status, LOAD_MISTAKES);
	check("1 mistake in 1 file\n", LOAD_MISTAKES);
}

static void test_condition(void **ctx)
{
	int status;

	(void)ctx;
	write_files("directory = /nowhere");
	assert_int_equal(serve(true, &status), 2);
	assert_int_equal(status, LOAD_OK);
	check("1 condition in 1 file\n", LOAD_MISTAKES);
}

static void test_no_main_file(void **ctx)
{
	int status;

	(void)ctx;
	unlink(main_path);
	assert_int_equal(serve(false, &status), -1);
	assert_int_equal(status, LOAD_UNKNOWN);
}

/* Who types the name of the program alone is told how to go on. */
static void test_no_file_at_all(void **ctx)
{
	struct cmdline cmdline = {.mode = CMDLINE_SERVE,
		.image_fd = -1,
		.in_force_fd = -1,
		.secrets_fd = -1,
		.old_secrets_fd = -1};
	struct said said;

	(void)ctx;
	unlink(main_path);
	said = run(&cmdline);
	assert_int_equal(said.status, LOAD_UNKNOWN);
	assert_non_null(strstr(said.err, "there is no configuration yet"));
	said_done(&said);

	cmdline.file_given = true;
	said = run(&cmdline);
	assert_null(strstr(said.err, "there is no configuration yet"));
	said_done(&said);
}

static void test_empty(void **ctx)
{
	struct cmdline cmdline = {.mode = CMDLINE_CHECK,
		.image_fd = -1,
		.in_force_fd = -1,
		.secrets_fd = -1,
		.old_secrets_fd = -1};
	struct said said;

	(void)ctx;
	fclose(fopen(main_path, "w"));
	said = run(&cmdline);
	assert_int_equal(said.status, LOAD_OK);
	assert_non_null(strstr(said.err, "warning: no services"));
	assert_non_null(strstr(said.out, ": 0 services, no mistakes\n"));
	said_done(&said);
}

static void test_print(void **ctx)
{
	struct cmdline cmdline = {.mode = CMDLINE_PRINT_CONFIG,
		.image_fd = -1,
		.in_force_fd = -1,
		.secrets_fd = -1,
		.old_secrets_fd = -1};
	struct said said;

	(void)ctx;
	write_files("nice = 5");
	said = run(&cmdline);
	assert_int_equal(said.status, LOAD_OK);
	assert_string_equal(said.err, "");
	assert_non_null(strstr(said.out, "\tnice   = 5\n"));
	said_done(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_mistake_in_one_file),
		cmocka_unit_test(test_mistake_in_main_file),
		cmocka_unit_test(test_condition),
		cmocka_unit_test(test_no_main_file),
		cmocka_unit_test(test_no_file_at_all),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
