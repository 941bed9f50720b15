/*
 * access-list: the compiled rules of one or more services.
 *
 * Services whose only_from and no_access say the same hold the same list, in memory
 * and in the image; so do those that the same rules of hosts.allow and hosts.deny are about.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCESS_LIST_H
#define HATCHD_CONF_ACCESS_LIST_H

#include "base/own.h"
#include "policy/access.h"

/* Which element a rule comes from: of only_from, and after those of no_access. */
struct access_where {
	uint32_t element;
	uint32_t line; /* of the list file that the element names; 0: it names none */
};

/* Whom the rules that allow are about. */
enum access_scope {
	ACCESS_OF_IPV4 = 1 << 0,
	ACCESS_OF_IPV6 = 1 << 1,
	ACCESS_OF_UNIX = 1 << 2,
	ACCESS_OF_VSOCK = 1 << 3,
	ACCESS_ALL_IPV4 = 1 << 4,
	ACCESS_ALL_IPV6 = 1 << 5,
};

struct access_list {
	uint8_t *table; /* owned; see policy/access, or policy/wrappers */
	size_t len;
	struct access_where *where; /* owned, one for each rule; NULL outside the loader */
	unsigned scope;             /* enum access_scope; in the loader only */
	unsigned needs;             /* of hosts_access: enum wrappers_need; likewise */
	unsigned n_holders;
};

/* With one holder, the caller, that takes over what is given; NULL without memory, and
 * it is still the caller's. */
struct access_list *access_list_new(uint8_t *table, size_t len, struct access_where *where);

struct access_list *access_list_hold(struct access_list *list);

/* Let go; the last one to do so frees it.  NULL is nobody's.  Returns NULL. */
struct access_list *access_list_release(struct access_list *list);

#endif
