/*
 * hatchctl list: the services of a running hatchd, a line for each.
 */
#include "conf/conf.h"
#include "hatchctl/answer.h"
#include "hatchctl/command.h"
#include "hatchctl/table.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: hatchctl list [--control PATH] [--json] [SERVICE]\n"
	"\n"
	"A line for each service of the running hatchd, or for that one: its state, how\n"
	"many children it has and may have, how many were ever started, how many clients\n"
	"were refused, and its addresses; those in parentheses cannot be had now.\n"
	"\n"
	"      --control PATH   the socket of hatchd (/run/hatchd/control)\n"
	"  -j, --json           the lines as hatchd writes them\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit status: 0 done, 1 hatchd does not run, or does not answer that, 2 the command\n"
	"line is wrong.\n";

static const char *const heads[] = {"SERVICE", "STATE", "CHILDREN", "LIMIT", "PENDING",
	"STARTED", "REFUSED", "ADDRESSES", NULL};

static uint64_t sum_up(struct json_value counts)
{
	struct json_value item = {NULL, NULL};
	uint64_t all = 0;

	while (json_next(counts, &item, NULL))
		all += json_to_number(item);
	return all;
}

static void add_text(struct table *table, struct json_value value)
{
	_cleanup_free_ char *text = json_to_string(value);

	table_add(table, "%s", text ? text : "");
}

static void put_address(FILE *out, struct json_value address)
{
	_cleanup_free_ char *text = json_to_string(json_get(address, "address"));
	_cleanup_free_ char *state = json_to_string(json_get(address, "state"));
	bool open = state && strcmp(state, "open") == 0;

	fprintf(out, open ? "%s" : "(%s)", text ? text : "?");
}

static void add_addresses(struct table *table, struct json_value addresses)
{
	_cleanup_free_ char *text = NULL;
	struct json_value item = {NULL, NULL};
	size_t len, n = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out) {
		table->error = -ENOMEM;
		return;
	}
	while (json_next(addresses, &item, NULL)) {
		if (n++ > 0)
			fputc(' ', out);
		put_address(out, item);
	}
	if (fclose(out) != 0)
		table->error = -ENOMEM;
	else
		table_add(table, "%s", text);
}

/* A dash where there is no limit, or nobody to be counted. */
static void add_number(struct table *table, struct json_value value)
{
	if (!value.at || *value.at == 'n')
		table_add(table, "-");
	else
		table_add(table, "%" PRIu64, json_to_number(value));
}

static void add_service(struct table *table, struct json_value service)
{
	add_text(table, json_get(service, "service"));
	add_text(table, json_get(service, "state"));
	table_add(table, "%" PRIu64, json_to_number(json_get(service, "children")));
	add_number(table, json_get(service, "instances"));
	add_number(table, json_get(service, "pending"));
	table_add(table, "%" PRIu64, json_to_number(json_get(service, "started")));
	table_add(table, "%" PRIu64, sum_up(json_get(service, "refused")));
	add_addresses(table, json_get(service, "addresses"));
}

static int print(const struct answer *answer)
{
	_cleanup_table_ struct table table;
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_init(&table, heads);
	for (size_t i = 0; i < answer->n_lines; i++)
		add_service(&table, answer->lines[i]);
	if (out)
		table_print(&table, out);
	if (!out || fclose(out) != 0 || table.error)
		return command_failed("unable to list services: %s", strerror(ENOMEM));
	return command_print(text);
}

static int make_request(int argc, char **argv, char request[128])
{
	const char *service = optind < argc ? argv[optind] : NULL;

	if (argc - optind > 1)
		return command_misused("list", "unexpected argument '%s': there is one service",
			argv[optind + 1]);
	if (service && !service_name_valid(service))
		return command_misused("list", "'%s' is not the name of a service", service);
	snprintf(request, 128, "list%s%s\n", service ? " " : "", service ? service : "");
	return COMMAND_DONE;
}

int command_list(int argc, char **argv)
{
	_cleanup_answer_ struct answer answer = {0};
	struct answer_options options;
	char request[128];
	int r;

	r = answer_parse_options(argc, argv, "list", help, &options);
	if (r != COMMAND_DONE || options.helped)
		return r;
	r = make_request(argc, argv, request);
	if (r == COMMAND_DONE)
		r = answer_get(options.path, request, &answer);
	if (r != COMMAND_DONE)
		return r;
	return options.json ? answer_print_lines(&answer) : print(&answer);
}
