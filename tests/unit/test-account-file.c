/* account_file: whole lines, in no other file, and old ones put aside. */
#include "os/account_file.h"

#include "base/clock.h"
#include "base/own.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/hatchd-test-account-XXXXXX";
static char path[64];
static struct account_file file;
static uint64_t now = 60 * USEC_PER_SEC;

static void init(uint64_t limit, unsigned keep)
{
	assert_int_equal(account_file_init(&file, path, limit, keep), 0);
}

static int add(const char *lines)
{
	size_t done = 0;
	int r = account_file_add(&file, lines, strlen(lines), now, &done);

	assert_true(r < 0 || done == strlen(lines));
	return r;
}

/* What is in it; "" where it is not there. */
static const char *content(const char *suffix)
{
	static char buf[4096];
	char name[96];
	FILE *f;
	size_t n = 0;

	snprintf(name, sizeof name, "%s%s", path, suffix);
	f = fopen(name, "r");
	if (f) {
		n = fread(buf, 1, sizeof buf - 1, f);
		fclose(f);
	}
	buf[n] = '\0';
	return buf;
}

static void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int begin(void **state)
{
	(void)state;
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/f", folder);
	return 0;
}

static int end(void **state)
{
	char name[96];

	(void)state;
	account_file_done(&file);
	chmod(folder, 0700);
	for (int i = 0; i < 9; i++) {
		snprintf(name, sizeof name, i ? "%s.%d" : "%s", path, i);
		remove(name);
	}
	return rmdir(folder);
}

static void test_lines(void **state)
{
	struct stat st;

	(void)state;
	umask(027);
	init(1000, 3);
	assert_int_equal(add("a\n"), 0);
	assert_int_equal(add("b\nc\n"), 0);
	assert_string_equal(content(""), "a\nb\nc\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file.step, ACCOUNT_FINE);
}

/* What is there is kept, and a line that somebody did not end does not take ours. */
static void test_torn(void **state)
{
	(void)state;
	write_file("old\nto");
	init(1000, 3);
	assert_int_equal(add("a\n"), 0);
	assert_string_equal(content(""), "old\nto\na\n");
}

static void test_put_aside(void **state)
{
	(void)state;
	init(8, 2);
	assert_int_equal(add("aaa\nbbb\nccc\n"), 0);
	assert_string_equal(content(""), "ccc\n");
	assert_string_equal(content(".1"), "aaa\nbbb\n");
	assert_int_equal(add("ddd\n"), 0);
	assert_int_equal(add("eee\nfff\n"), 0);
	assert_string_equal(content(""), "eee\nfff\n");
	assert_string_equal(content(".1"), "ccc\nddd\n");
	assert_string_equal(content(".2"), "aaa\nbbb\n");
	assert_int_equal(add("ggg\n"), 0);
	assert_string_equal(content(".2"), "ccc\nddd\n");
	assert_string_equal(content(".3"), "");
}

/* A line that is longer than a file may be has one for itself. */
static void test_long_line(void **state)
{
	(void)state;
	init(8, 2);
	assert_int_equal(add("a\n0123456789\nb\n"), 0);
	assert_string_equal(content(""), "b\n");
	assert_string_equal(content(".1"), "0123456789\n");
	assert_string_equal(content(".2"), "a\n");
}

static void test_moved_away(void **state)
{
	char aside[96];

	(void)state;
	init(1000, 2);
	assert_int_equal(add("a\n"), 0);
	snprintf(aside, sizeof aside, "%s.1", path);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(account_file_reopen(&file), 0);
	assert_int_equal(add("b\n"), 0);
	assert_string_equal(content(""), "b\n");
	assert_string_equal(content(".1"), "a\n");
	/* And nobody tells. */
	assert_int_equal(rename(path, aside), 0);
	now += 2 * USEC_PER_SEC;
	assert_int_equal(add("c\n"), 0);
	assert_string_equal(content(""), "c\n");
	assert_string_equal(content(".1"), "b\n");
}

static void check_irregular(enum account_step step)
{
	init(1000, 2);
	assert_true(add("a\n") < 0);
	assert_int_equal(file.step, step);
	assert_true(file.error < 0);
	assert_int_equal(file.fd, -EBADF);
}

static void test_fifo(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	check_irregular(ACCOUNT_IRREGULAR);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(add("a\n"), 0);
	assert_int_equal(file.step, ACCOUNT_FINE);
	assert_int_equal(file.error, 0);
}

static void test_link(void **state)
{
	(void)state;
	assert_int_equal(symlink("elsewhere", path), 0);
	check_irregular(ACCOUNT_IRREGULAR);
}

static void test_directory(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	check_irregular(ACCOUNT_IRREGULAR);
}

static void test_folder(void **state)
{
	(void)state;
	assert_int_equal(chmod(folder, 0777), 0);
	assert_true(account_file_init(&file, path, 1000, 2) < 0);
	assert_int_equal(file.step, ACCOUNT_EXPOSED);
	account_file_done(&file);
	assert_true(account_file_init(&file, "/nowhere/at/all", 1000, 2) < 0);
	assert_int_equal(file.step, ACCOUNT_FOLDER);
	account_file_done(&file);
	assert_true(account_file_init(&file, "/tmp/", 1000, 2) < 0);
}

/* As a full disk: what was written of the line is taken back. */
static void test_no_room(void **state)
{
	struct rlimit old, small;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 6;
	init(1000, 2);
	assert_int_equal(add("aaa\n"), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(add("bbb\n"), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(file.step, ACCOUNT_WRITE);
	assert_string_equal(content(""), "aaa\n");
	assert_int_equal(add("ccc\n"), 0);
	assert_string_equal(content(""), "aaa\nccc\n");
}

/* An old one that is a directory cannot be replaced: the file grows on. */
static void test_cannot_be_put_aside(void **state)
{
	char aside[96];

	(void)state;
	snprintf(aside, sizeof aside, "%s.1", path);
	assert_int_equal(mkdir(aside, 0700), 0);
	init(4, 1);
	assert_int_equal(add("aaa\nbbb\n"), 0);
	assert_int_equal(file.step, ACCOUNT_RENAME);
	assert_string_equal(content(""), "aaa\nbbb\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, begin, end),
		cmocka_unit_test_setup_teardown(test_torn, begin, end),
		cmocka_unit_test_setup_teardown(test_put_aside, begin, end),
		cmocka_unit_test_setup_teardown(test_long_line, begin, end),
		cmocka_unit_test_setup_teardown(test_moved_away, begin, end),
		cmocka_unit_test_setup_teardown(test_fifo, begin, end),
		cmocka_unit_test_setup_teardown(test_link, begin, end),
		cmocka_unit_test_setup_teardown(test_directory, begin, end),
		cmocka_unit_test_setup_teardown(test_folder, begin, end),
		cmocka_unit_test_setup_teardown(test_no_room, begin, end),
		cmocka_unit_test_setup_teardown(test_cannot_be_put_aside, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
