/* front: what is told to clients is read as it was written, and nothing else is believed. */
#include "base/front.h"
#include "base/strv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text)                                                      \
	{                                                                \
		.data = (const uint8_t *)(text), .len = sizeof(text) - 1 \
	}

static char *some_names[] = {(char[]){"upper"}, (char[]){"a"}, (char[]){"x-y.z"}, NULL};

static const struct front_text whole = {
	.banner = BYTES("hello\r\n\0\xff"),
	.success = BYTES("come in\n"),
	.fail = BYTES("no"),
	.names = some_names,
};

static void bytes_equal(struct front_bytes a, struct front_bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.data, b.data, a.len);
}

/* Written, and read from a copy of exactly that length, so that a read beyond it is seen. */
static int pass(const struct front_text *text, struct front_text *ret, uint8_t **ret_data)
{
	struct wire_writer w;
	int r;

	wire_writer_init(&w);
	assert_int_equal(front_text_write(text, &w), 0);
	assert_true(w.len <= FRONT_TEXT_MAX);
	*ret_data = malloc(w.len);
	assert_non_null(*ret_data);
	memcpy(*ret_data, w.data, w.len);
	r = front_text_read(*ret_data, w.len, ret);
	wire_writer_done(&w);
	return r;
}

static void comes_back(const struct front_text *text)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct front_text got;

	assert_int_equal(pass(text, &got, &data), 0);
	bytes_equal(got.banner, text->banner);
	bytes_equal(got.success, text->success);
	bytes_equal(got.fail, text->fail);
	assert_true(strv_equal(got.names, text->names));
	front_text_done(&got);
	assert_null(got.names);
}

static void test_all_comes_back(void **ctx)
{
	(void)ctx;
	comes_back(&whole);
	comes_back(&(struct front_text){.banner = whole.banner});
	comes_back(&(struct front_text){.success = whole.success});
	comes_back(&(struct front_text){.fail = whole.fail});
	comes_back(&(struct front_text){.names = some_names});
	comes_back(&(struct front_text){0});
}

static void test_empty(void **ctx)
{
	char *none[] = {NULL};

	(void)ctx;
	assert_true(front_text_is_empty(&(struct front_text){0}));
	assert_true(front_text_is_empty(&(struct front_text){.names = none}));
	assert_false(front_text_is_empty(&(struct front_text){.banner = whole.banner}));
	assert_false(front_text_is_empty(&(struct front_text){.success = whole.success}));
	assert_false(front_text_is_empty(&(struct front_text){.fail = whole.fail}));
	assert_false(front_text_is_empty(&(struct front_text){.names = some_names}));
}

/* ------------------------------------------------------------------- the bounds */

static void is_not_written(const struct front_text *text, int error)
{
	struct wire_writer w;

	wire_writer_init(&w);
	assert_int_equal(front_text_write(text, &w), error);
	assert_int_equal(w.len, 0);
	assert_int_equal(w.error, 0);
	wire_writer_done(&w);
}

static void test_banners_have_a_bound(void **ctx)
{
	static const uint8_t bytes[FRONT_BANNER_MAX + 1];
	struct front_bytes most = {.data = bytes, .len = FRONT_BANNER_MAX};
	struct front_bytes more = {.data = bytes, .len = FRONT_BANNER_MAX + 1};

	(void)ctx;
	comes_back(&(struct front_text){.banner = most, .success = most, .fail = most});
	is_not_written(&(struct front_text){.banner = more}, -E2BIG);
	is_not_written(&(struct front_text){.success = more}, -E2BIG);
	is_not_written(&(struct front_text){.fail = more}, -E2BIG);
}

static void test_a_name_has_a_bound(void **ctx)
{
	char name[FRONT_NAME_MAX + 2] = {0}, *names[] = {name, NULL};

	(void)ctx;
	is_not_written(&(struct front_text){.names = names}, -EINVAL);
	memset(name, 'x', FRONT_NAME_MAX);
	comes_back(&(struct front_text){.names = names});
	name[FRONT_NAME_MAX] = 'x';
	is_not_written(&(struct front_text){.names = names}, -E2BIG);
}

