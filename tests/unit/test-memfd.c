/* memfd: what can still change is told from what cannot. */
#include "base/fd.h"
#include "base/memfd.h"
#include "base/own.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT "what is said"

/* A file with TEXT. */
static int memfd_with_text(void)
{
	int fd = memfd_new("test");

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, TEXT, sizeof TEXT), 0);
	return fd;
}

static void test_sealed(void **state)
{
	_cleanup_close_ int fd = memfd_with_text();
	size_t size = 7;

	(void)state;
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(memfd_check(fd, 100, &size), -EPERM);
	assert_int_equal(size, 7);
	assert_int_equal(memfd_seal(fd), 0);
	assert_int_equal(memfd_check(fd, sizeof TEXT, &size), 0);
	assert_int_equal(size, sizeof TEXT);

	assert_int_equal(pwrite(fd, "W", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 1000), -1);
	assert_int_equal(memfd_seal(fd), -EPERM);
}

/* One seal that is missing is as good as none. */
static void test_not_all_seals(void **state)
{
	static const int all[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	size_t size;

	(void)state;
	for (size_t missing = 0; missing < ARRAY_SIZE(all); missing++) {
		_cleanup_close_ int fd = memfd_with_text();

		/* F_SEAL_SEAL last: nothing is added behind it. */
		for (size_t i = ARRAY_SIZE(all); i-- > 0;)
			if (i != missing)
				assert_int_equal(fcntl(fd, F_ADD_SEALS, all[i]), 0);
		assert_int_equal(memfd_check(fd, 100, &size), -EPERM);
	}
}

static void test_size(void **state)
{
	_cleanup_close_ int fd = memfd_with_text(), empty = memfd_new("empty");
	size_t size = 7;

	(void)state;
	assert_int_equal(memfd_seal(fd), 0);
	assert_int_equal(memfd_check(fd, sizeof TEXT - 1, &size), -EFBIG);
	assert_int_equal(size, 7);
	assert_int_equal(memfd_seal(empty), 0);
	assert_int_equal(memfd_check(empty, 0, &size), 0);
	assert_int_equal(size, 0);
}

/* Whoever is given a descriptor is given anything. */
static void test_no_memfd(void **state)
{
	int pair[2];
	size_t size;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(memfd_check(pair[0], 100, &size), -EINVAL);
	assert_int_equal(memfd_seal(pair[1]), -EINVAL);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(memfd_check(-1, 100, &size), -EBADF);
	assert_int_equal(memfd_seal(-1), -EBADF);
}

/* What is mapped for writing would change under the reader. */
static void test_mapped(void **state)
{
	_cleanup_close_ int fd = memfd_with_text();
	void *data = mmap(NULL, sizeof TEXT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)state;
	assert_true(data != MAP_FAILED);
	assert_int_equal(memfd_seal(fd), -EBUSY);
	munmap(data, sizeof TEXT);
	assert_int_equal(memfd_seal(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_not_all_seals),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_no_memfd),
		cmocka_unit_test(test_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
