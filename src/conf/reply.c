#include "conf/reply.h"

#include "base/fd.h"
#include "conf/merge.h"
#include "conf/place.h"

#include <stdio.h>
#include <string.h>

/* A file whose bytes are told to clients. */
struct text {
	struct service_conf *service;
	const char *option; /* that names it */
	const char *path;
	char **ret; /* what is in it */
	size_t *ret_len;
};

static const struct origin *origin_of(const struct text *text)
{
	return service_conf_origin(text->service, text->option);
}

/* Whoever can put another file in its place could have any of root's read to him.  If
 * nobody can now, nobody could since it was opened. */
static bool others_may_choose(const struct text *text, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	const struct origin *origin = origin_of(text);
	const struct place_owners owners = {context->uid, context->gid};
	_cleanup_free_ char *where = NULL;

	if (!place_writable_by_others(memo, NULL, text->path, &owners, &where))
		return false;
	if (context->uid == 0)
		report_mistake(report, origin,
			"%s: root reads it, but others than root may write to %s", text->option,
			where ? where : text->path);
	else
		report_warning(report, origin,
			"%s: others than root and the user of hatchd may write to %s",
			text->option, where ? where : text->path);
	return context->uid == 0;
}

static void tell_unreadable(const struct text *text, int error, struct report *report)
{
	const struct origin *origin = origin_of(text);
	struct service_conf *service = text->service;

	if (error == ENOENT)
		report_condition(report, service, origin, "no file %s", text->path);
	else if (error == EFBIG)
		report_condition(report, service, origin,
			"%s is larger than 64K, the most there is", text->path);
	else if (error == ENOTSUP)
		report_condition(
			report, service, origin, "%s is not a regular file", text->path);
	else
		report_condition(report, service, origin, "unable to read %s: %s", text->path,
			strerror(error));
}

/* What is wrong with the file is said of it.  0 or -ENOMEM. */
static int read_text(const struct text *text, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	_cleanup_close_ int fd = place_open_regular(text->path);
	int r = fd;

	if (r >= 0 && others_may_choose(text, context, memo, report))
		return 0;
	if (r >= 0)
		r = fd_read_all(fd, BUILTIN_REPLY_MAX, text->ret, text->ret_len);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		tell_unreadable(text, -r, report);
	return 0;
}

/* 1-based line that `at` stands in. */
static unsigned line_of(const char *text, const char *at)
{
	unsigned line = 1;

	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

/* The first one is enough. */
static void warn_if_long(const struct service_conf *service, struct report *report)
{
	const char *rest = service->reply, *quote;
	size_t left = service->reply_len, len;

	while (builtin_next_quote(&rest, &left, &quote, &len)) {
		if (len <= BUILTIN_QUOTE_MAX)
			continue;
		report_warning(report, service_conf_origin(service, "text_file"),
			"text_file: the quotation in line %u of %s has %zu bytes; RFC 865 has "
			"at most %d",
			line_of(service->reply, quote), service->text_file, len,
			BUILTIN_QUOTE_MAX);
		return;
	}
}

/* Who writes it may have only begun.  False if it has nothing to say. */
static bool check_content(struct service_conf *service, struct report *report)
{
	const struct origin *origin = service_conf_origin(service, "text_file");
	bool quotes = service->builtin == BUILTIN_QOTD;
	const char *rest = service->reply, *quote;
	size_t left = service->reply_len, len;

	if (quotes ? builtin_next_quote(&rest, &left, &quote, &len) : left > 0)
		return true;
	report_condition(report, service, origin, "%s %s", service->text_file,
		quotes ? "has no quotation" : "is empty");
	return false;
}

/* Only what is right is judged further. */
static int use_file(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	const struct text text = {
		service, "text_file", service->text_file, &service->reply, &service->reply_len};
	int r = read_text(&text, context, memo, report);

	if (r < 0 || !service->reply)
		return r;
	if (check_content(service, report) && service->builtin == BUILTIN_QOTD)
		warn_if_long(service, report);
	return 0;
}

int reply_prepare(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	if (!builtin_has_reply((enum service_builtin)service->builtin))
		return 0;
	if (service->text_file)
		return use_file(service, context, memo, report);
	service->reply = strdup(service->text);
	if (!service->reply)
		return -ENOMEM;
	service->reply_len = strlen(service->text);
	return 0;
}

/* Who writes it may have only begun. */
static int use_banner(const struct text *text, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	int r;

	if (!text->path)
		return 0;
	r = read_text(text, context, memo, report);
	if (r == 0 && *text->ret && *text->ret_len == 0)
		report_condition(
			report, text->service, origin_of(text), "%s is empty", text->path);
	return r;
}

int reply_prepare_banners(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	const struct text texts[] = {
		{service, "banner", service->banner, &service->banner_text,
			&service->banner_text_len},
		{service, "banner_success", service->banner_success,
			&service->banner_success_text, &service->banner_success_text_len},
		{service, "banner_fail", service->banner_fail, &service->banner_fail_text,
			&service->banner_fail_text_len},
	};
	int r = 0;

	if (!service_conf_tells_banners(service))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(texts) && r == 0; i++)
		r = use_banner(&texts[i], context, memo, report);
	return r;
}
