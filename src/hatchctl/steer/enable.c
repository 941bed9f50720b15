/*
 * hatchctl enable, hatchctl disable: let clients of a service in, or nobody.
 */
#include "conf/cmdline.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/flags.h"
#include "hatchctl/steer/persist.h"
#include "hatchctl/steer/recipe.h"
#include "hatchctl/steer/service-say.h"

#include <getopt.h>
#include <stdio.h>

/* What both say last. */
#define HELP_OF_BOTH(until)                                                                   \
	"      --persistent         until it is " until " --persistent\n"                     \
	"      --file FILE          the main file (that of the running hatchd, or\n"          \
	"                           " CMDLINE_FILE ")\n"                                      \
	"      --services-dir DIR   where the links are (services.d beside that file)\n"      \
	"      --recipes DIR        where recipes are (" RECIPE_FOLDER ")\n"                  \
	"  -s, --control PATH       the socket of hatchd (/run/hatchd/control)\n"             \
	"  -h, --help               this text\n"                                              \
	"\n"                                                                                  \
	"Exit status: 0 done, 1 not done, 2 the command line is wrong, or there is no such\n" \
	"service or recipe.\n"

static const char help_enable[] =
	"Usage: hatchctl enable [-s PATH] SERVICE...\n"
	"       hatchctl enable [-s PATH] --persistent [--file FILE] SERVICE...\n"
	"\n"
	"Let clients in again, after hatchctl disable or hatchctl drain.  With --persistent:\n"
	"have a recipe served from now on, by a link to it in services.d, and reload hatchd\n"
	"if it runs; hatchctl recipes lists them.  What would be a mistake is not done.\n"
	"\n" HELP_OF_BOTH("disabled by disable");

static const char help_disable[] =
	"Usage: hatchctl disable [-s PATH] SERVICE...\n"
	"       hatchctl disable [-s PATH] --persistent [--file FILE] SERVICE...\n"
	"\n"
	"Let nobody in until the next reload; connections that there are go on.  With\n"
	"--persistent: remove the link to a recipe that enable --persistent has made, and\n"
	"reload hatchd if it runs.  A file of your own is never removed.\n"
	"\n" HELP_OF_BOTH("enabled by enable");

/* One of the two commands. */
struct way {
	const char *name, *help;
	int (*say)(const char *path, const char *service); /* what was done */
	int (*for_good)(const struct persist *persist, const char *service);
};

static int worse(int a, int b)
{
	return a > b ? a : b;
}

/* What hatchd does not have it could have. */
static int tell(const struct persist_wish *wish, const char *service, int r, const char *why)
{
	const char *folder = wish->recipes ? wish->recipes : RECIPE_FOLDER;
	struct recipe recipe;

	if (r != -ESRCH || recipe_find(folder, folder, service, &recipe) < 0 || !recipe.path[0])
		return request_tell(service, r, why);
	command_failed("%s: %s; there is a recipe: hatchctl enable --persistent %s", service,
		why, service);
	return COMMAND_USAGE;
}

static int say_disabled(const char *path, const char *service)
{
	return service_say_disabled(path, service, "disabled until the next reload");
}

/* All of them, whatever becomes of one: the worst status. */
static int do_until_reload(
	const struct way *way, const struct persist_wish *wish, char **services)
{
	char words[REQUEST_LINE_MAX], why[REQUEST_WHY_MAX];
	int worst = COMMAND_DONE, r = 0;

	for (; *services && (r == 0 || request_is_about(r)); services++) {
		snprintf(words, sizeof words, "%s %s", way->name, *services);
		r = request_try(wish->control, words, NULL, why);
		if (r == 0)
			worst = worse(worst, way->say(wish->control, *services));
		else
			worst = worse(worst, tell(wish, *services, r, why));
	}
	return worst;
}

static int do_for_good(const struct way *way, const struct persist_wish *wish, char **services)
{
	struct persist persist;
	int worst = persist_begin(wish, &persist);

	if (worst != COMMAND_DONE)
		return worst;
	for (; *services; services++)
		worst = worse(worst, way->for_good(&persist, *services));
	return worst;
}

static int check_names(const struct way *way, char **services)
{
	if (!*services)
		return command_misused(way->name, "the name of a service is missing");
	for (; *services; services++)
		if (command_check_service(way->name, *services) != COMMAND_DONE)
			return COMMAND_USAGE;
	return COMMAND_DONE;
}

static int run(const struct way *way, int argc, char **argv)
{
	struct persist_wish wish = {0};
	bool persistent = false;
	const struct flag own[] = {
		{"file", NULL, &wish.file},
		{"persistent", &persistent, NULL},
		{"recipes", NULL, &wish.recipes},
		{"services-dir", NULL, &wish.services},
		{NULL, NULL, NULL},
	};
	struct flags flags;
	int r = flags_parse(argc, argv, way->name, way->help, own, &flags);

	if (r != COMMAND_DONE || flags.helped)
		return r;
	r = check_names(way, argv + optind);
	if (r != COMMAND_DONE)
		return r;
	if (!persistent && (wish.file || wish.services))
		return command_misused(way->name, "that is only for --persistent");
	wish.control = flags.control;
	return persistent ? do_for_good(way, &wish, argv + optind)
	                  : do_until_reload(way, &wish, argv + optind);
}

int command_enable(int argc, char **argv)
{
	const struct way way = {"enable", help_enable, service_say_state, persist_enable};

	return run(&way, argc, argv);
}

int command_disable(int argc, char **argv)
{
	const struct way way = {"disable", help_disable, say_disabled, persist_disable};

	return run(&way, argc, argv);
}
