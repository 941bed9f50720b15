#include "master/control-request.h"

#include "base/own.h"
#include "base/text.h"
#include "conf/rate.h"
#include "master/successor.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

/* The longest request has so many: set SERVICE LIMIT 20/s burst 40. */
#define WORDS_MAX 6

struct word {
	const char *at;
	size_t len;
};

int control_request_line(const char *text, size_t len, bool ended)
{
	const char *newline =
		memchr(text, '\n', len < CONTROL_LINE_MAX ? len : CONTROL_LINE_MAX);

	if (newline)
		return (int)(newline - text) + 1;
	if (len >= CONTROL_LINE_MAX)
		return -EMSGSIZE;
	return ended ? (int)len : 0;
}

/* ------------------------------------------------------------------- words */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* How many there are: more than WORDS_MAX are counted as one more. */
static size_t split(const char *line, size_t len, struct word words[WORDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		size_t start = i;

		while (i < len && !is_blank(line[i]))
			i++;
		if (i == start)
			continue;
		if (n == WORDS_MAX)
			return n + 1;
		words[n++] = (struct word){line + start, i - start};
	}
	return n;
}

static bool is(const struct word *word, const char *text)
{
	return word->len == strlen(text) && memcmp(word->at, text, word->len) == 0;
}

/* As a string.  False: it is none, or a longer one than anything that is asked for. */
static bool copy(const struct word *word, char *buf, size_t size)
{
	if (word->len >= size || memchr(word->at, '\0', word->len))
		return false;
	memcpy(buf, word->at, word->len);
	buf[word->len] = '\0';
	return true;
}

/* ------------------------------------------------ what stands behind the first one */

/* Each takes the words that follow; NULL, or a constant phrase that says what is wrong. */
typedef const char *(*take_words)(
	const struct word *words, size_t n, struct control_request *request);

/* Only what can be a name is looked for. */
static const char *take_service(
	const struct word *words, size_t n, struct control_request *request)
{
	if (n > 0 && (!copy(&words[0], request->service, sizeof request->service) ||
			     !service_name_valid(request->service)))
		return "not the name of a service";
	return NULL;
}

static const char *take_connection(
	const struct word *words, size_t n, struct control_request *request)
{
	char text[TEXT_NUMBER_MAX];

	(void)n;
	if (!copy(&words[0], text, sizeof text) ||
		text_parse_u64(text, &request->connection) < 0 || request->connection == 0)
		return "not the number of a connection";
	return NULL;
}

const char *control_limit_name(enum control_limit limit)
{
	static const char *const names[_CONTROL_LIMIT_MAX] = {
		[CONTROL_INSTANCES] = "instances",
		[CONTROL_PER_SOURCE] = "per_source",
		[CONTROL_RATE] = "rate",
		[CONTROL_PER_SOURCE_RATE] = "per_source_rate",
	};

	return names[limit];
}

static bool find_limit(const struct word *word, enum control_limit *ret)
{
	for (int i = 0; i < _CONTROL_LIMIT_MAX; i++) {
		*ret = (enum control_limit)i;
		if (is(word, control_limit_name(*ret)))
			return true;
	}
	return false;
}

/* "unlimited", or what the option takes: 0 would be to disable it. */
static int parse_count(const char *text, uint32_t *ret)
{
	if (strcmp(text, "unlimited") == 0) {
		*ret = COUNT_UNLIMITED;
		return 0;
	}
	if (text_parse_u32(text, ret) < 0 || *ret == 0 || *ret == COUNT_UNLIMITED)
		return -EINVAL;
	return 0;
}

static int parse_value(const char *text, struct control_request *request)
{
	const char *why;

	if (request->limit == CONTROL_INSTANCES || request->limit == CONTROL_PER_SOURCE)
		return parse_count(text, &request->count);
	return rate_parse(text, &request->rate, &why);
}

/* With a blank between two of them.  False: longer than any value. */
static bool join(const struct word *words, size_t n, char *buf, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && len + 1 < size)
			buf[len++] = ' ';
		if (!copy(&words[i], buf + len, size - len))
			return false;
		len += words[i].len;
	}
	return true;
}

