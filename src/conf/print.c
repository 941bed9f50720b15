#include "conf/print.h"

#include "conf/format.h"

#include <string.h>

/* Characters of a value that may stand without quotes. */
static bool is_bare(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789.:/-_@%[]~^!";

	return text[0] != '\0' && text[strspn(text, allowed)] == '\0' &&
	       strncmp(text, "//", 2) != 0;
}

/* `text` between quotes, the characters of `escaped` behind a backslash. */
static char *quote(const char *text, char mark, const char *escaped)
{
	char *quoted = malloc(2 * strlen(text) + 3), *at = quoted;

	if (!quoted)
		return NULL;

	*at++ = mark;
	for (; *text; text++) {
		const bool special = strchr(escaped, *text) != NULL;

		if (special)
			*at++ = '\\';
		if (special && *text == '\n')
			*at++ = 'n';
		else if (special && *text == '\t')
			*at++ = 't';
		else
			*at++ = *text;
	}
	*at++ = mark;
	*at = '\0';
	return quoted;
}

/* Double quotes where they change nothing or help; single ones, in which next
 * to nothing is special, for the text of shells. */
char *print_quote(const char *text)
{
	bool lines = strpbrk(text, "\n\t") != NULL;

	if (is_bare(text))
		return strdup(text);
	if (strstr(text, "${") || (!lines && strpbrk(text, "\"\\$")))
		return quote(text, '\'', "\\'");
	return quote(text, '"', "\\\"\n\t");
}

static int print_values(char *const *values, bool list, FILE *out)
{
	const bool braces = list && strv_length(values) != 1;

	if (braces && strv_length(values) == 0) {
		fputs("{}", out);
		return 0;
	}
	fputs(braces ? "{ " : "", out);
	for (size_t i = 0; values && values[i]; i++) {
		_cleanup_free_ char *quoted = print_quote(values[i]);

		if (!quoted)
			return -ENOMEM;
		fprintf(out, "%s%s", i > 0 ? ", " : "", quoted);
	}
	fputs(braces ? " }" : "", out);
	return 0;
}

/* What stands before the dot, or NULL. */
static const char *find_dot(const struct conf_option *option)
{
	return strchr(option->name, '.');
}

static int print_option(const struct conf_option *option, const void *base, const char *indent,
	int width, FILE *out)
{
	const char *dot = find_dot(option), *name = dot ? dot + 1 : option->name;
	_cleanup_strv_ char **values = NULL;
	int r;

	r = format_option(option, base, &values);
	if (r < 0)
		return r;
	fprintf(out, "%s%-*s = ", indent, width, name);
	r = print_values(values, conf_option_is_list(option), out);
	fputc('\n', out);
	return r;
}

static bool is_given(const struct service_conf *service, const struct conf_option *option)
{
	return !(option->flags & OPTION_GLOBAL) && service_conf_given(service, option);
}

/* What stands before the dot, and the dot. */
static size_t prefix_length(const struct conf_option *option)
{
	const char *dot = find_dot(option);

	return dot ? (size_t)(dot - option->name) + 1 : 0;
}

static bool same_section(const struct conf_option *a, const struct conf_option *b)
{
	size_t len = prefix_length(a);

	return len == prefix_length(b) && strncmp(a->name, b->name, len) == 0;
}

/* Room for the longest name of those that stand in the same section. */
static int name_width(const struct service_conf *service, const struct conf_option *option)
{
	size_t width = 0;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		size_t len = strlen(o->name) - prefix_length(o);

		if (is_given(service, o) && same_section(o, option) && len > width)
			width = len;
	}
	return (int)width;
}

static int print_flat(const struct service_conf *service, FILE *out)
{
	int width = name_width(service, conf_option_find("listen")), r;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!is_given(service, o) || find_dot(o))
			continue;
		r = print_option(o, service, "\t", width, out);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Options of one nested section stand together in the table. */
static int print_nested(const struct service_conf *service, FILE *out)
{
	const struct conf_option *open = NULL;
	int r;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!find_dot(o) || !is_given(service, o))
			continue;
		if (!open || !same_section(open, o))
			fprintf(out, "%s\t%.*s {\n", open ? "\t}\n" : "",
				(int)prefix_length(o) - 1, o->name);
		open = o;
		r = print_option(o, service, "\t\t", name_width(service, o), out);
		if (r < 0)
			return r;
	}
	if (open)
		fputs("\t}\n", out);
	return 0;
}

static int finish(FILE *out)
{
	return ferror(out) ? -EIO : 0;
}

static int print_service(const struct service_conf *service, FILE *out)
{
	int r;

	fprintf(out, "service %s {\n", service->name);
	r = print_flat(service, out);
	if (r < 0)
		return r;
	r = print_nested(service, out);
	if (r < 0)
		return r;
	fputs("}\n", out);
	return finish(out);
}

/* A struct conf has no bits for what was given; 0 cannot be written. */
static bool is_given_globally(const struct conf *conf, const struct conf_option *option)
{
	return option->flags & OPTION_GLOBAL &&
	       conf_option_is_set(option, conf_option_field(option, conf));
}

/* Those outside of sections come first in the table, and then those of one. */
static int print_globals(const struct conf *conf, FILE *out, bool *ret_any)
{
	const struct conf_option *open = NULL;
	int r;

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!is_given_globally(conf, o))
			continue;
		if (find_dot(o) && !open)
			fprintf(out, "%s%.*s {\n", *ret_any ? "\n" : "",
				(int)prefix_length(o) - 1, o->name);
		open = find_dot(o) ? o : NULL;
		r = print_option(o, conf, open ? "\t" : "", open ? 4 : 0, out);
		if (r < 0)
			return r;
		*ret_any = true;
	}
	if (open)
		fputs("}\n", out);
	return 0;
}

int print_conf(const struct conf *conf, FILE *out)
{
	bool any = false;
	int r;

	r = print_globals(conf, out, &any);
	if (r < 0)
		return r;
	for (size_t i = 0; i < conf->n_services; i++) {
		if (any)
			fputc('\n', out);
		any = true;
		r = print_service(conf->services[i], out);
		if (r < 0)
			return r;
	}
	return finish(out);
}
