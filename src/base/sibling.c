#include "base/sibling.h"

#include "base/own.h"

#include <stdio.h>
#include <string.h>

static int find_in(const char *folder, size_t len, const char *name, char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%.*s/%s", (int)len, folder, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(path, X_OK) < 0 ? -errno : 0;
}

static int find_beside_us(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *slash;

	if (len <= 0)
		return -ENOENT;
	self[len] = '\0';
	slash = strrchr(self, '/');
	return slash ? find_in(self, (size_t)(slash - self), name, path) : -ENOENT;
}

int sibling_find(const char *name, const char *installed, char path[PATH_MAX])
{
	if (find_beside_us(name, path) == 0)
		return 0;
	return find_in(installed, strlen(installed), name, path);
}
