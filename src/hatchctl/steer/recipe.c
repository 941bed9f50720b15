#include "hatchctl/steer/recipe.h"

#include "conf/conf.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char suffix[] = ".conf";

/* A link says it, so it begins with a slash. */
static int put_path(const char *folder, const char *name, char path[PATH_MAX])
{
	char absolute[PATH_MAX];

	if (folder[0] != '/') {
		if (!realpath(folder, absolute))
			return -errno;
		folder = absolute;
	}
	if (snprintf(path, PATH_MAX, "%s/%s%s", folder, name, suffix) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* Of a package that was removed, links may be left that lead nowhere. */
static bool leads_into(const char *link, const char *leads, const char *folder)
{
	char target[PATH_MAX], wanted[PATH_MAX];
	const char *slash;

	if (!realpath(link, target))
		snprintf(target, sizeof target, "%s", leads);
	if (!realpath(folder, wanted))
		snprintf(wanted, sizeof wanted, "%s", folder);
	slash = strrchr(target, '/');
	return slash && (size_t)(slash - target) == strlen(wanted) &&
	       strncmp(target, wanted, strlen(wanted)) == 0;
}

static int look_at_link(struct recipe *recipe, const char *folder)
{
	ssize_t n = readlink(recipe->link, recipe->leads, sizeof recipe->leads - 1);

	if (n < 0 && errno == ENOENT) {
		recipe->state = RECIPE_OFF;
		memcpy(recipe->leads, recipe->path, sizeof recipe->leads);
		return 0;
	}
	if (n < 0 && errno != EINVAL)
		return -errno;
	recipe->leads[n < 0 ? 0 : n] = '\0';
	recipe->state = n >= 0 && leads_into(recipe->link, recipe->leads, folder)
	                        ? RECIPE_ON
	                        : RECIPE_OTHER;
	return 0;
}

int recipe_find(const char *folder, const char *services, const char *name, struct recipe *ret)
{
	struct recipe recipe;
	struct stat st;
	int r;

	r = put_path(services, name, recipe.link);
	if (r < 0)
		return r;
	r = put_path(folder, name, recipe.path);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r < 0 || stat(recipe.path, &st) < 0 || !S_ISREG(st.st_mode))
		recipe.path[0] = '\0';
	r = look_at_link(&recipe, folder);
	if (r == 0)
		*ret = recipe;
	return r;
}

int recipe_put(const struct recipe *recipe, bool on)
{
	int r = on ? symlink(recipe->leads, recipe->link) : unlink(recipe->link);

	return r < 0 ? -errno : 0;
}

/* -------------------------------------------------------------------- all of them */

/* The name of the service that a file is for; false: it is for none. */
static bool name_of(const char *file, char name[NAME_MAX + 1])
{
	size_t len = strlen(file), end = strlen(suffix);

	if (len <= end || strcmp(file + len - end, suffix) != 0)
		return false;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(len - end), file);
	return service_name_valid(name);
}

static int is_recipe(const struct dirent *entry)
{
	char name[NAME_MAX + 1];

	return name_of(entry->d_name, name);
}

int recipe_list(const char *folder, char ***names)
{
	struct dirent **entries;
	char name[NAME_MAX + 1];
	int n, r = 0;

	n = scandir(folder, &entries, is_recipe, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		if (r == 0 && name_of(entries[i]->d_name, name))
			r = strv_add(names, name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

char *recipe_describe(const char *path)
{
	_cleanup_free_ char *line = NULL;
	FILE *file = fopen(path, "re");
	size_t size = 0;
	ssize_t len;

	if (!file)
		return NULL;
	len = getline(&line, &size, file);
	fclose(file);
	if (len < 3 || strncmp(line, "# ", 2) != 0)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return strdup(line + 2);
}
