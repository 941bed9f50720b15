#include "conf/reply.h"

#include "base/fd.h"
#include "conf/merge.h"
#include "conf/place.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Whoever can put another file in its place could have any of root's read to him.  If
 * nobody can now, nobody could since it was opened. */
static bool others_may_choose(const struct service_conf *service,
	const struct build_context *context, struct memo *memo, struct report *report)
{
	const struct origin *origin = service_conf_origin(service, "text_file");
	const struct place_owners owners = {context->uid, context->gid};
	_cleanup_free_ char *where = NULL;

	if (!place_writable_by_others(memo, NULL, service->text_file, &owners, &where))
		return false;
	if (context->uid == 0)
		report_mistake(report, origin,
			"text_file: root reads it, but others than root may write to %s",
			where ? where : service->text_file);
	else
		report_warning(report, origin,
			"text_file: others than root and the user of hatchd may write to %s",
			where ? where : service->text_file);
	return context->uid == 0;
}

/* Nothing but a regular file is opened for reading: that could start a tape drive. */
static int open_text(const char *path)
{
	_cleanup_close_ int at = place_open(NULL, path);
	struct stat st;
	int fd;

	if (at < 0)
		return at;
	if (fstat(at, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void tell_unreadable(struct service_conf *service, int error, struct report *report)
{
	const struct origin *origin = service_conf_origin(service, "text_file");
	const char *path = service->text_file;

	if (error == ENOENT)
		report_condition(report, service, origin, "no file %s", path);
	else if (error == EFBIG)
		report_condition(report, service, origin,
			"%s is larger than 64K, the most there is", path);
	else if (error == ENOTSUP)
		report_condition(report, service, origin, "%s is not a regular file", path);
	else
		report_condition(report, service, origin, "unable to read %s: %s", path,
			strerror(error));
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

/* What is wrong with the file is said of it; only what is right is judged further. */
static int use_file(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report)
{
	_cleanup_close_ int fd = open_text(service->text_file);
	int r = fd;

	if (r >= 0 && others_may_choose(service, context, memo, report))
		return 0;
	if (r >= 0)
		r = fd_read_all(fd, BUILTIN_REPLY_MAX, &service->reply, &service->reply_len);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		tell_unreadable(service, -r, report);
	else if (check_content(service, report) && service->builtin == BUILTIN_QOTD)
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
