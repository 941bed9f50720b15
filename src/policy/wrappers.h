/*
 * wrappers: may this client come in, by the rules of hosts.allow and hosts.deny
 * (hosts_access(5)) that are about a service?
 *
 * Rules are looked at in their order, those of hosts.allow first; the first one that matches
 * decides, and without one he comes in.  They are compiled once into a table of flat bytes,
 * which the master asks where it lies in the image; nothing in it has to be aligned.
 *
 * What is not known of a client yet (his name, his user) may not matter: then the answer is
 * given without.  What could not be found out never helps him: of a rule that may match
 * him or not for that, it counts that it keeps him out, and not that it lets him in.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_WRAPPERS_H
#define HATCHD_POLICY_WRAPPERS_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most items of one table, and most of them that are texts: they are all looked at, one
 * after the other. */
#define WRAPPERS_ITEMS_MAX 32768
#define WRAPPERS_TEXTS_MAX 1024

/* Most letters of those that have several *, for which all of a name may have to be looked at
 * once for each letter of theirs. */
#define WRAPPERS_LABOUR_MAX 512

/* Most lists that EXCEPT joins. */
#define WRAPPERS_LEVELS_MAX 8

/* Longest text of an item. */
#define WRAPPERS_TEXT_MAX 253

/* What tells tables with the same content: the first bytes of each. */
#define WRAPPERS_DIGEST_LEN 16

/* Bytes of the largest table. */
#define WRAPPERS_TABLE_MAX (UINT32_C(2) << 20)

enum wrappers_kind {
	WRAPPERS_ALL,
	WRAPPERS_KNOWN,        /* his address and his name are known */
	WRAPPERS_UNKNOWN,      /* one of them is not, or he has no name */
	WRAPPERS_PARANOID,     /* his name does not lead back to his address */
	WRAPPERS_LOCAL,        /* his name has no dot */
	WRAPPERS_NET,          /* net and mask */
	WRAPPERS_HOST,         /* text: a pattern of base/hostname */
	WRAPPERS_ADDRESS_LIKE, /* text with * and ?: of addresses */
	WRAPPERS_HOST_LIKE,    /* of names */
	WRAPPERS_EITHER_LIKE,  /* of both */

	/* What is to hold besides the item that comes next. */
	WRAPPERS_PORT,         /* number: of ours */
	WRAPPERS_USER_KNOWN,   /* somebody has said who he is */
	WRAPPERS_USER_UNKNOWN, /* nobody has */
	WRAPPERS_USER_LIKE,    /* text: NAME, .END, BEGINNING. or with * and ? */

	/* What was before it, unless what comes behind it. */
	WRAPPERS_EXCEPT,
	_WRAPPERS_KIND_MAX,
};

struct wrappers_item {
	enum wrappers_kind kind;
	uint8_t family;   /* NET: ADDR_SOURCE_IPV4 or ADDR_SOURCE_IPV6 */
	uint8_t net[16];  /* NET: nothing where the mask has zeros */
	uint8_t mask[16]; /* NET */
	uint16_t port;    /* PORT */
	const char *text; /* in small letters; borrowed */
};

struct wrappers_rule {
	uint32_t line; /* that it begins in */
	bool of_deny;  /* of hosts.deny; those of hosts.allow come before */
	bool denies;   /* whom it matches */

	/* About our own address; none: whatever that is. */
	const struct wrappers_item *locals;
	size_t n_locals;
	const struct wrappers_item *clients;
	size_t n_clients;
};

/*
 * A table of those rules, in fresh memory.  Their lists have the form that wrappers_check()
 * wants.  -E2BIG above one of the bounds, -ENOMEM.
 */
int wrappers_compile(
	const struct wrappers_rule *rules, size_t n, uint8_t **ret_table, size_t *ret_len);

/* Whether these bytes are a table that can be asked: 0 or -EBADMSG.  Its digest is not
 * computed again. */
int wrappers_check(const uint8_t *table, size_t len);

/* What is known of a client's name. */
enum wrappers_name {
	WRAPPERS_NAME_UNSURE,   /* it could not be found out */
	WRAPPERS_NAME_UNASKED,  /* it can be found out, and was not yet */
	WRAPPERS_NAME_NONE,     /* he has none */
	WRAPPERS_NAME_PARANOID, /* what he has does not lead back to his address */
	WRAPPERS_NAME_KNOWN,
};

enum wrappers_user {
	WRAPPERS_USER_NOBODY, /* nobody has said who he is */
	WRAPPERS_USER_UNASKED,
	WRAPPERS_USER_UNSURE, /* it is our doing that it was not found out */
	WRAPPERS_USER_SAID,
};

struct wrappers_client {
	struct addr_source peer;  /* all bits; what is not of IP has no known address */
	struct addr_source local; /* ours that he has come to, likewise */
	bool local_unsure;        /* ... which is not known */
	uint16_t port;            /* ours; 0: there is none */
	enum wrappers_name name_state;
	const char *name; /* NAME_KNOWN: as in base/hostname; borrowed */
	enum wrappers_user user_state;
	const char *user; /* USER_SAID; borrowed */
};

enum wrappers_verdict {
	WRAPPERS_OK,
	WRAPPERS_DENIED,
	WRAPPERS_OPEN, /* that depends on what is in `needs` */
};

/* What has to be found out. */
enum wrappers_need {
	WRAPPERS_NEEDS_NAME = 1 << 0,
	WRAPPERS_NEEDS_USER = 1 << 1,
};

struct wrappers_answer {
	enum wrappers_verdict verdict;
	unsigned needs; /* of enum wrappers_need; 0 unless it is open */

	/* The rule that has decided, or the first one that is open. */
	uint32_t line; /* 0: none has */
	bool of_deny;
};

/* Whether the pattern, in small letters and with any number of * and ?, stands for all of the
 * text, in capital or small ones.  Time is bounded by the sum of both lengths, of a pattern
 * with several * by their product. */
bool wrappers_is_like(const char *text, const char *pattern);

/* Its share of WRAPPERS_LABOUR_MAX. */
size_t wrappers_labour(const char *pattern);

/* In a table that was checked.  Constant memory; time grows with the table. */
struct wrappers_answer wrappers_ask(const uint8_t *table, const struct wrappers_client *client);

#endif
