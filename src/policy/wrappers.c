#include "policy/wrappers-internal.h"

#include "base/hostname.h"
#include "base/own.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

static uint32_t load32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return le32toh(value);
}

/* An item as it lies in a table. */
struct piece {
	unsigned kind;
	const uint8_t *payload;
	size_t len;
};

static const uint8_t *next_piece(const uint8_t *at, struct piece *ret)
{
	*ret = (struct piece){at[0], at + ITEM_LEN, at[1]};
	return ret->payload + ret->len;
}

struct rule {
	uint32_t line;
	uint8_t flags;
	const uint8_t *locals, *clients, *end;
};

static struct rule rule_at(const uint8_t *at)
{
	struct rule rule = {.line = load32(at), .flags = at[4], .locals = at + RULE_LEN};

	rule.clients = rule.locals + load32(at + 5);
	rule.end = rule.clients + load32(at + 9);
	return rule;
}

/* -------------------------------------------------------------- texts */

/* In ASCII, whatever the locale says. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_letter(char pattern, char c)
{
	return pattern == '?' || pattern == lower(c);
}

static bool same_letters(const char *text, const char *pattern, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!same_letter(pattern[i], text[i]))
			return false;
	return true;
}

/* Of a pattern that begins and ends with a star: only the last star that was met may have to
 * take more. */
static bool is_like_between(
	const char *text, const char *text_end, const char *pattern, const char *end)
{
	const char *star = pattern, *from = text;

	while (text < text_end) {
		if (pattern < end && *pattern == '*') {
			star = pattern++;
			from = text;
		} else if (pattern < end && same_letter(*pattern, *text)) {
			pattern++;
			text++;
		} else {
			pattern = star + 1;
			text = ++from;
		}
	}
	return strspn(pattern, "*") >= (size_t)(end - pattern);
}

bool wrappers_is_like(const char *text, const char *pattern)
{
	size_t n = strlen(text), head = strcspn(pattern, "*"), tail;
	const char *last = strrchr(pattern, '*');

	if (!last)
		return n == head && same_letters(text, pattern, n);
	tail = strlen(last + 1);
	return n >= head + tail && same_letters(text, pattern, head) &&
	       same_letters(text + n - tail, last + 1, tail) &&
	       is_like_between(text + head, text + n - tail, pattern + head, last + 1);
}

size_t wrappers_labour(const char *pattern)
{
	return strchr(pattern, '*') == strrchr(pattern, '*') ? 0 : strlen(pattern);
}

/* The first `len` letters. */
static bool begins_with(const char *text, const char *pattern, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lower(text[i]) != pattern[i])
			return false;
	return true;
}

static bool user_matches(const char *user, const char *pattern)
{
	size_t n = strlen(user), len = strlen(pattern);

	if (strpbrk(pattern, "*?"))
		return wrappers_is_like(user, pattern);
	if (pattern[0] == '.')
		return n > len && begins_with(user + n - len, pattern, len);
	if (pattern[len - 1] == '.')
		return n >= len && begins_with(user, pattern, len);
	return n == len && begins_with(user, pattern, len);
}

/* -------------------------------------------------------------- items */

enum match {
	NO,
	YES,
	MAYBE, /* it is not known, be it for now or for good */
};

static enum match match_of(bool matches)
{
	return matches ? YES : NO;
}

/* Of which the first is not NO, which is never asked further. */
static enum match both(enum match a, enum match b)
{
	return a == YES || b == NO ? b : MAYBE;
}

/* A search through a table for one client. */
struct search {
	const struct wrappers_client *client;
	const struct addr_source *who;     /* whose address is looked at: his or ours */
	bool unsure;                       /* ... which is not known */
	unsigned needs;                    /* that the rule in hand was short of */
	const struct addr_source *written; /* whose address is in `text`; NULL: nobody's */
	char text[INET6_ADDRSTRLEN];
};

static bool is_ip(const struct addr_source *who)
{
	return who->family == ADDR_SOURCE_IPV4 || who->family == ADDR_SOURCE_IPV6;
}

static enum match lacks_name(struct search *s)
{
	if (s->client->name_state == WRAPPERS_NAME_UNASKED)
		s->needs |= WRAPPERS_NEEDS_NAME;
	return MAYBE;
}

