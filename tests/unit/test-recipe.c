/* recipe: what of a service has to be changed in a child, and what is so already. */
#include "base/own.h"
#include "master/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define GUEST 1000

static bool changes_identity(
	uid_t uid, gid_t *inherited_groups, size_t n_inherited, gid_t *groups, size_t n_groups)
{
	struct inherited inherited = {
		.one_identity = true,
		.groups = inherited_groups,
		.n_groups = n_inherited,
	};
	struct service_conf conf = {
		.directory = (char *)"/",
		.change_identity = true,
		.uid = uid,
		.gid = uid,
		.groups_list = groups,
		.n_groups = n_groups,
	};
	struct spawn_recipe recipe;

	recipe_make(&conf, &inherited, &recipe);
	assert_int_equal(recipe.change_identity, recipe.own_keyring);
	return recipe.change_identity;
}

/* As a service manager starts a daemon, and as a shell does. */
static void test_own_group_need_not_be_listed(void **state)
{
	gid_t root[] = {0};

	(void)state;
	assert_false(changes_identity(0, NULL, 0, root, 1));
	assert_false(changes_identity(0, root, 1, root, 1));
	assert_false(changes_identity(0, NULL, 0, NULL, 0));
}

static void test_order_does_not_matter(void **state)
{
	gid_t ours[] = {0, 4, 27}, theirs[] = {27, 0, 4};

	(void)state;
	assert_false(changes_identity(0, ours, 3, theirs, 3));
}

static void test_groups_too_many(void **state)
{
	gid_t ours[] = {0, 4}, root[] = {0};

	(void)state;
	assert_true(changes_identity(0, ours, 2, root, 1));
	assert_true(changes_identity(0, root, 1, NULL, 0));
}

static void test_groups_too_few(void **state)
{
	gid_t root[] = {0}, wanted[] = {0, 4};

	(void)state;
	assert_true(changes_identity(0, root, 1, wanted, 2));
	assert_true(changes_identity(0, NULL, 0, wanted, 2));
}

static void test_other_user(void **state)
{
	gid_t guest[] = {GUEST};

	(void)state;
	assert_true(changes_identity(GUEST, guest, 1, guest, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_group_need_not_be_listed),
		cmocka_unit_test(test_order_does_not_matter),
		cmocka_unit_test(test_groups_too_many),
		cmocka_unit_test(test_groups_too_few),
		cmocka_unit_test(test_other_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
