/*
 * hatchctl metrics: what hatchd counts, for Prometheus and whoever reads OpenMetrics; once, or
 * as the answer to a request of HTTP.
 */
#include "conf/cmdline.h"
#include "hatchctl/ask/question.h"
#include "hatchctl/command.h"
#include "hatchctl/metrics/http-serve.h"
#include "hatchctl/metrics/write.h"

#include <getopt.h>
#include <string.h>

static const char help[] =
	"Usage: hatchctl metrics [--control PATH] [--format FORMAT | --http]\n"
	"\n"
	"Write what the running hatchd counts as metrics.\n"
	"\n"
	"  -s, --control PATH    the socket of hatchd (/run/hatchd/control)\n"
	"  -f, --format FORMAT   openmetrics (version 1.0), or prometheus: the older text\n"
	"                        format, as promtool checks it and node_exporter reads it\n"
	"      --http            read one request of HTTP from standard input, and answer it:\n"
	"                        GET /metrics, in the format that the client prefers\n"
	"  -h, --help            this text\n"
	"\n"
	"Exit status: 0 done, 1 hatchd does not run, or does not answer that, 2 the command\n"
	"line is wrong.\n";

struct metrics_options {
	const char *path; /* of the socket */
	enum exposition_format format;
	bool has_format;
	bool http;
	bool helped; /* there is nothing left to do */
};

static int take_format(struct metrics_options *options, const char *word)
{
	options->has_format = true;
	options->format = EXPOSITION_OPENMETRICS;
	if (strcmp(word, "openmetrics") == 0)
		return COMMAND_DONE;
	options->format = EXPOSITION_PROMETHEUS;
	if (strcmp(word, "prometheus") == 0)
		return COMMAND_DONE;
	return command_misused(
		"metrics", "unknown format '%s': openmetrics or prometheus", word);
}

static int take_option(struct metrics_options *options, int result)
{
	switch (result) {
	case 'f':
		return take_format(options, optarg);
	case 'H':
		options->http = true;
		return COMMAND_DONE;
	case 's':
		options->path = optarg;
		return COMMAND_DONE;
	default:
		options->helped = true;
		return command_print(help);
	}
}

static int parse_options(int argc, char **argv, struct metrics_options *ret)
{
	static const struct option options[] = {
		{"control", required_argument, NULL, 's'},
		{"format", required_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"http", no_argument, NULL, 'H'},
		{NULL, 0, NULL, 0},
	};
	int result, r = COMMAND_DONE;

	*ret = (struct metrics_options){.path = CMDLINE_CONTROL};
	while (r == COMMAND_DONE && !ret->helped &&
		(result = getopt_long(argc, argv, ":f:hs:", options, NULL)) != -1)
		r = result == '?' || result == ':'
		            ? command_bad_option("metrics", result, argv, options)
		            : take_option(ret, result);
	if (r != COMMAND_DONE || ret->helped)
		return r;
	if (optind < argc)
		return command_misused("metrics", "unexpected argument '%s'", argv[optind]);
	if (ret->http && ret->has_format)
		return command_misused(
			"metrics", "with --http it is the client who chooses the format");
	return COMMAND_DONE;
}

/* A hatchd that hangs is told of while there is time to tell it. */
static int ask(const struct metrics_options *options, const char *request, struct answer *ret)
{
	_cleanup_question_ struct question question;
	int r;

	question_init(&question, true);
	if (options->http)
		question.patience = HTTP_ANSWER_PATIENCE;
	r = question_ask(&question, options->path, request);
	while (r == 0)
		r = question_read(&question, ret);
	return r < 0 ? command_failed("%s", question.why) : COMMAND_DONE;
}

static int ask_and_write(void *userdata, FILE *out, enum exposition_format format)
{
	const struct metrics_options *options = userdata;
	_cleanup_metrics_ struct metrics metrics = {0};
	int r;

	r = ask(options, "metrics\n", &metrics.counts);
	if (r == COMMAND_DONE)
		r = ask(options, "list\n", &metrics.services);
	if (r != COMMAND_DONE)
		return r;
	r = backlogs_get(&metrics.backlogs);
	if (r == 0)
		r = metrics_write(&metrics, out, format);
	if (r < 0)
		return command_failed("unable to write metrics: %s",
			r == -EBADMSG ? "that is no answer of hatchd" : strerror(-r));
	return COMMAND_DONE;
}

int command_metrics(int argc, char **argv)
{
	struct metrics_options options;
	int r;

	r = parse_options(argc, argv, &options);
	if (r != COMMAND_DONE || options.helped)
		return r;
	if (options.http)
		return http_serve(ask_and_write, &options);
	r = ask_and_write(&options, stdout, options.format);
	return r == COMMAND_DONE ? command_print("") : r;
}
