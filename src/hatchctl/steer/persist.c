#include "hatchctl/steer/persist.h"

#include "base/text.h"
#include "conf/cmdline.h"
#include "hatchctl/ask/request.h"
#include "hatchctl/command.h"
#include "hatchctl/run-hatchd.h"
#include "hatchctl/steer/mistakes.h"
#include "hatchctl/steer/recipe.h"
#include "hatchctl/steer/reloading.h"
#include "hatchctl/steer/service-say.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------ what is meant */

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* The file of the hatchd that runs, if it is the one that is meant: the caller's.  Another
 * one has nothing to do with that. */
static int find_running(
	struct persist *persist, const struct persist_wish *wish, char **ret_file)
{
	_cleanup_answer_ struct answer status = {0};
	_cleanup_free_ char *file = NULL;
	char why[REQUEST_WHY_MAX];
	int r = request_try(persist->control, "status", &status, why);

	if (request_found_nobody(r) || (r < 0 && wish->looks))
		return COMMAND_DONE;
	if (r < 0)
		return command_failed("%s", why);
	file = request_text(&status, "config");
	if (!file && !wish->file && !wish->looks)
		return command_failed("hatchd serves its command line, and no file");
	persist->running = file && (!wish->file || same_file(file, wish->file));
	*ret_file = persist->running ? take_ptr(file) : NULL;
	return COMMAND_DONE;
}

int persist_begin(const struct persist_wish *wish, struct persist *ret)
{
	struct persist persist = {.control = wish->control};
	_cleanup_free_ char *running = NULL;
	const char *file = wish->file ? wish->file : CMDLINE_FILE, *slash;
	int r = find_running(&persist, wish, &running), n;

	if (r != COMMAND_DONE)
		return r;
	if (running)
		file = running;
	slash = strrchr(file, '/');
	persist.recipes = wish->recipes ? wish->recipes : RECIPE_FOLDER;
	if (wish->services)
		n = snprintf(persist.services, PATH_MAX, "%s", wish->services);
	else
		n = snprintf(persist.services, PATH_MAX, "%.*s/services.d",
			slash ? (int)(slash - file) : 1, slash ? file : ".");
	if (n >= PATH_MAX || snprintf(persist.file, PATH_MAX, "%s", file) >= PATH_MAX)
		return command_failed("%s: %s", file, strerror(ENAMETOOLONG));
	*ret = persist;
	return COMMAND_DONE;
}

static int find(const struct persist *persist, const char *name, struct recipe *ret)
{
	int r = recipe_find(persist->recipes, persist->services, name, ret);

	if (r < 0)
		return command_failed("%s: unable to look into %s: %s", name, persist->services,
			strerror(-r));
	return COMMAND_DONE;
}

