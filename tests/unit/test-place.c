/* place: what is asked of the file system once and then remembered. */
#include "conf/place.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	struct memo memo;
	char folder[64]; /* fresh, of our own */
};

static int set_up(void **ctx)
{
	struct scene *scene = calloc(1, sizeof *scene);

	assert_non_null(scene);
	memo_init(&scene->memo);
	strcpy(scene->folder, "/tmp/hatchd-test-place-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	*ctx = scene;
	return 0;
}

static int tear_down(void **ctx)
{
	struct scene *scene = *ctx;

	rmdir(scene->folder);
	memo_done(&scene->memo);
	free(scene);
	return 0;
}

static void test_memo_keeps_answer_and_text(void **ctx)
{
	struct scene *scene = *ctx;
	_cleanup_free_ char *text = NULL;
	int r = 1;

	assert_false(memo_recall(&scene->memo, "why", &r, &text));
	assert_int_equal(r, 1);
	memo_remember(&scene->memo, "why", -ENOENT, "because");
	memo_remember(&scene->memo, "why", 0, "the first one stays");
	assert_true(memo_recall(&scene->memo, "why", &r, &text));
	assert_int_equal(r, -ENOENT);
	assert_string_equal(text, "because");
}

static void test_memo_knows_answers_without_text(void **ctx)
{
	struct scene *scene = *ctx;
	char *text = (char *)"";
	int r;

	memo_remember(&scene->memo, "how", 0, NULL);
	assert_true(memo_recall(&scene->memo, "how", &r, &text));
	assert_int_equal(r, 0);
	assert_null(text);
	assert_true(memo_recall(&scene->memo, "how", &r, NULL));
}

static void test_memo_leaves_out_what_is_no_question(void **ctx)
{
	struct scene *scene = *ctx;
	int r;

	memo_remember(&scene->memo, NULL, 0, "text");
	assert_false(memo_recall(&scene->memo, NULL, &r, NULL));
}

/* Whoever puts a root and a path together differently asks something else. */
static void test_questions_differ(void **ctx)
{
	_cleanup_free_ char *a = place_question("directory", "/a", "b /c");
	_cleanup_free_ char *b = place_question("directory", "/a b", "/c");
	_cleanup_free_ char *c = place_question("program", "/a", "b /c");
	_cleanup_free_ char *d = place_question("directory", NULL, "/a b /c");

	(void)ctx;
	assert_string_not_equal(a, b);
	assert_string_not_equal(a, c);
	assert_string_not_equal(a, d);
}

static void test_directory_is_asked_once(void **ctx)
{
	struct scene *scene = *ctx;
	struct memo other;

	assert_int_equal(place_check_directory(&scene->memo, NULL, scene->folder), 0);
	assert_int_equal(rmdir(scene->folder), 0);
	assert_int_equal(place_check_directory(&scene->memo, NULL, scene->folder), 0);

	memo_init(&other);
	assert_int_equal(place_check_directory(&other, NULL, scene->folder), -ENOENT);
	memo_done(&other);
}

/* Where others may write depends on who asks. */
static void test_writable_is_asked_once_for_each_user(void **ctx)
{
	const struct place_owners us = {getuid(), getgid()};
	const struct place_owners stranger = {getuid() + 1, getgid() + 1};
	struct scene *scene = *ctx;
	_cleanup_free_ char *first = NULL, *second = NULL, *third = NULL;
	struct memo *memo = &scene->memo;

	assert_int_equal(chmod(scene->folder, 0700), 0);
	assert_false(place_writable_by_others(memo, NULL, scene->folder, &us, &first));
	assert_null(first);
	assert_int_equal(chmod(scene->folder, 0777), 0);
	assert_false(place_writable_by_others(memo, NULL, scene->folder, &us, &first));

	assert_true(place_writable_by_others(memo, NULL, scene->folder, &stranger, &second));
	assert_string_equal(second, scene->folder);
	assert_int_equal(chmod(scene->folder, 0700), 0);
	assert_true(place_writable_by_others(memo, NULL, scene->folder, &stranger, &third));
	assert_string_equal(third, scene->folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_memo_keeps_answer_and_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_memo_knows_answers_without_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_memo_leaves_out_what_is_no_question, set_up, tear_down),
		cmocka_unit_test(test_questions_differ),
		cmocka_unit_test_setup_teardown(
			test_directory_is_asked_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_writable_is_asked_once_for_each_user, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