static bool is_name_open(const struct search *s)
{
	return s->client->name_state == WRAPPERS_NAME_UNASKED ||
	       s->client->name_state == WRAPPERS_NAME_UNSURE;
}

static bool is_name_known(const struct search *s)
{
	return s->client->name_state == WRAPPERS_NAME_KNOWN;
}

/* Whose look-up has failed is not known. */
static enum match match_known(struct search *s, bool wanted)
{
	if (!is_ip(s->who))
		return match_of(!wanted);
	if (s->client->name_state == WRAPPERS_NAME_UNASKED)
		return lacks_name(s);
	if (wanted)
		return match_of(is_name_known(s));
	return match_of(s->client->name_state == WRAPPERS_NAME_NONE ||
			s->client->name_state == WRAPPERS_NAME_UNSURE);
}

/* What patterns with * and ? see of who has no name. */
static const char *name_without(const struct wrappers_client *client)
{
	return client->name_state == WRAPPERS_NAME_PARANOID ? "paranoid" : "unknown";
}

static enum match match_name(struct search *s, const struct piece *piece)
{
	const char *text = (const char *)piece->payload;

	if (is_name_open(s))
		return lacks_name(s);
	if (piece->kind == WRAPPERS_PARANOID)
		return match_of(s->client->name_state == WRAPPERS_NAME_PARANOID);
	if (!is_name_known(s) && piece->kind != WRAPPERS_HOST && piece->kind != WRAPPERS_LOCAL)
		return match_of(wrappers_is_like(name_without(s->client), text));
	if (!is_name_known(s))
		return NO;
	if (piece->kind == WRAPPERS_LOCAL)
		return match_of(!strchr(s->client->name, '.'));
	return match_of(piece->kind == WRAPPERS_HOST ? hostname_matches(s->client->name, text)
						     : wrappers_is_like(s->client->name, text));
}

/* Both have nothing where the mask has zeros, so that it is the net of that family. */
static enum match match_net(const struct search *s, const struct piece *piece)
{
	size_t len = piece->len / 2;
	uint8_t family = len == 4 ? ADDR_SOURCE_IPV4 : ADDR_SOURCE_IPV6;

	if (s->unsure)
		return MAYBE;
	if (s->who->family != family)
		return NO;
	for (size_t i = 0; i < len; i++)
		if ((s->who->bytes[i] & piece->payload[len + i]) != piece->payload[i])
			return NO;
	return YES;
}

/* Once, however many patterns there are. */
static const char *address_of(struct search *s)
{
	int family = s->who->family == ADDR_SOURCE_IPV4 ? AF_INET : AF_INET6;

	if (s->written != s->who)
		inet_ntop(family, s->who->bytes, s->text, sizeof s->text);
	s->written = s->who;
	return s->text;
}

static enum match match_address_like(struct search *s, const struct piece *piece)
{
	if (s->unsure)
		return MAYBE;
	if (!is_ip(s->who))
		return NO;
	return match_of(wrappers_is_like(address_of(s), (const char *)piece->payload));
}

static enum match match_either_like(struct search *s, const struct piece *piece)
{
	enum match match = match_address_like(s, piece);

	return match == NO ? match_name(s, piece) : match;
}

static enum match match_user(struct search *s, const struct piece *piece)
{
	const struct wrappers_client *client = s->client;

	if (client->user_state == WRAPPERS_USER_UNASKED) {
		s->needs |= WRAPPERS_NEEDS_USER;
		return MAYBE;
	}
	if (client->user_state == WRAPPERS_USER_UNSURE)
		return MAYBE;
	if (piece->kind == WRAPPERS_USER_UNKNOWN)
		return match_of(client->user_state == WRAPPERS_USER_NOBODY);
	if (client->user_state == WRAPPERS_USER_NOBODY)
		return match_of(piece->kind == WRAPPERS_USER_LIKE &&
				user_matches("unknown", (const char *)piece->payload));
	return match_of(piece->kind == WRAPPERS_USER_KNOWN ||
			user_matches(client->user, (const char *)piece->payload));
}

static enum match match_guard(struct search *s, const struct piece *piece)
{
	if (piece->kind != WRAPPERS_PORT)
		return match_user(s, piece);
	return match_of(
		s->client->port != 0 &&
		s->client->port == (uint16_t)(piece->payload[0] | piece->payload[1] << 8));
}

