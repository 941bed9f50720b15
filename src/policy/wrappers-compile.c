/*
 * wrappers-compile: rules to a table that wrappers_ask() can be asked.
 */
#include "policy/wrappers-internal.h"

#include "base/own.h"
#include "policy/siphash.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

_Static_assert((RULE_LEN + ITEM_LEN + 32) * WRAPPERS_ITEMS_MAX +
			       WRAPPERS_TEXTS_MAX * (WRAPPERS_TEXT_MAX + 1) +
			       WRAPPERS_DIGEST_LEN + sizeof(uint32_t) <=
		       WRAPPERS_TABLE_MAX,
	"there is room for all of them");

/* How long all of it is. */
struct extent {
	size_t n_items, n_texts, labour, len;
};

static size_t net_length(const struct wrappers_item *item)
{
	return item->family == ADDR_SOURCE_IPV4 ? 4 : 16;
}

/* Bytes behind its kind and length. */
static size_t payload_length(const struct wrappers_item *item)
{
	if (item->kind == WRAPPERS_NET)
		return 2 * net_length(item);
	if (item->kind == WRAPPERS_PORT)
		return sizeof item->port;
	return wrappers_has_text(item->kind) ? strlen(item->text) + 1 : 0;
}

static size_t list_length(const struct wrappers_item *items, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += ITEM_LEN + payload_length(&items[i]);
	return len;
}

static size_t sum_labour(const struct wrappers_item *items, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (wrappers_has_text(items[i].kind))
			sum += wrappers_labour(items[i].text);
	return sum;
}

static size_t count_texts(const struct wrappers_item *items, size_t n)
{
	size_t texts = 0;

	for (size_t i = 0; i < n; i++)
		texts += wrappers_has_text(items[i].kind);
	return texts;
}

static struct extent measure(const struct wrappers_rule *rules, size_t n)
{
	struct extent e = {.len = WRAPPERS_DIGEST_LEN + sizeof(uint32_t)};

	for (size_t i = 0; i < n && e.n_items <= WRAPPERS_ITEMS_MAX; i++) {
		const struct wrappers_rule *r = &rules[i];

		e.n_items += r->n_locals + r->n_clients;
		e.n_texts += count_texts(r->locals, r->n_locals) +
		             count_texts(r->clients, r->n_clients);
		e.labour += sum_labour(r->locals, r->n_locals) +
		            sum_labour(r->clients, r->n_clients);
		e.len += RULE_LEN + list_length(r->locals, r->n_locals) +
		         list_length(r->clients, r->n_clients);
	}
	return e;
}

static uint8_t *store32(uint8_t *at, size_t value)
{
	uint32_t word = htole32((uint32_t)value);

	memcpy(at, &word, sizeof word);
	return at + sizeof word;
}

static uint8_t *store_payload(uint8_t *at, const struct wrappers_item *item, size_t len)
{
	uint16_t port = htole16(item->port);

	if (item->kind == WRAPPERS_NET) {
		memcpy(at, item->net, len / 2);
		memcpy(at + len / 2, item->mask, len / 2);
	} else if (item->kind == WRAPPERS_PORT) {
		memcpy(at, &port, sizeof port);
	} else if (len > 0) {
		memcpy(at, item->text, len);
	}
	return at + len;
}

static uint8_t *store_list(uint8_t *at, const struct wrappers_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = payload_length(&items[i]);

		*at++ = (uint8_t)items[i].kind;
		*at++ = (uint8_t)len;
		at = store_payload(at, &items[i], len);
	}
	return at;
}

static uint8_t *store_rule(uint8_t *at, const struct wrappers_rule *rule)
{
	at = store32(at, rule->line);
	*at++ = (uint8_t)((rule->of_deny ? OF_DENY : 0) | (rule->denies ? DENIES : 0));
	at = store32(at, list_length(rule->locals, rule->n_locals));
	at = store32(at, list_length(rule->clients, rule->n_clients));
	at = store_list(at, rule->locals, rule->n_locals);
	return store_list(at, rule->clients, rule->n_clients);
}

/* Not against enemies who choose what they write, but against accidents. */
static void sign(uint8_t *table, size_t len)
{
	static const uint8_t keys[2][16] = {"hatchd wrapper1", "hatchd wrapper2"};
	const uint8_t *rest = table + WRAPPERS_DIGEST_LEN;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t hash = htole64(siphash(rest, len - WRAPPERS_DIGEST_LEN, keys[i]));

		memcpy(table + sizeof hash * i, &hash, sizeof hash);
	}
}

int wrappers_compile(
	const struct wrappers_rule *rules, size_t n, uint8_t **ret_table, size_t *ret_len)
{
	struct extent e = measure(rules, n);
	uint8_t *table, *at;

	if (e.n_items > WRAPPERS_ITEMS_MAX || e.n_texts > WRAPPERS_TEXTS_MAX ||
		e.labour > WRAPPERS_LABOUR_MAX)
		return -E2BIG;
	table = malloc(e.len);
	if (!table)
		return -ENOMEM;
	at = store32(
		table + WRAPPERS_DIGEST_LEN, e.len - WRAPPERS_DIGEST_LEN - sizeof(uint32_t));
	for (size_t i = 0; i < n; i++)
		at = store_rule(at, &rules[i]);
	assert(at == table + e.len);
	sign(table, e.len);
	*ret_table = table;
	*ret_len = e.len;
	return 0;
}
