/* words: each text once, and with the last of its users it goes. */
#include "workers/front/words.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct words_shelf shelf;

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	return fd;
}

static int file_saying(const char *banner, char **names)
{
	struct front_text text = {
		.banner = {.data = (const uint8_t *)banner, .len = strlen(banner)},
		.names = names,
	};
	struct wire_writer w;
	int fd;

	wire_writer_init(&w);
	assert_int_equal(front_text_write(&text, &w), 0);
	fd = file_of(w.data, w.len);
	wire_writer_done(&w);
	return fd;
}

static struct words *get(int fd)
{
	struct words *words;

	assert_int_equal(words_get(&shelf, fd, &words), 0);
	return words;
}

static int set_up(void **state)
{
	(void)state;
	memset(&shelf, 0, sizeof shelf);
	return 0;
}

static size_t on_the_shelf(void)
{
	size_t n = 0;

	for (size_t i = 0; i < WORDS_BUCKETS; i++)
		for (const struct words *words = shelf.buckets[i]; words; words = words->next)
			n++;
	return n;
}

static void test_equal_ones_are_one(void **state)
{
	int fd = file_saying("hello", NULL), same = file_saying("hello", NULL);
	struct words *a = get(fd), *b = get(same), *c = get(fd);

	(void)state;
	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	assert_int_equal(on_the_shelf(), 1);
	close(fd);
	close(same);
	assert_null(words_put(a));
	assert_null(words_put(b));
	assert_int_equal(c->text.banner.len, 5);
	assert_memory_equal(c->text.banner.data, "hello", 5);
	words_put(c);
	assert_int_equal(on_the_shelf(), 0);
}

/* Of one length, and so many that buckets have several. */
static void test_others_are_others(void **state)
{
	enum { N = 3 * WORDS_BUCKETS };
	struct words *words[N];
	char banner[16];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		int fd;

		snprintf(banner, sizeof banner, "%08zu", i);
		fd = file_saying(banner, NULL);
		words[i] = get(fd);
		close(fd);
	}
	assert_int_equal(on_the_shelf(), N);
	/* Not in the order in which they came. */
	for (size_t i = 0; i < N; i++) {
		size_t at = i * 7 % N;

		snprintf(banner, sizeof banner, "%08zu", at);
		assert_memory_equal(words[at]->text.banner.data, banner, 8);
		words_put(words[at]);
		assert_int_equal(on_the_shelf(), N - 1 - i);
	}
}

static void test_names_are_counted(void **state)
{
	char *names[] = {(char[]){"a"}, (char[]){"b"}, NULL};
	int fd = file_saying("", names);
	struct words *words = get(fd);

	(void)state;
	close(fd);
	assert_int_equal(words->n_names, 2);
	assert_string_equal(words->text.names[1], "b");
	words_put(words);
	assert_null(words_put(NULL));
}

/* Others may read it too: where they stand does not count, and does not change. */
static void test_from_its_beginning(void **state)
{
	int fd = file_saying("hello", NULL);
	off_t at = lseek(fd, 3, SEEK_SET);

	(void)state;
	assert_int_equal(at, 3);
	words_put(get(fd));
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
	close(fd);
}

static void test_a_long_one(void **state)
{
	static char banner[FRONT_BANNER_MAX + 1];
	struct words *words;
	int fd;

	(void)state;
	memset(banner, 'x', FRONT_BANNER_MAX);
	fd = file_saying(banner, NULL);
	words = get(fd);
	close(fd);
	assert_int_equal(words->text.banner.len, FRONT_BANNER_MAX);
	assert_memory_equal(words->text.banner.data, banner, FRONT_BANNER_MAX);
	words_put(words);
}

static void is_refused(int fd, int error)
{
	struct words *words;

	assert_int_equal(words_get(&shelf, fd, &words), error);
	assert_int_equal(on_the_shelf(), 0);
	close(fd);
}

static void test_what_is_no_text(void **state)
{
	int long_one = file_of("", 0);

	(void)state;
	is_refused(file_of("", 0), -EBADMSG);
	is_refused(file_of("hello", 5), -EBADMSG);
	assert_int_equal(ftruncate(long_one, (off_t)FRONT_TEXT_MAX + 1), 0);
	is_refused(long_one, -EFBIG);
	is_refused(open("/", O_RDONLY | O_CLOEXEC), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_equal_ones_are_one, set_up),
		cmocka_unit_test_setup(test_others_are_others, set_up),
		cmocka_unit_test_setup(test_names_are_counted, set_up),
		cmocka_unit_test_setup(test_from_its_beginning, set_up),
		cmocka_unit_test_setup(test_a_long_one, set_up),
		cmocka_unit_test_setup(test_what_is_no_text, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