static enum match match_host(struct search *s, const struct piece *piece)
{
	switch (piece->kind) {
	case WRAPPERS_ALL:
		return YES;
	case WRAPPERS_KNOWN:
	case WRAPPERS_UNKNOWN:
		return match_known(s, piece->kind == WRAPPERS_KNOWN);
	case WRAPPERS_NET:
		return match_net(s, piece);
	case WRAPPERS_ADDRESS_LIKE:
		return match_address_like(s, piece);
	case WRAPPERS_EITHER_LIKE:
		return match_either_like(s, piece);
	default:
		return match_name(s, piece);
	}
}

/* -------------------------------------------------------------- lists */

/* An item with what is to hold besides; *at is behind it afterwards.  A user is asked for
 * only where the host matches. */
static enum match match_element(struct search *s, const uint8_t **at)
{
	struct piece guard, piece;
	enum match match;

	*at = next_piece(*at, &guard);
	if (!wrappers_is_guard(guard.kind))
		return match_host(s, &guard);
	*at = next_piece(*at, &piece);
	match = match_host(s, &piece);
	return match == NO ? NO : both(match, match_guard(s, &guard));
}

/* Any of them up to an EXCEPT, behind which *at is afterwards, or the end. */
static enum match match_any(struct search *s, const uint8_t **at, const uint8_t *end)
{
	enum match found = NO, match;

	while (*at < end && **at != WRAPPERS_EXCEPT) {
		if (found == YES) {
			*at += ITEM_LEN + (*at)[1];
			continue;
		}
		match = match_element(s, at);
		found = match == NO ? found : match;
	}
	if (*at < end)
		*at += ITEM_LEN;
	return found;
}

/* a EXCEPT b EXCEPT c is a EXCEPT (b EXCEPT c). */
static enum match match_list(struct search *s, const uint8_t *at, const uint8_t *end)
{
	static const enum match opposite[] = {[NO] = YES, [YES] = NO, [MAYBE] = MAYBE};
	enum match levels[WRAPPERS_LEVELS_MAX], match;
	size_t n = 0;

	do {
		levels[n] = match_any(s, &at, end);
	} while (levels[n++] != NO && at < end);
	match = levels[--n];
	while (n > 0)
		match = both(levels[--n], opposite[match]);
	return match;
}

static enum match match_rule(struct search *s, const struct rule *rule)
{
	enum match local = YES;

	s->needs = 0;
	s->who = &s->client->local;
	s->unsure = s->client->local_unsure;
	if (rule->locals < rule->clients)
		local = match_list(s, rule->locals, rule->clients);
	if (local == NO)
		return NO;
	s->who = &s->client->peer;
	s->unsure = false;
	return both(local, match_list(s, rule->clients, rule->end));
}

/* ------------------------------------------------------------- answer */

/* What is open so far. */
struct open_rules {
	bool any[2]; /* rules that deny, and others */
	struct wrappers_answer first;
};

static struct wrappers_answer answer_of(const struct rule *rule, enum wrappers_verdict verdict)
{
	return (struct wrappers_answer){
		.verdict = verdict,
		.line = rule->line,
		.of_deny = rule->flags & OF_DENY,
	};
}

static void add_open(struct open_rules *open, const struct rule *rule, unsigned needs)
{
	if (open->first.verdict != WRAPPERS_OPEN)
		open->first = answer_of(rule, WRAPPERS_OPEN);
	open->any[(rule->flags & DENIES) != 0] = true;
	open->first.needs |= needs;
}

/* It makes no difference what rules say that could be before it and say the same. */
static struct wrappers_answer close_search(
	const struct open_rules *open, struct wrappers_answer answer)
{
	return open->any[answer.verdict == WRAPPERS_OK] ? open->first : answer;
}

struct wrappers_answer wrappers_ask(const uint8_t *table, const struct wrappers_client *client)
{
	const uint8_t *at = table + WRAPPERS_DIGEST_LEN + 4, *end;
	struct search s = {.client = client};
	struct open_rules open = {0};