static const char *take_limit(
	const struct word *words, size_t n, struct control_request *request)
{
	const char *why = take_service(words, 1, request);
	char value[RATE_TEXT_MAX];

	if (why)
		return why;
	if (!find_limit(&words[1], &request->limit))
		return "not a limit that can be set: instances, per_source, rate, "
		       "per_source_rate";
	if (!join(words + 2, n - 2, value, sizeof value) || parse_value(value, request) < 0)
		return "not a value of that limit";
	return NULL;
}

static const char *take_level(
	const struct word *words, size_t n, struct control_request *request)
{
	static const struct {
		const char *name;
		int priority;
	} levels[] = {
		{"error", LOG_ERR},
		{"warning", LOG_WARNING},
		{"notice", LOG_NOTICE},
		{"info", LOG_INFO},
		{"debug", LOG_DEBUG},
	};

	(void)n;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		request->priority = levels[i].priority;
		if (is(&words[0], levels[i].name))
			return NULL;
	}
	return "not a level: error, warning, notice, info, debug";
}

static const char *parse_net(const struct word *word, struct addr_net *ret)
{
	char text[ADDR_NET_TEXT_MAX];

	switch (copy(word, text, sizeof text) ? addr_net_parse(text, ret) : -ENOENT) {
	case 0:
		return NULL;
	case -EINVAL:
		return "not as many bits as such an address can have";
	case -ENODEV:
		return "no such interface, or an address that has none";
	default:
		return "not an address: 192.0.2.1, 192.0.2.0/24, 2001:db8::1, uid:1000, "
		       "vsock:3";
	}
}

static const char *parse_ban_time(const struct word *word, uint64_t *ret)
{
	char text[TEXT_NUMBER_MAX];

	*ret = 0;
	if (is(word, "unlimited"))
		return NULL;
	if (!copy(word, text, sizeof text) || text_parse_duration(text, ret) < 0 ||
		*ret < CONTROL_BAN_MIN || *ret > CONTROL_BAN_MAX)
		return "not a duration from 1s to 366d, or unlimited";
	return NULL;
}

static const char *take_ban(const struct word *words, size_t n, struct control_request *request)
{
	const char *why = parse_net(&words[0], &request->who);

	if (!why && n > 1)
		why = parse_ban_time(&words[1], &request->duration);
	if (!why && n > 2)
		why = take_service(&words[2], 1, request);
	return why;
}

static const char *take_drain(
	const struct word *words, size_t n, struct control_request *request)
{
	char text[TEXT_NUMBER_MAX];

	request->duration = DURATION_UNLIMITED;
	if (n > 0 && !is(&words[0], "unlimited") &&
		(!copy(&words[0], text, sizeof text) ||
			text_parse_duration(text, &request->duration) < 0))
		return "not a duration such as 30s or 5min, or unlimited";
	request->kills = n > 1;
	if (n > 1 && !is(&words[1], "kill"))
		return "not the word kill";
	return NULL;
}

static const char *take_version(
	const struct word *words, size_t n, struct control_request *request)
{
	(void)n;
	(void)request;
	return is(&words[0], SUCCESSOR_VERSION_TEXT)
	               ? NULL
	               : "not a version that is spoken here: " SUCCESSOR_VERSION_TEXT;
}

static const char *take_unban(
	const struct word *words, size_t n, struct control_request *request)
{
	const char *why = parse_net(&words[0], &request->who);

	return why ? why : take_service(words + 1, n - 1, request);
}

/* ---------------------------------------------------------------- the first one */

