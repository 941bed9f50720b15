#include "base/tls-programs.h"

#include "base/own.h"
#include "base/sibling.h"

#include <stdio.h>
#include <string.h>

static int find(const char *name, const char *folder, char path[PATH_MAX])
{
	if (!folder)
		return sibling_find(name, LIBEXECDIR, path);
	if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* One that is left over from another build is none of ours. */
int tls_program_find(const char *name, const char *folder, char path[PATH_MAX],
	char why[TLS_PROGRAM_WHY_MAX])
{
	int r;

	if (!HAVE_TLS) {
		snprintf(why, TLS_PROGRAM_WHY_MAX,
			"this hatchd was built without TLS (--without-tls)");
		return -EOPNOTSUPP;
	}
	r = find(name, folder, path);
	if (r == -ENOENT)
		snprintf(why, TLS_PROGRAM_WHY_MAX,
			"TLS is not installed: install the package hatchd-tls (%s is missing)",
			path);
	else if (r < 0)
		snprintf(why, TLS_PROGRAM_WHY_MAX, "unable to execute %s: %s", path,
			strerror(-r));
	return r;
}

int tls_programs_find(const char *folder, char path[PATH_MAX], char why[TLS_PROGRAM_WHY_MAX])
{
	int r = tls_program_find(TLS_PROGRAM_SERVE, folder, path, why);

	return r < 0 ? r : tls_program_find(TLS_PROGRAM_CERTIFICATE, folder, path, why);
}
