/*
 * wrappers-judge: what one rule of hosts.allow or hosts.deny means.
 */
#include "conf/wrappers-internal.h"

#include "base/text.h"
#include "conf/lex.h"
#include "conf/source.h"

#include <fcntl.h>
#include <string.h>

/* Letters of the name of an option that are looked at. */
#define OPTION_NAME_MAX 31

struct judge {
	struct source **sources;
	struct report *report;
	struct wrappers_judged *judged;
};

static void tell(struct judge *j, const struct origin *origin, const char *text)
{
	j->judged->mistaken = true;
	report_mistake(j->report, origin, "%s", text);
}

/*
 * Options (hosts_options(5)).
 */

/* What only tcp_wrappers does, and what to write instead. */
static const struct foreign {
	const char *word, *ours;
	bool harmless; /* nobody comes in or stays out by it */
} foreign[] = {
	{"severity", "every connection is logged, see hatchd(8)", true},
	{"keepalive", "write keepalive = yes for the service", true},
	{"linger", "hatchd does not wait for what a program leaves unsent", true},
	{"spawn", "commands are not run", false},
	{"aclexec", "commands are not run", false},
	{"twist", "write banner_fail = PATH for what he is told, or a service of its own",
		false},
	{"banners", "write banner_success and banner_fail for the service", false},
	{"user", "write user = NAME for the service", false},
	{"group", "write group = NAME for the service", false},
	{"nice", "write nice = NUMBER for the service", false},
	{"umask", "write umask = MODE for the service", false},
	{"setenv", "write env = { NAME=VALUE } for the service", false},
	{"rfc931", "write ident = yes for the service", false},
};

static const struct foreign *find_foreign(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		if (wrappers_is_word(name, foreign[i].word))
			return &foreign[i];
	return NULL;
}

static void judge_foreign(struct judge *j, const struct wrappers_word *option, const char *name)
{
	const struct foreign *known = find_foreign(name);
	char shown[DIAG_SHOWN_MAX];

	if (known && known->harmless) {
		report_warning(j->report, &option->origin, "option '%s' has no effect: %s",
			known->word, known->ours);
		return;
	}
	j->judged->mistaken = true;
	diag_shown(name, strlen(name), shown);
	if (known)
		report_mistake(j->report, &option->origin, "option '%s' is not for hatchd: %s",
			known->word, known->ours);
	else
		report_mistake(j->report, &option->origin,
			"'%s' is no option; commands are not run, and what a rule can end in "
			"is ALLOW or DENY",
			shown);
}

/* "NAME VALUE", "NAME = VALUE"; a command is no name. */
static void judge_option(struct judge *j, const struct wrappers_word *option, bool last)
{
	size_t len = strcspn(option->text, "= \t\r");
	char name[OPTION_NAME_MAX + 1];
	bool allow, deny;

	/* What is longer is no option either way. */
	snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : OPTION_NAME_MAX),
		option->text);
	allow = wrappers_is_word(name, "allow");
	deny = wrappers_is_word(name, "deny");
	if (!allow && !deny) {
		judge_foreign(j, option, name);
		return;
	}
	if (option->text[len] != '\0')
		tell(j, &option->origin, "ALLOW and DENY have no value");
	else if (!last)
		tell(j, &option->origin, "ALLOW and DENY are the last of a rule");
	j->judged->denies = deny;
}

/*
 * Clients.
 */

static void note_needs(struct judge *j, size_t before, const struct origin *origin)
{
	struct wrappers_judged *judged = j->judged;

	for (size_t i = before; i < judged->clients.n; i++) {
		const struct wrappers_item *item = &judged->clients.items[i];

		if (wrappers_wants_name(item) && !judged->name_at.file)
			judged->name_at = *origin;
		if (wrappers_wants_user(item) && !judged->user_at.file)
			judged->user_at = *origin;
	}
}

static int read_host(struct judge *j, const char *word, const struct origin *origin)
{
	struct wrappers_items *items = &j->judged->clients;
	char remark[WRAPPERS_REMARK_MAX];
	size_t before = items->n;
	int r;

	if (items->n > WRAPPERS_ITEMS_MAX)
		return 0;
	if (word[0] == '/') {
		tell(j, origin, "a file of hosts cannot name another one");
		return 0;
	}
	r = wrappers_host_read(word, WRAPPERS_OF_CLIENT, items, remark);
	if (r == -EINVAL)
		tell(j, origin, remark);
	note_needs(j, before, origin);
	return r == -EINVAL ? 0 : r;
}

