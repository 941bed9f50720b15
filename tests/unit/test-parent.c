/* parent: the way to a path, past other people's links. */
#include "base/fd.h"
#include "base/own.h"
#include "os/parent.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define NOBODY 65534

static char folder[] = "/tmp/test-parent-XXXXXX";

/* A path in the folder; good until the next but three. */
static const char *in_folder(const char *name)
{
	static char texts[4][256];
	static unsigned next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof texts[0], "%s/%s", folder, name);
	return text;
}

/* Opens, and says whether it is the directory that `wanted` is. */
static void assert_leads_to(const char *path, mode_t mode, const char *wanted)
{
	const char *name = NULL;
	_cleanup_close_ int dir = parent_open(path, mode, &name);
	struct stat a, b;

	assert_true(dir >= 0);
	assert_int_equal(fcntl(dir, F_GETFD), FD_CLOEXEC);
	assert_string_equal(name, strrchr(path, '/') + 1);
	assert_int_equal(fstat(dir, &a), 0);
	assert_int_equal(stat(wanted, &b), 0);
	assert_true(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static int refusal(const char *path, mode_t mode)
{
	const char *name = "untouched";
	int r = parent_open(path, mode, &name);

	assert_true(r < 0);
	assert_string_equal(name, "untouched");
	return r;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	return st.st_mode & 07777;
}

static void test_plain_ways(void **ctx)
{
	(void)ctx;
	assert_leads_to("/x", 0, "/");
	assert_leads_to("//x", 0, "/");
	assert_leads_to("/tmp/x", 0, "/tmp");
	assert_leads_to("/tmp//./x", 0, "/tmp");
	assert_leads_to("/tmp/../tmp/x", 0, "/tmp");
	assert_leads_to("/../x", 0, "/");
	assert_leads_to(in_folder("x"), 0, folder);
}

static void test_no_ways(void **ctx)
{
	char name[NAME_MAX + 8] = "/";

	(void)ctx;
	assert_int_equal(refusal("x", 0), -EINVAL);
	assert_int_equal(refusal("", 0), -EINVAL);
	assert_int_equal(refusal("/tmp/", 0), -EINVAL);
	assert_int_equal(refusal(in_folder("missing/x"), 0), -ENOENT);
	assert_int_equal(refusal("/dev/null/x", 0755), -ENOTDIR);
	memset(name + 1, 'a', NAME_MAX + 1);
	strcpy(name + 1 + NAME_MAX + 1, "/x");
	assert_int_equal(refusal(name, 0755), -ENAMETOOLONG);
}

static void test_made_with_exactly_that_mode(void **ctx)
{
	static const mode_t modes[] = {0755, 0700, 0777, 0750};
	static const mode_t masks[] = {0, 022, 077, 0777};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		mode_t saved = umask(masks[i]);

		assert_leads_to(in_folder("a/b/x"), modes[i], in_folder("a/b"));
		assert_int_equal(umask(saved), masks[i]);
		assert_int_equal(mode_of(in_folder("a")), modes[i]);
		assert_int_equal(mode_of(in_folder("a/b")), modes[i]);
		/* What is there stays as it is. */
		assert_leads_to(in_folder("a/b/x"), 0711, in_folder("a/b"));
		assert_int_equal(mode_of(in_folder("a")), modes[i]);
		assert_int_equal(rmdir(in_folder("a/b")), 0);
		assert_int_equal(rmdir(in_folder("a")), 0);
	}
}

/* As /var/run is one. */
static void test_own_links_are_followed(void **ctx)
{
	(void)ctx;
	assert_int_equal(mkdir(in_folder("real"), 0755), 0);
	assert_int_equal(symlink("real", in_folder("relative")), 0);
	assert_int_equal(symlink(in_folder("real"), in_folder("absolute")), 0);
	assert_int_equal(symlink("absolute/../relative", in_folder("both")), 0);
	assert_leads_to(in_folder("relative/x"), 0, in_folder("real"));
	assert_leads_to(in_folder("absolute/x"), 0, in_folder("real"));
	assert_leads_to(in_folder("both/x"), 0, in_folder("real"));
	assert_leads_to(in_folder("both/new/x"), 0700, in_folder("real/new"));
	assert_int_equal(rmdir(in_folder("real/new")), 0);

	assert_int_equal(symlink("loop", in_folder("loop")), 0);
	assert_int_equal(refusal(in_folder("loop/x"), 0755), -ELOOP);
	unlink(in_folder("loop"));
	unlink(in_folder("both"));
	unlink(in_folder("absolute"));
	unlink(in_folder("relative"));
	rmdir(in_folder("real"));
}

static void test_links_of_others_are_refused(void **ctx)
{
	(void)ctx;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(in_folder("real"), 0755), 0);
	assert_int_equal(symlink("real", in_folder("theirs")), 0);
	assert_int_equal(lchown(in_folder("theirs"), NOBODY, NOBODY), 0);
	assert_int_equal(symlink("theirs", in_folder("ours")), 0);
	assert_int_equal(refusal(in_folder("theirs/x"), 0), -ELOOP);
	assert_int_equal(refusal(in_folder("theirs/new/x"), 0755), -ELOOP);
	assert_int_equal(refusal(in_folder("ours/new/x"), 0755), -ELOOP);
	assert_int_equal(access(in_folder("real/new"), F_OK), -1);
	unlink(in_folder("ours"));
	unlink(in_folder("theirs"));
	rmdir(in_folder("real"));
}

/* A link to nothing is a link, and no place for a directory. */
static void test_dangling_link(void **ctx)
{
	(void)ctx;
	assert_int_equal(symlink("gone", in_folder("dangling")), 0);
	assert_int_equal(refusal(in_folder("dangling/x"), 0), -ENOENT);
	/* Where our own leads, a directory may be made. */
	assert_leads_to(in_folder("dangling/x"), 0755, in_folder("gone"));
	rmdir(in_folder("gone"));
	unlink(in_folder("dangling"));
}

static int make_folder(void **ctx)
{
	(void)ctx;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **ctx)
{
	(void)ctx;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_ways),
		cmocka_unit_test(test_no_ways),
		cmocka_unit_test(test_made_with_exactly_that_mode),
		cmocka_unit_test(test_own_links_are_followed),
		cmocka_unit_test(test_links_of_others_are_refused),
		cmocka_unit_test(test_dangling_link),
	};

	return cmocka_run_group_tests_name("parent", tests, make_folder, remove_folder);
}
