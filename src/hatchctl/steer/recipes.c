/*
 * hatchctl recipes: what is ready to be served, and whether it is.
 */
#include "conf/cmdline.h"
#include "hatchctl/command.h"
#include "hatchctl/steer/persist.h"
#include "hatchctl/steer/recipe.h"
#include "hatchctl/table/view.h"

#include <getopt.h>
#include <string.h>

enum recipe_column {
	RECIPE_NAME,
	RECIPE_ENABLED,
	RECIPE_DESCRIPTION,
	_RECIPE_COLUMN_MAX,
};

static const struct table_column columns[_RECIPE_COLUMN_MAX] = {
	[RECIPE_NAME] = {"NAME", "name", TABLE_TEXT, "of the service"},
	[RECIPE_ENABLED] = {"ENABLED", "enabled", TABLE_TEXT,
		"yes, no, or own: another file has that name"},
	[RECIPE_DESCRIPTION] = {"DESCRIPTION", "description", TABLE_TEXT, "what it is"},
};

static const char help[] =
	"Usage: hatchctl recipes [OPTION...]\n"
	"\n"
	"The services that hatchctl enable --persistent can enable, and whether they are.\n"
	"\n"
	"      --file FILE        the main file (that of the running hatchd, or\n"
	"                         " CMDLINE_FILE ")\n"
	"      --services-dir DIR where the links are (services.d beside that file)\n"
	"      --recipes DIR      where recipes are (" RECIPE_FOLDER ")\n";

static const char *word_for(enum recipe_state state)
{
	switch (state) {
	case RECIPE_OFF:
		return "no";
	case RECIPE_ON:
		return "yes";
	case RECIPE_OTHER:
		return "own";
	}
	return "?";
}

static int add(struct table *table, const struct persist *persist, const char *name)
{
	_cleanup_free_ char *description = NULL;
	struct recipe recipe;
	int r = recipe_find(persist->recipes, persist->services, name, &recipe);

	if (r < 0)
		return command_failed("%s: unable to look into %s: %s", name, persist->services,
			strerror(-r));
	description = recipe_describe(recipe.path);
	table_begin_row(table);
	table_put_text(table, RECIPE_NAME, name);
	table_put_text(table, RECIPE_ENABLED, word_for(recipe.state));
	table_put_text(table, RECIPE_DESCRIPTION, description);
	return COMMAND_DONE;
}

static int print(const struct persist *persist, const struct table_style *style)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_table_ struct table table;
	int r = recipe_list(persist->recipes, &names);

	table_init(&table, columns, style);
	if (r < 0)
		return command_failed("unable to read %s: %s", persist->recipes, strerror(-r));
	r = COMMAND_DONE;
	for (char **name = names; name && *name && r == COMMAND_DONE; name++)
		r = add(&table, persist, *name);
	return r == COMMAND_DONE ? table_print(&table, "recipes") : r;
}

int command_recipes(int argc, char **argv)
{
	struct persist_wish wish = {.looks = true};
	const struct flag own[] = {
		{"file", NULL, &wish.file},
		{"recipes", NULL, &wish.recipes},
		{"services-dir", NULL, &wish.services},
		{NULL, NULL, NULL},
	};
	const struct view_command recipes = {
		"recipes", help, own, columns, _RECIPE_COLUMN_MAX, "name,enabled,description"};
	struct persist persist;
	struct view view;
	int r = view_parse(argc, argv, &recipes, &view);

	if (r != COMMAND_DONE || view.helped)
		return r;
	if (optind < argc)
		return command_misused("recipes", "unexpected argument '%s'", argv[optind]);
	wish.control = view.path;
	r = persist_begin(&wish, &persist);
	return r == COMMAND_DONE ? print(&persist, &view.style) : r;
}