/* The words of a file that a rule names, as its patterns. */
static int read_hosts(struct judge *j, const struct source *source)
{
	const char *at = source->text, *end = at + source->len;
	struct origin origin = {.file = source->path, .line = 1, .column = 1};
	int r = 0;

	while (at < end && r == 0) {
		size_t len = strcspn(at, " \t\r\n\f\v");
		_cleanup_free_ char *word = NULL;

		if (len == 0) {
			origin.line += *at == '\n';
			origin.column = *at++ == '\n' ? 1 : origin.column + 1;
			continue;
		}
		word = strndup(at, len);
		if (!word)
			return -ENOMEM;
		origin.width = (uint32_t)len;
		r = wrappers_is_word(word, "EXCEPT")
		            ? (tell(j, &origin, "EXCEPT is not for a file of hosts"), 0)
		            : read_host(j, word, &origin);
		at += len;
		origin.column += (uint32_t)len;
	}
	return r;
}

static void tell_unreadable(
	struct judge *j, const char *path, const struct origin *origin, const char *why)
{
	char shown[DIAG_SHOWN_MAX];

	j->judged->mistaken = true;
	report_mistake(j->report, origin, "unable to read '%s': %s",
		diag_shown(path, strlen(path), shown), why);
}

static int read_file(struct judge *j, const char *path, const struct origin *origin)
{
	struct source **tail = j->sources, *source;
	size_t before = j->judged->clients.n;
	struct lex_fault fault;
	struct source_id id;
	const char *why;
	int r;

	while (*tail)
		tail = &(*tail)->next;
	source = source_add(&tail, path);
	if (!source)
		return -ENOMEM;
	r = source_read(source, AT_FDCWD, path, &id, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || source->len > WRAPPERS_FILE_MAX) {
		tell_unreadable(j, path, origin, r < 0 ? why : "it is larger than 1 MB");
		return 0;
	}
	if (lex_find_fault(source, &fault)) {
		tell(j, &fault.origin, fault.why);
		return 0;
	}
	r = read_hosts(j, source);
	/* What is before it would have nothing behind it. */
	if (r == 0 && j->judged->clients.n == before && !j->judged->mistaken)
		tell_unreadable(j, path, origin, "it names nobody");
	return r;
}

/* USER@HOST, whose HOST is one. */
static int read_user(struct judge *j, const struct wrappers_word *word, const char *host)
{
	char remark[WRAPPERS_REMARK_MAX];
	size_t len = (size_t)(host - 1 - word->text);
	int r;

	if (host[0] == '/') {
		tell(j, &word->origin, "a user is of one host, and not of a file of them");
		return 0;
	}
	r = wrappers_user_read(word->text, len, &j->judged->clients, remark);
	if (r == -EINVAL) {
		tell(j, &word->origin, remark);
		return 0;
	}
	note_needs(j, 0, &word->origin);
	return r < 0 ? r : read_host(j, host, &word->origin);
}

static int judge_client(struct judge *j, const struct wrappers_word *word)
{
	const char *host = wrappers_behind_at(word->text);

	if (word->text[0] == '/')
		return read_file(j, word->text, &word->origin);
	return host ? read_user(j, word, host) : read_host(j, word->text, &word->origin);
}

/* Of lists that EXCEPT joins: each has something. */
static void check_excepts(struct judge *j, const struct wrappers_field *field)
{
	size_t levels = 1;
	bool empty = true;

	for (size_t i = 0; i < field->n; i++) {
		bool is_except = wrappers_is_word(field->words[i].text, "EXCEPT");

		if (is_except && (empty || i + 1 == field->n))
			tell(j, &field->words[i].origin,
				"EXCEPT has something before and something behind it");
		if (is_except && ++levels == WRAPPERS_LEVELS_MAX + 1)
			tell(j, &field->words[i].origin,
				"there are more than 7 EXCEPT in this list");
		empty = is_except;
	}
}

static int judge_clients(struct judge *j, const struct wrappers_field *field)
{
	const struct wrappers_item except = {.kind = WRAPPERS_EXCEPT};
	int r = 0;

	check_excepts(j, field);
	for (size_t i = 0; i < field->n && r == 0; i++)
		r = wrappers_is_word(field->words[i].text, "EXCEPT")
		            ? wrappers_items_add(&j->judged->clients, &except)
		            : judge_client(j, &field->words[i]);
	return r;
}

int wrappers_judge(const struct wrappers_entry *entry, bool of_deny, struct source **sources,
	struct report *report, struct wrappers_judged *judged)
{
	struct judge j = {.sources = sources, .report = report, .judged = judged};

	if (judged->known)
		return 0;
	judged->known = true;
	judged->denies = of_deny;
	for (size_t i = 0; i < entry->options.n; i++)
		judge_option(&j, &entry->options.words[i], i + 1 == entry->options.n);
	return judge_clients(&j, &entry->clients);
}

/*
 * Daemons.
 */

/* Each word of a list of daemons, as it is for one service. */
struct level {
	bool always;       /* one of its words is the service */
	size_t start, end; /* of the items that ask for our own address */
};

struct concern {
	const struct wrappers_names *names;
	struct report *report;
	struct wrappers_items items;
	struct level levels[WRAPPERS_LEVELS_MAX];
	size_t n_levels;
	bool mistaken;
};