static const struct rule {
	const char *word;
	size_t min, max; /* words behind it */
	take_words take; /* NULL: there are none */
	struct control_help help;
	bool leaves; /* as control_request has it */
} rules[_CONTROL_QUESTION_MAX] = {
	[CONTROL_HELP] = {"help", 0, 0, NULL, {"help", "what can be asked", false}, false},
	[CONTROL_STATUS] = {"status", 0, 0, NULL, {"status", "hatchd itself", false}, false},
	[CONTROL_LIST] = {"list", 0, 1, take_service, {"list [SERVICE]", "the services", false},
		false},
	[CONTROL_CONNECTIONS] = {"connections", 0, 1, take_service,
		{"connections [SERVICE]", "who is connected", false}, false},
	[CONTROL_BANS] = {"bans", 0, 1, take_service,
		{"bans [SERVICE]", "who is banned", false}, false},
	[CONTROL_EVENTS] = {"events", 0, 1, take_service,
		{"events [SERVICE]", "what happens from now on", false}, true},
	[CONTROL_METRICS] = {"metrics", 0, 0, NULL, {"metrics", "what is counted", false},
		false},
	[CONTROL_ORPHANS] = {"orphans", 0, 1, take_service,
		{"orphans [SERVICE]", "what an earlier hatchd has left running", false}, false},
	[CONTROL_RELOAD] = {"reload", 0, 0, NULL,
		{"reload", "read the files again, and say what became of it", true}, false},
	[CONTROL_UPGRADE] = {"upgrade", 0, 0, NULL,
		{"upgrade", "begin to execute another hatchd in the place of this one", true},
		false},
	[CONTROL_DISABLE] = {"disable", 1, 1, take_service,
		{"disable SERVICE", "let nobody in, until it is enabled or a reload", true},
		false},
	[CONTROL_ENABLE] = {"enable", 1, 1, take_service,
		{"enable SERVICE", "let clients in again", true}, false},
	[CONTROL_SET] = {"set", 3, 5, take_limit,
		{"set SERVICE LIMIT VALUE", "change a limit, until a reload", true}, false},
	[CONTROL_KILL] = {"kill", 1, 1, take_connection,
		{"kill CONNECTION", "end one of the connections", true}, false},
	[CONTROL_DRAIN] = {"drain", 0, 2, take_drain,
		{"drain [DURATION [kill]]", "let nobody in, and stop when all have gone", true},
		false},
	[CONTROL_TAKE_OVER] = {"take-over", 1, 1, take_version,
		{"take-over VERSION", "another hatchd takes over all sockets", true}, true},
	[CONTROL_BAN] = {"ban", 1, 3, take_ban,
		{"ban ADDRESS[/BITS] [DURATION [SERVICE]]", "let nobody in from there", true},
		false},
	[CONTROL_UNBAN] = {"unban", 1, 2, take_unban,
		{"unban ADDRESS[/BITS] [SERVICE]", "lift bans", true}, false},
	[CONTROL_END_ORPHANS] = {"end-orphans", 0, 1, take_service,
		{"end-orphans [SERVICE]", "have that end", true}, false},
	[CONTROL_KILL_ORPHANS] = {"kill-orphans", 0, 1, take_service,
		{"kill-orphans [SERVICE]", "end it at once", true}, false},
	[CONTROL_LOG_LEVEL] = {"log-level", 1, 1, take_level,
		{"log-level LEVEL", "what the log is told from now on", true}, false},
};

const struct control_help *control_request_help(enum control_question question)
{
	return &rules[question].help;
}

static const struct rule *find_rule(const struct word *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (is(word, rules[i].word))
			return &rules[i];
	return NULL;
}

static const char *parse(const char *line, size_t len, struct control_request *ret)
{
	struct control_request request = {.question = CONTROL_STATUS};
	struct word words[WORDS_MAX];
	size_t n = split(line, len, words);
	const struct rule *rule = n > 0 ? find_rule(&words[0]) : NULL;
	const char *why;

	if (n == 0)
		return "the request is empty";
	if (!rule)
		return "unknown request";
	if (n - 1 > rule->max)
		return "too many words";
	if (n - 1 < rule->min)
		return "words are missing";
	request.question = (enum control_question)(rule - rules);
	request.leaves = rule->leaves;
	why = rule->take ? rule->take(words + 1, n - 1, &request) : NULL;
	if (!why)
		*ret = request;
	return why;
}

int control_request_parse(
	const char *line, size_t len, struct control_request *ret, const char **reterr_why)
{
	const char *why = parse(line, len, ret);

	if (!why)
		return 0;
	*reterr_why = why;
	return -EINVAL;
}
