/* strv: vectors of strings. */
#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_null_is_empty(void **ctx)
{
	_cleanup_strv_ char **copy = NULL, **vector = NULL;
	char *nothing[] = {NULL};

	(void)ctx;
	assert_int_equal(strv_length(NULL), 0);
	assert_null(strv_free(NULL));
	assert_true(strv_equal(NULL, NULL));
	assert_true(strv_equal(NULL, nothing));
	assert_int_equal(strv_copy(NULL, &copy), 0);
	assert_int_equal(strv_length(copy), 0);
	assert_int_equal(strv_extend(&vector, NULL), 0);
	assert_int_equal(strv_length(vector), 0);
	assert_null(strv_env_get(NULL, "X"));
}

static void test_add(void **ctx)
{
	_cleanup_strv_ char **vector = NULL;
	char *wanted[] = {"", "a", "b=7", NULL};
	char text[] = "a";

	(void)ctx;
	assert_int_equal(strv_add(&vector, ""), 0);
	assert_int_equal(strv_add(&vector, text), 0);
	text[0] = 'z'; /* it was a copy */
	assert_int_equal(strv_addf(&vector, "b=%d", 7), 0);
	assert_int_equal(strv_length(vector), 3);
	assert_true(strv_equal(vector, wanted));
	assert_null(vector[3]);
}

static void test_copy_is_deep(void **ctx)
{
	_cleanup_strv_ char **vector = NULL, **copy = NULL;

	(void)ctx;
	assert_int_equal(strv_add(&vector, "one"), 0);
	assert_int_equal(strv_add(&vector, "two"), 0);
	assert_int_equal(strv_copy(vector, &copy), 0);
	assert_true(strv_equal(vector, copy));
	assert_ptr_not_equal(vector[0], copy[0]);
	copy[0][0] = 'O';
	assert_string_equal(vector[0], "one");
	assert_false(strv_equal(vector, copy));
}

static void test_equal_looks_at_length_and_order(void **ctx)
{
	char *ab[] = {"a", "b", NULL}, *ba[] = {"b", "a", NULL}, *a[] = {"a", NULL};

	(void)ctx;
	assert_true(strv_equal(ab, ab));
	assert_false(strv_equal(ab, ba));
	assert_false(strv_equal(ab, a));
	assert_false(strv_equal(a, ab));
	assert_false(strv_equal(a, NULL));
}

static void test_extend(void **ctx)
{
	_cleanup_strv_ char **vector = NULL;
	char *more[] = {"b", "c", NULL};
	char *once[] = {"a", "b", "c", NULL}, *twice[] = {"a", "b", "c", "a", "b", "c", NULL};

	(void)ctx;
	assert_int_equal(strv_add(&vector, "a"), 0);
	assert_int_equal(strv_extend(&vector, more), 0);
	assert_true(strv_equal(vector, once));
	assert_int_equal(strv_extend(&vector, vector), 0);
	assert_true(strv_equal(vector, twice));
}

static void test_env(void **ctx)
{
	_cleanup_strv_ char **env = NULL;
	char *wanted[] = {"PATHS=x", "PATH=/bin", "EMPTY=", "EQ=a=b", NULL};
	char *replaced[] = {"PATHS=x", "PATH=", "EMPTY=", "EQ=a=b", NULL};

	(void)ctx;
	assert_int_equal(strv_env_set(&env, "PATHS", "x"), 0);
	assert_null(strv_env_get(env, "PATH"));
	assert_int_equal(strv_env_set(&env, "PATH", "/bin"), 0);
	assert_int_equal(strv_env_set(&env, "EMPTY", ""), 0);
	assert_int_equal(strv_env_set(&env, "EQ", "a=b"), 0);
	assert_true(strv_equal(env, wanted));
	assert_string_equal(strv_env_get(env, "PATH"), "/bin");
	assert_string_equal(strv_env_get(env, "PATHS"), "x");
	assert_string_equal(strv_env_get(env, "EMPTY"), "");
	assert_string_equal(strv_env_get(env, "EQ"), "a=b");
	assert_null(strv_env_get(env, "path"));
	assert_null(strv_env_get(env, "PAT"));

	assert_int_equal(strv_env_set(&env, "PATH", ""), 0);
	assert_true(strv_equal(env, replaced));
}

/* The new value may come out of the entry that it replaces. */
static void test_env_set_from_itself(void **ctx)
{
	_cleanup_strv_ char **env = NULL;

	(void)ctx;
	assert_int_equal(strv_env_set(&env, "A", "xyz"), 0);
	assert_int_equal(strv_env_set(&env, "A", strv_env_get(env, "A") + 1), 0);
	assert_string_equal(strv_env_get(env, "A"), "yz");
	assert_int_equal(strv_length(env), 1);
}

static void test_take_ptr(void **ctx)
{
	char **vector = NULL, **taken;

	(void)ctx;
	assert_int_equal(strv_add(&vector, "a"), 0);
	taken = take_ptr(vector);
	assert_null(vector);
	assert_string_equal(taken[0], "a");
	strv_free(taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null_is_empty),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_copy_is_deep),
		cmocka_unit_test(test_equal_looks_at_length_and_order),
		cmocka_unit_test(test_extend),
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_env_set_from_itself),
		cmocka_unit_test(test_take_ptr),
	};

	return cmocka_run_group_tests_name("strv", tests, NULL, NULL);
}
