#include "master/recipe.h"

#include <string.h>

static void add_limit(struct spawn_recipe *recipe, int resource, uint64_t soft, uint64_t hard)
{
	if (recipe->n_limits < SPAWN_LIMITS_MAX)
		recipe->limits[recipe->n_limits++] = (struct spawn_limit){resource, soft, hard};
}

static bool nofile_was_raised(const struct inherited *inherited)
{
	struct rlimit now;

	return getrlimit(RLIMIT_NOFILE, &now) < 0 ||
	       now.rlim_cur != inherited->nofile.rlim_cur ||
	       now.rlim_max != inherited->nofile.rlim_max;
}

/*
 * Ours was raised and the core limit lowered, for our own sake: children get
 * what we were started with, unless the service says otherwise.
 */
static void fill_limits(const struct service_conf *conf, const struct inherited *inherited,
	struct spawn_recipe *recipe)
{
	const struct rlimit_conf *core = &conf->rlimit[RLIMIT_CORE];

	for (int i = 0; i < RLIMIT_CONF_MAX; i++)
		if (conf->rlimit[i].given && i != RLIMIT_CORE)
			add_limit(recipe, i, conf->rlimit[i].soft, conf->rlimit[i].hard);
	if (!conf->rlimit[RLIMIT_NOFILE].given && nofile_was_raised(inherited))
		add_limit(recipe, RLIMIT_NOFILE, inherited->nofile.rlim_cur,
			inherited->nofile.rlim_max);

	recipe->core = (struct spawn_limit){
		.resource = RLIMIT_CORE,
		.soft = core->given ? core->soft : inherited->core.rlim_cur,
		.hard = core->given ? core->hard : inherited->core.rlim_max,
	};
}

static bool among(gid_t group, const gid_t *groups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/*
 * Then there is nothing to change, and nothing to protect the memory from.  A
 * process is a member of its own group whether the list names it or not; a list
 * of ours that names it where the service's does not gives more than was asked.
 */
static bool is_already(const struct inherited *inherited, const struct service_conf *conf)
{
	if (!inherited->one_identity || inherited->uid != conf->uid ||
		inherited->gid != conf->gid)
		return false;
	for (size_t i = 0; i < conf->n_groups; i++)
		if (conf->groups_list[i] != conf->gid &&
			!among(conf->groups_list[i], inherited->groups, inherited->n_groups))
			return false;
	for (size_t i = 0; i < inherited->n_groups; i++)
		if (!among(inherited->groups[i], conf->groups_list, conf->n_groups))
			return false;
	return true;
}

/* The master stands in / already. */
static const char *directory_of(const struct service_conf *conf)
{
	return !conf->chroot && strcmp(conf->directory, "/") == 0 ? NULL : conf->directory;
}

void recipe_make(const struct service_conf *conf, const struct inherited *inherited,
	struct spawn_recipe *ret)
{
	*ret = (struct spawn_recipe){
		.path = conf->path,
		.argv = conf->argv,
		.root = conf->chroot,
		.directory = directory_of(conf),
		.stderr_path = conf->stderr_kind == STDERR_FILE ? conf->stderr_to : NULL,
		.output_to_stderr = service_conf_has_backend(conf),
		.change_identity = conf->change_identity && !is_already(inherited, conf),
		.uid = conf->uid,
		.gid = conf->gid,
		.groups = conf->groups_list,
		.n_groups = conf->n_groups,
		/* Who stays who the master is shares the master's, which is empty. */
		.own_keyring = conf->change_identity && !is_already(inherited, conf),
		.clear_capabilities = inherited->hands_down_capabilities,
		.set_nice = conf->nice != NICE_INHERIT,
		.nice = conf->nice,
		.umask = conf->umask,
		.reset = inherited->spawn_reset,
	};
	fill_limits(conf, inherited, ret);
}
