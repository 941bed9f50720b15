#include "conf/accounting.h"

#include "conf/place.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever can put something in its place says where root writes to. */
static void check_folder(
	const struct conf *conf, const char *folder, struct memo *memo, struct report *report)
{
	const struct place_owners owners = {geteuid(), getegid()};
	const struct origin *origin = &conf->accounting_file_at;
	int r = place_check_directory(memo, NULL, folder);
	char *writable;

	if (r < 0) {
		report_condition(report, NULL, origin, "accounting.file: '%s': %s", folder,
			strerror(-r));
		return;
	}
	if (!place_writable_by_others(memo, NULL, folder, &owners, &writable))
		return;
	report_condition(report, NULL, origin,
		"accounting.file: others than hatchd's user may write to '%s'",
		writable ? writable : folder);
	free(writable);
}

static void check_file(const struct conf *conf, struct report *report)
{
	struct stat st;

	if (lstat(conf->accounting_file, &st) == 0 && !S_ISREG(st.st_mode))
		report_condition(report, NULL, &conf->accounting_file_at,
			"accounting.file: '%s' is no regular file", conf->accounting_file);
}

int accounting_check(const struct conf *conf, struct memo *memo, struct report *report)
{
	const struct origin *first = conf->accounting_size > 0 ? &conf->accounting_size_at
	                                                       : &conf->accounting_keep_at;
	_cleanup_free_ char *folder = NULL;

	if (!conf->accounting_file) {
		if (!conf->accounting_file_at.file &&
			(conf->accounting_size > 0 || conf->accounting_keep > 0))
			report_mistake(
				report, first, "'accounting' has no file; write file = PATH");
		return 0;
	}
	folder = place_parent(conf->accounting_file);
	if (!folder)
		return -ENOMEM;
	check_folder(conf, folder, memo, report);
	check_file(conf, report);
	return 0;
}
