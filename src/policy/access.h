/*
 * access: may this address come in, by the rules of a service?
 *
 * Rules allow or deny networks of IPv4 and IPv6, users and groups of UNIX peers, and
 * CIDs of vsock.  What is most specific decides: the longest prefix, a user before his
 * groups, each of them before `any'.  Between rules that are equally specific one that
 * denies wins.  Who is in no rule comes in, unless the table is exclusive.
 *
 * Rules are compiled once into a table of flat bytes, which the master looks up where
 * it lies in the image: sorted boundaries at which another rule begins to decide, so
 * that an answer is one binary search however networks are nested.  Nothing in it has
 * to be aligned.
 *
 * Layer: policy.
 */
#ifndef HATCHD_POLICY_ACCESS_H
#define HATCHD_POLICY_ACCESS_H

#include "base/addr.h"

#include <stddef.h>

/* Most rules of one table. */
#define ACCESS_RULES_MAX (UINT32_C(1) << 20)

/* What tells tables with the same content: the first bytes of each. */
#define ACCESS_DIGEST_LEN 16

/* Groups of a peer that are looked at. */
#define ACCESS_GROUPS_MAX 256

enum access_kind {
	ACCESS_IP,    /* prefix */
	ACCESS_UNIX,  /* every UNIX peer */
	ACCESS_UID,   /* id: of the user that he was when he connected */
	ACCESS_GID,   /* id: one of his groups */
	ACCESS_VSOCK, /* every peer of vsock */
	ACCESS_CID,   /* id: the machine */
	_ACCESS_KIND_MAX,
};

struct access_rule {
	enum access_kind kind;
	bool deny;
	struct addr_prefix prefix; /* nothing behind its bits */
	uint32_t id;
};

/*
 * A table of those rules, in fresh memory; its rules have the numbers that they have in
 * the array.  `exclusive`: only who is allowed comes in.  -E2BIG for more than
 * ACCESS_RULES_MAX, -ENOMEM.
 */
int access_compile(const struct access_rule *rules, size_t n, bool exclusive,
	uint8_t **ret_table, size_t *ret_len);

/* Whether these bytes are a table that can be looked up: 0 or -EBADMSG.  Its digest is
 * not computed again. */
int access_check(const uint8_t *table, size_t len);

/* Bytes of the largest table. */
#define ACCESS_TABLE_MAX (UINT32_C(64) << 20)

struct access_peer {
	/* All bits of his address, whose interface makes no difference; for UNIX his user. */
	struct addr_source who;
	const uint32_t *groups; /* UNIX: those that he is in; borrowed */
	size_t n_groups;
	bool more_groups; /* there are others, which are not known */
};

enum access_verdict {
	ACCESS_OK,
	ACCESS_NOT_LISTED, /* the table is exclusive, and he is in no rule */
	ACCESS_DENIED,
};

/* No rule has decided. */
#define ACCESS_NO_RULE UINT32_MAX

struct access_answer {
	enum access_verdict verdict;
	uint32_t rule; /* its number, or ACCESS_NO_RULE */
};

/* Is it of any use to ask the kernel for the groups of a UNIX peer? */
bool access_wants_groups(const uint8_t *table);

/*
 * In a table that was checked.  Whose groups are not all known is denied where one of
 * them might be.  Constant memory, logarithmic time.
 */
struct access_answer access_ask(const uint8_t *table, const struct access_peer *peer);

#endif
