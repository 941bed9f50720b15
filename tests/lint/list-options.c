/*
 * list-options: the table of options as text, for tests/lint/options.
 *
 * One option a line: name, flag on the command line, default, separated by
 * tabs; "-" where there is none.
 */
#include "conf/options.h"

#include <stdio.h>

int main(void)
{
	char flag[OPTION_FLAG_MAX];

	for (const struct conf_option *o = conf_options; o->name; o++) {
		bool has_flag = !(o->flags & OPTION_NO_FLAG);

		printf("%s\t%s\t%s\n", o->name, has_flag ? conf_option_flag(o, flag) : "-",
			o->fallback ? o->fallback : "-");
	}
	return 0;
}