/* As many as one likes of the same: they are borrowed. */
static char **many_names(size_t n)
{
	static char name[] = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
	char **names = calloc(n + 1, sizeof *names);

	assert_non_null(names);
	for (size_t i = 0; i < n; i++)
		names[i] = name;
	return names;
}

/* A length and 60 letters each, and one that says how many. */
static void test_names_have_a_bound(void **ctx)
{
	const size_t most = (FRONT_NAMES_MAX - 4) / 64;
	_cleanup_free_ char **names = many_names(most + 1);

	(void)ctx;
	assert_int_equal(strlen(names[0]), 60);
	is_not_written(&(struct front_text){.names = names}, -E2BIG);
	names[most] = NULL;
	comes_back(&(struct front_text){.names = names});
}

/* -------------------------------------------------------------- what is not believed */

static void is_refused(const struct wire_writer *w)
{
	struct front_text got = {.banner = {.len = 42}};

	assert_int_equal(w->error, 0);
	assert_int_equal(front_text_read(w->data, w->len, &got), -EBADMSG);
	/* An output is not touched on failure. */
	assert_int_equal(got.banner.len, 42);
}

/* Every shorter one is refused, and so is one more byte. */
static void test_cut_and_longer(void **ctx)
{
	struct wire_writer w;
	size_t len;

	(void)ctx;
	wire_writer_init(&w);
	assert_int_equal(front_text_write(&whole, &w), 0);
	len = w.len;
	for (w.len = 0; w.len < len; w.len++)
		is_refused(&w);
	wire_put_u8(&w, 0);
	is_refused(&w);
	wire_writer_done(&w);
	assert_int_equal(front_text_read(NULL, 0, &(struct front_text){0}), -EBADMSG);
}

static void put_banners(struct wire_writer *w, uint32_t len)
{
	static const uint8_t bytes[FRONT_BANNER_MAX + 1];

	wire_writer_init(w);
	wire_put_blob(w, bytes, len);
	wire_put_blob(w, NULL, 0);
	wire_put_blob(w, NULL, 0);
}

static void test_a_long_banner(void **ctx)
{
	struct wire_writer w;

	(void)ctx;
	put_banners(&w, FRONT_BANNER_MAX + 1);
	wire_put_strv(&w, NULL);
	is_refused(&w);
	wire_writer_done(&w);
}

static void test_names_that_are_none(void **ctx)
{
	static const char *const bad[] = {
		"", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", NULL};
	struct wire_writer w;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_banners(&w, 0);
		wire_put_u32(&w, 1);
		wire_put_string(&w, bad[i]);
		is_refused(&w);
		wire_writer_done(&w);
	}
	put_banners(&w, 0);
	wire_put_u32(&w, 1);
	wire_put_blob(&w, "a\0b", 3);
	is_refused(&w);
	wire_writer_done(&w);
}

/* No memory is taken for what cannot be there. */
static void test_counts_of_what_is_not_there(void **ctx)
{
	struct wire_writer w;

	(void)ctx;
	put_banners(&w, 0);
	wire_put_u32(&w, UINT32_MAX);
	is_refused(&w);
	wire_writer_done(&w);
	wire_writer_init(&w);
	wire_put_u32(&w, UINT32_MAX);
	is_refused(&w);
	wire_writer_done(&w);
}

/* All zero it would be as many empty names. */
static void test_more_than_the_bound(void **ctx)
{
	static const uint8_t zeroes[FRONT_NAMES_MAX];
	struct wire_writer w;

	(void)ctx;
	put_banners(&w, 0);
	wire_put_u32(&w, FRONT_NAMES_MAX / 4);
	wire_put_raw(&w, zeroes, sizeof zeroes);
	is_refused(&w);
	wire_writer_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_comes_back),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_banners_have_a_bound),
		cmocka_unit_test(test_a_name_has_a_bound),
		cmocka_unit_test(test_names_have_a_bound),
		cmocka_unit_test(test_cut_and_longer),
		cmocka_unit_test(test_a_long_banner),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_counts_of_what_is_not_there),
		cmocka_unit_test(test_more_than_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
