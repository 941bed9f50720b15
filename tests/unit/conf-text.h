/*
 * conf-text: a configuration out of a text and a made-up world, for tests.
 */
#ifndef HATCHD_TESTS_CONF_TEXT_H
#define HATCHD_TESTS_CONF_TEXT_H

#include "conf/build.h"
#include "conf/parse.h"

#include <stdlib.h>
#include <string.h>

struct conf_text {
	struct raw_conf raw;
	struct source *sources;
	struct diag_list diags;
	struct conf conf;
};

static char *const conf_text_environ[] = {
	"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TOKEN=x", NULL};

/* A master who is an ordinary user, whoever runs the test. */
static const struct build_context conf_text_user = {
	.uid = 4242,
	.gid = 4243,
	.environ = conf_text_environ,
	.cwd = "/",
};

static const struct build_context conf_text_root = {
	.uid = 0,
	.gid = 0,
	.environ = conf_text_environ,
	.cwd = "/",
};

/* To be released with conf_text_done(), whatever is returned.  Programs of ours are those of
 * this build. */
static inline int conf_text_load(
	struct conf_text *t, const char *text, const struct build_context *context)
{
	struct build_context world = *context;
	int r;

	*t = (struct conf_text){0};
	if (!world.programs)
		world.programs = getenv("builddir") ? getenv("builddir") : ".";
	r = parse_text("test.conf", text, strlen(text), &t->raw, &t->sources, &t->diags);
	if (r < 0)
		return r;
	return conf_build(&t->raw, &t->sources, &world, &t->conf, &t->diags);
}

static inline void conf_text_done(struct conf_text *t)
{
	conf_done(&t->conf);
	diag_list_done(&t->diags);
	raw_conf_done(&t->raw);
	source_list_free(t->sources);
}

/* The text of the first diagnostic of that severity, or "". */
static inline const char *conf_text_said(const struct conf_text *t, enum diag_severity severity)
{
	for (size_t i = 0; i < t->diags.n; i++) {
		if (t->diags.items[i].severity == severity)
			return t->diags.items[i].text;
	}
	return "";
}

#endif