static bool is_port(const char *text, size_t len)
{
	size_t digits = strspn(text, "0123456789");

	return len > 0 && len <= 5 && digits >= len;
}

static bool is_daemon(const struct concern *c, const char *text, size_t len)
{
	return wrappers_daemon_matches(text, len, c->names->service) ||
	       (c->names->program && wrappers_daemon_matches(text, len, c->names->program)) ||
	       (c->names->argv0 && wrappers_daemon_matches(text, len, c->names->argv0));
}

static int add_local_host(struct concern *c, const struct wrappers_word *word, const char *host)
{
	char remark[WRAPPERS_REMARK_MAX];
	int r;

	if (!host)
		return wrappers_items_add(
			&c->items, &(struct wrappers_item){.kind = WRAPPERS_ALL});
	r = wrappers_host_read(host, WRAPPERS_OF_US, &c->items, remark);
	if (r != -EINVAL)
		return r;
	c->mistaken = true;
	report_mistake(c->report, &word->origin, "%s", remark);
	return 0;
}

/* A number is a port of ours. */
static int add_daemon(struct concern *c, struct level *level, const struct wrappers_word *word)
{
	const char *host = wrappers_behind_at(word->text);
	size_t len = host ? (size_t)(host - 1 - word->text) : strlen(word->text);
	uint32_t port = 0;
	int r = 0;

	if (is_daemon(c, word->text, len)) {
		level->always = level->always || !host;
		return host ? add_local_host(c, word, host) : 0;
	}
	if (!is_port(word->text, len))
		return 0;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (uint32_t)(word->text[i] - '0');
	if (port > UINT16_MAX)
		return 0;
	r = wrappers_items_add(&c->items,
		&(struct wrappers_item){.kind = WRAPPERS_PORT, .port = (uint16_t)port});
	return r < 0 ? r : add_local_host(c, word, host);
}

static int split_levels(struct concern *c, const struct wrappers_field *field)
{
	struct level *level = &c->levels[0];
	int r = 0;

	c->n_levels = 1;
	for (size_t i = 0; i < field->n && r == 0; i++) {
		if (wrappers_is_word(field->words[i].text, "EXCEPT")) {
			level->end = c->items.n;
			level = &c->levels[c->n_levels++];
			level->start = c->items.n;
		} else {
			r = add_daemon(c, level, &field->words[i]);
		}
	}
	level->end = c->items.n;
	return r;
}

/* From the last list on: what is known of it decides what is left of those before. */
static enum wrappers_concern settle(struct concern *c)
{
	enum wrappers_concern rest = WRAPPERS_NOT_CONCERNED;

	for (size_t i = c->n_levels; i-- > 0;) {
		struct level *level = &c->levels[i];
		bool never = !level->always && level->start == level->end;

		if (rest == WRAPPERS_CONCERNED || never) {
			rest = WRAPPERS_NOT_CONCERNED;
			c->n_levels = i;
		} else if (level->always && rest == WRAPPERS_NOT_CONCERNED) {
			rest = WRAPPERS_CONCERNED;
		} else {
			rest = WRAPPERS_BY_ADDRESS;
		}
	}
	return rest;
}

static int copy_level(struct concern *c, const struct level *level, struct wrappers_items *to)
{
	int r = 0;

	if (level->always)
		return wrappers_items_add(to, &(struct wrappers_item){.kind = WRAPPERS_ALL});
	for (size_t i = level->start; i < level->end && r == 0; i++)
		r = wrappers_items_add(to, &c->items.items[i]);
	return r;
}

static int copy_levels(struct concern *c, struct wrappers_items *to)
{
	int r = 0;

	for (size_t i = 0; i < c->n_levels && r == 0; i++) {
		if (i > 0)
			r = wrappers_items_add(
				to, &(struct wrappers_item){.kind = WRAPPERS_EXCEPT});
		if (r == 0)
			r = copy_level(c, &c->levels[i], to);
	}
	return r;
}

int wrappers_find_concern(const struct wrappers_entry *entry,
	const struct wrappers_names *names, struct report *report, enum wrappers_concern *ret,
	struct wrappers_items *locals, bool *ret_mistaken)
{
	struct wrappers_judged none = {0};
	struct judge j = {.report = report, .judged = &none};
	struct concern c = {.names = names, .report = report};
	int r = 0;

	*ret = WRAPPERS_NOT_CONCERNED;
	check_excepts(&j, &entry->daemons);
	if (!none.mistaken)
		r = split_levels(&c, &entry->daemons);
	if (r == 0 && (c.mistaken || none.mistaken))
		*ret_mistaken = true;
	else if (r == 0)
		*ret = settle(&c);
	if (r == 0 && *ret == WRAPPERS_BY_ADDRESS)
		r = copy_levels(&c, locals);
	wrappers_items_done(&c.items);
	return r;
}
