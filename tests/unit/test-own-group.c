/* own-group: which folder of control groups a line means. */
#include "os/own_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SIZE 64

static void test_parse(void **ctx)
{
	static const struct {
		const char *line, *folder; /* NULL: it is not looked at */
	} cases[] = {
		{"0::/system.slice/hatchd.service\n",
			"/sys/fs/cgroup/system.slice/hatchd.service"},
		{"0::/a:b", "/sys/fs/cgroup/a:b"},
		{"1:name=systemd:/u\n", "/sys/fs/cgroup/systemd/u"},
		{"4:pids:/u\n", NULL},
		{"10::/u\n", NULL},
		{"0:\n", NULL},
		{"\n", NULL},
		{"0::/more than there is room for, in which there is no folder any more\n",
			NULL},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char folder[SIZE];

		assert_int_equal(own_group_parse(cases[i].line, folder, sizeof folder),
			cases[i].folder != NULL);
		if (cases[i].folder)
			assert_string_equal(folder, cases[i].folder);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
