#include "workers/lookup/hosts.h"

#include "base/own.h"

#include <string.h>

#define BLANKS " \t\r\v\f"

/* One name of one line. */
struct entry {
	struct lookup_address address;
	const char *name; /* in `names` */
};

struct hosts {
	struct entry *entries; /* in the order of the file */
	size_t n;
	char *names;     /* one behind the other */
	size_t names_at; /* bytes of them */
	/* The same, sorted; equal ones in the order of the file. */
	const struct entry **by_address, **by_name;
	bool cut;
};

/* ---------------------------------------------------------------------- reading */

/* No more names than there is text: each is followed by a blank or the end. */
static void add(struct hosts *hosts, const struct lookup_address *address, const char *word)
{
	char name[HOSTNAME_ROOM];
	size_t len;

	if (hostname_read(word, name) < 0)
		return;
	if (hosts->n == HOSTS_MAX) {
		hosts->cut = true;
		return;
	}
	len = strlen(name) + 1;
	hosts->entries[hosts->n++] =
		(struct entry){.address = *address, .name = hosts->names + hosts->names_at};
	memcpy(hosts->names + hosts->names_at, name, len);
	hosts->names_at += len;
}

static int read_address(const char *word, struct lookup_address *ret)
{
	struct addr_prefix prefix;

	if (strchr(word, '/') || addr_parse_prefix(word, &prefix) < 0)
		return -EINVAL;
	memset(ret, 0, sizeof *ret);
	ret->family = prefix.family == ADDR_SOURCE_IPV4 ? AF_INET : AF_INET6;
	memcpy(ret->ip, prefix.bytes, sizeof ret->ip);
	return 0;
}

/* The line is the reader's own. */
static void read_line(struct hosts *hosts, char *line)
{
	struct lookup_address address;
	char *word, *rest;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, BLANKS, &rest);
	if (!word || read_address(word, &address) < 0)
		return;
	while ((word = strtok_r(NULL, BLANKS, &rest)))
		add(hosts, &address, word);
}

/* A NUL ends its line for us. */
static void read_lines(struct hosts *hosts, char *text, size_t len)
{
	char *end = text + len;

	for (char *line = text, *next; line < end; line = next) {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		next = newline ? newline + 1 : end;
		if (newline)
			*newline = '\0';
		read_line(hosts, line);
	}
}

/* ---------------------------------------------------------------------- sorting */

static int compare_addresses(const struct entry *a, const struct entry *b)
{
	return memcmp(&a->address, &b->address, sizeof a->address);
}

static int compare_names(const struct entry *a, const struct entry *b)
{
	return strcmp(a->name, b->name);
}

/* For qsort(3).  Entries lie in the order of the file. */
static int order(const struct entry *a, const struct entry *b,
	int (*compare)(const struct entry *a, const struct entry *b))
{
	int r = compare(a, b);

	return r != 0 ? r : a < b ? -1 : a > b;
}

static int order_by_address(const void *a, const void *b)
{
	return order(*(const struct entry *const *)a, *(const struct entry *const *)b,
		compare_addresses);
}

static int order_by_name(const void *a, const void *b)
{
	return order(*(const struct entry *const *)a, *(const struct entry *const *)b,
		compare_names);
}

static int sort(struct hosts *hosts)
{
	hosts->by_address = calloc(hosts->n + 1, sizeof(const struct entry *));
	hosts->by_name = calloc(hosts->n + 1, sizeof(const struct entry *));
	if (!hosts->by_address || !hosts->by_name)
		return -ENOMEM;
	for (size_t i = 0; i < hosts->n; i++)
		hosts->by_address[i] = hosts->by_name[i] = &hosts->entries[i];
	qsort(hosts->by_address, hosts->n, sizeof(const struct entry *), order_by_address);
	qsort(hosts->by_name, hosts->n, sizeof(const struct entry *), order_by_name);
	return 0;
}

/* -------------------------------------------------------------------- interface */

/* An entry takes two bytes of the text at least: a blank, and a name. */
static size_t most_entries(size_t len)
{
	return len / 2 < HOSTS_MAX ? len / 2 + 1 : HOSTS_MAX;
}

static int fill(struct hosts *hosts, const char *text, size_t len)
{
	_cleanup_free_ char *copy = malloc(len + 1);

	hosts->entries = calloc(most_entries(len), sizeof *hosts->entries);
	hosts->names = malloc(len + 1);
	if (!copy || !hosts->entries || !hosts->names)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = '\0';
	read_lines(hosts, copy, len);
	return sort(hosts);
}

int hosts_new(const char *text, size_t len, struct hosts **ret)
{
	struct hosts *hosts = calloc(1, sizeof *hosts);
	int r = hosts ? fill(hosts, text, len) : -ENOMEM;

	if (r < 0) {
		hosts_free(hosts);
		return r;
	}
	*ret = hosts;
	return 0;
}

struct hosts *hosts_free(struct hosts *hosts)
{
	if (!hosts)
		return NULL;
	free(hosts->entries);
	free(hosts->names);
	free(hosts->by_address);
	free(hosts->by_name);
	free(hosts);
	return NULL;
}

bool hosts_are_cut(const struct hosts *hosts)
{
	return hosts->cut;
}

/* How many are before what is looked for. */
static size_t count_before(const struct entry *const *entries, size_t n,
	const struct entry *wanted,
	int (*compare)(const struct entry *a, const struct entry *b))
{
	size_t first = 0;

	while (n > 0) {
		size_t half = n / 2;

		if (compare(entries[first + half], wanted) >= 0) {
			n = half;
			continue;
		}
		first += half + 1;
		n -= half + 1;
	}
	return first;
}

const char *hosts_name_of(const struct hosts *hosts, const struct lookup_address *address)
{
	struct entry wanted = {.address = *address};
	size_t at;

	wanted.address.port = 0;
	at = count_before(hosts->by_address, hosts->n, &wanted, compare_addresses);
	if (at == hosts->n || compare_addresses(hosts->by_address[at], &wanted) != 0)
		return NULL;
	return hosts->by_address[at]->name;
}

size_t hosts_addresses_of(const struct hosts *hosts, const char *name,
	struct lookup_address ret[LOOKUP_ADDRESSES_MAX])
{
	const struct entry wanted = {.name = name};
	size_t at = count_before(hosts->by_name, hosts->n, &wanted, compare_names), n = 0;

	for (; at < hosts->n && n < LOOKUP_ADDRESSES_MAX; at++) {
		if (compare_names(hosts->by_name[at], &wanted) != 0)
			break;
		ret[n++] = hosts->by_name[at]->address;
	}
	return n;
}