	end = at + load32(at - 4);
	while (at < end) {
		struct rule rule = rule_at(at);
		bool denies = rule.flags & DENIES;
		enum match match = match_rule(&s, &rule);

		at = rule.end;
		if (match == MAYBE && s.needs)
			add_open(&open, &rule, s.needs);
		else if (match == YES || (match == MAYBE && denies))
			return close_search(&open,
				answer_of(&rule, denies ? WRAPPERS_DENIED : WRAPPERS_OK));
	}
	return close_search(&open, (struct wrappers_answer){.verdict = WRAPPERS_OK});
}

/* -------------------------------------------------------------- check */

struct check {
	const uint8_t *end; /* of the list in hand */
	size_t n_items, n_texts, labour;
	bool holds;
};

static bool text_holds(const struct piece *piece)
{
	const char *text = (const char *)piece->payload;

	if (piece->len < 2 || piece->len > WRAPPERS_TEXT_MAX + 1 ||
		memchr(text, '\0', piece->len) != text + piece->len - 1)
		return false;
	return piece->kind != WRAPPERS_HOST || hostname_is_pattern(text);
}

static bool piece_holds(struct check *c, const struct piece *piece)
{
	if (piece->kind >= _WRAPPERS_KIND_MAX || ++c->n_items > WRAPPERS_ITEMS_MAX)
		return false;
	if (wrappers_has_text(piece->kind)) {
		if (++c->n_texts > WRAPPERS_TEXTS_MAX || !text_holds(piece))
			return false;
		c->labour += wrappers_labour((const char *)piece->payload);
		return c->labour <= WRAPPERS_LABOUR_MAX;
	}
	if (piece->kind == WRAPPERS_NET)
		return piece->len == 8 || piece->len == 32;
	return piece->len == (piece->kind == WRAPPERS_PORT ? 2 : 0);
}

/* The next one of the list, whose bytes are all there; false at its end, or where it does not
 * hold. */
static bool take_piece(struct check *c, const uint8_t **at, struct piece *ret)
{
	size_t left = (size_t)(c->end - *at);

	c->holds = left == 0 || (left >= ITEM_LEN && left - ITEM_LEN >= (*at)[1]);
	if (!c->holds || left == 0)
		return false;
	*at = next_piece(*at, ret);
	c->holds = piece_holds(c, ret);
	return c->holds;
}

/* Something before and behind each EXCEPT, and behind each guard. */
static bool list_holds(struct check *c, const uint8_t *at, const uint8_t *end)
{
	bool complete = false, guarded = false;
	size_t levels = 1;
	struct piece piece;

	c->end = end;
	while (take_piece(c, &at, &piece)) {
		bool is_guard = wrappers_is_guard(piece.kind);

		if (piece.kind == WRAPPERS_EXCEPT ? !complete || ++levels > WRAPPERS_LEVELS_MAX
						  : guarded && is_guard)
			return false;
		guarded = is_guard;
		complete = piece.kind != WRAPPERS_EXCEPT && !is_guard;
	}
	return c->holds && complete;
}

/* Behind the rule; NULL: it does not hold. */
static const uint8_t *check_rule(
	struct check *c, const uint8_t *at, const uint8_t *end, uint8_t *flags)
{
	size_t left = (size_t)(end - at);
	uint64_t wanted;
	struct rule rule;

	if (left < RULE_LEN)
		return NULL;
	wanted = RULE_LEN + (uint64_t)load32(at + 5) + load32(at + 9);
	if (wanted > left)
		return NULL;
	rule = rule_at(at);
	if (rule.flags > ALL_RULE_FLAGS || (rule.flags & OF_DENY) < (*flags & OF_DENY))
		return NULL;
	*flags = rule.flags;
	if (rule.locals < rule.clients && !list_holds(c, rule.locals, rule.clients))
		return NULL;
	return list_holds(c, rule.clients, rule.end) ? rule.end : NULL;
}

int wrappers_check(const uint8_t *table, size_t len)
{
	struct check c = {.holds = true};
	const uint8_t *at, *end = table + len;
	uint8_t flags = 0;

	if (len < WRAPPERS_DIGEST_LEN + 4 || len > WRAPPERS_TABLE_MAX ||
		load32(table + WRAPPERS_DIGEST_LEN) != len - WRAPPERS_DIGEST_LEN - 4)
		return -EBADMSG;
	at = table + WRAPPERS_DIGEST_LEN + 4;
	while (at && at < end)
		at = check_rule(&c, at, end, &flags);
	return at ? 0 : -EBADMSG;
}