static int no_such_recipe(const struct persist *persist, const char *name)
{
	_cleanup_strv_ char **names = NULL;
	const char *nearest = NULL;

	if (recipe_list(persist->recipes, &names) == 0 && names)
		nearest = text_nearest(name, (const char *const *)names);
	command_failed("%s: there is no recipe of that name in %s%s%s%s", name,
		persist->recipes, nearest ? "; did you mean '" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
	return COMMAND_USAGE;
}

/* ------------------------------------------------------------------- trying it out */

static int check(const struct persist *persist, char **ret_said)
{
	const char *const words[] = {"--check", "-f", persist->file, NULL};
	_cleanup_free_ char *said = NULL;
	int status, r = run_hatchd(words, &said, &status);

	if (r < 0)
		return command_failed("unable to run hatchd --check: %s", strerror(-r));
	if (status > 1) {
		fputs(said, stderr);
		return command_failed(
			"unable to check %s: hatchd ended with %d", persist->file, status);
	}
	*ret_said = take_ptr(said);
	return COMMAND_DONE;
}

/* Whether the file has been found at all: nobody need include that folder. */
static bool is_included(const struct persist *persist, const char *name)
{
	const char *const words[] = {"--print-config", "-f", persist->file, NULL};
	_cleanup_free_ char *said = NULL, *wanted = NULL;
	int status;

	if (run_hatchd(words, &said, &status) < 0 ||
		asprintf(&wanted, "\nservice %s {\n", name) < 0)
		return true;
	return strncmp(said, wanted + 1, strlen(wanted) - 1) == 0 || strstr(said, wanted);
}

static int judge(const struct persist *persist, const char *before)
{
	_cleanup_free_ char *after = NULL, *text = NULL;
	struct mistakes mistakes;
	int r = check(persist, &after);

	if (r != COMMAND_DONE)
		return r;
	if (mistakes_compare(before, after, &mistakes) < 0)
		return command_failed("unable to check: %s", strerror(ENOMEM));
	text = mistakes.text;
	fputs(text, stderr);
	return mistakes.errors > 0 ? COMMAND_FAILED : COMMAND_DONE;
}

static int try_out(const struct persist *persist, const char *name, const char *before, bool on)
{
	int r = judge(persist, before);

	if (r != COMMAND_DONE)
		return r;
	if (on && !strstr(before, ": error: ") && !is_included(persist, name))
		return command_failed("%s: %s does not include what is in %s", name,
			persist->file, persist->services);
	return persist->running ? reloading_do(persist->control) : COMMAND_DONE;
}

static int fail(const struct recipe *recipe, const char *name, bool on)
{
	int r = recipe_put(recipe, !on);

	if (r < 0)
		return command_failed("%s: unable to take that back: %s: %s", name,
			recipe->link, strerror(-r));
	return command_failed("%s: not %s: %s", name, on ? "enabled" : "disabled",
		on ? "the link was taken back" : "the link is there again");
}

static int change_now(
	const struct persist *persist, const struct recipe *recipe, const char *name, bool on)
{
	_cleanup_free_ char *before = NULL;
	int r = check(persist, &before);

	if (r != COMMAND_DONE)
		return r;
	r = recipe_put(recipe, on);
	if (r < 0)
		return command_failed("%s: unable to %s %s: %s", name, on ? "make" : "remove",
			recipe->link, strerror(-r));
	r = try_out(persist, name, before, on);
	return r == COMMAND_DONE ? r : fail(recipe, name, on);
}

/* A check that the terminal's Ctrl-C ends is one that has failed. */
static int change(
	const struct persist *persist, const struct recipe *recipe, const char *name, bool on)
{
	static const int numbers[] = {SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
	sigset_t blocked, old;
	int r;

	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&blocked, numbers[i]);
	sigprocmask(SIG_BLOCK, &blocked, &old);
	r = change_now(persist, recipe, name, on);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}

/* ------------------------------------------------------------------------- enabling */

static int say_enabled(const struct persist *persist, const char *name)
{
	if (persist->running)
		return service_say_state(persist->control, name);
	printf("%s: enabled; hatchd does not run with %s\n", name, persist->file);
	return command_print("");
}

/* The link is there: it may be disabled for now, or there was no reload since. */
static int confirm(const struct persist *persist, const char *name)
{
	char words[REQUEST_LINE_MAX], why[REQUEST_WHY_MAX];
	int r;

	if (!persist->running)
		return say_enabled(persist, name);
	snprintf(words, sizeof words, "enable %s", name);
	r = request_try(persist->control, words, NULL, why);
	if (r == -ESRCH && reloading_do(persist->control) != COMMAND_DONE)
		return COMMAND_FAILED;
	if (r < 0 && r != -ESRCH)
		return request_tell(name, r, why);
	return say_enabled(persist, name);
}

int persist_enable(const struct persist *persist, const char *name)
{
	struct recipe recipe;
	int r = find(persist, name, &recipe);

	if (r != COMMAND_DONE)
		return r;
	if (recipe.state == RECIPE_OTHER)
		return command_failed("%s: %s is a file of your own, and no link to a recipe",
			name, recipe.link);
	if (!recipe.path[0])
		return no_such_recipe(persist, name);
	if (recipe.state == RECIPE_ON)
		return confirm(persist, name);
	r = change(persist, &recipe, name, true);
	return r == COMMAND_DONE ? say_enabled(persist, name) : r;
}

/* ------------------------------------------------------------------------ disabling */

/* There is no link.  A service of that name may come from elsewhere. */
static int nothing_to_remove(
	const struct persist *persist, const struct recipe *recipe, const char *name)
{
	char why[REQUEST_WHY_MAX];

	if (persist->running && request_service(persist->control, name, NULL, why) == 0)
		return command_failed("%s: no recipe; set 'disable = yes' in the file that it "
				      "is in, and reload",
			name);
	if (!recipe->path[0])
		return no_such_recipe(persist, name);
	printf("%s: disabled already\n", name);
	return command_print("");
}

int persist_disable(const struct persist *persist, const char *name)
{
	struct recipe recipe;
	int r = find(persist, name, &recipe);

	if (r != COMMAND_DONE)
		return r;
	if (recipe.state == RECIPE_OTHER)
		return command_failed("%s: %s is a file of your own: set 'disable = yes' in "
				      "it, and reload",
			name, recipe.link);
	if (recipe.state == RECIPE_OFF)
		return nothing_to_remove(persist, &recipe, name);
	r = change(persist, &recipe, name, false);
	return r == COMMAND_DONE ? service_say_disabled(persist->control, name, "disabled") : r;
}
