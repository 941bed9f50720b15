#include "workers/tls/names.h"

#include <string.h>

/* One label stands in the place of the "*", and whole. */
static bool fits_wildcard(const char *pattern, const char *name)
{
	const char *dot = strchr(name, '.');

	return dot && dot != name && strcmp(dot, pattern + 1) == 0;
}

enum names_fit names_fit(const char *pattern, const char *name)
{
	if (pattern[0] == '\0')
		return NAMES_FIT_ANY;
	if (strcmp(pattern, name) == 0)
		return NAMES_FIT_EXACT;
	if (strncmp(pattern, "*.", 2) == 0 && fits_wildcard(pattern, name))
		return NAMES_FIT_WILDCARD;
	return NAMES_UNFIT;
}

/* The pattern decides before the protocol; 0: it does not fit. */
static int rank(const struct tls_name *entry, const char *name, const char *alpn)
{
	enum names_fit fit = names_fit(entry->pattern, name);

	if (fit == NAMES_UNFIT)
		return 0;
	if (entry->alpn[0] == '\0')
		return 2 * (int)fit;
	return strcmp(entry->alpn, alpn) == 0 ? 2 * (int)fit + 1 : 0;
}

const struct tls_name *names_find(
	const struct tls_name *names, size_t n, const char *name, const char *alpn)
{
	const struct tls_name *best = NULL;
	int best_rank = 0;

	for (size_t i = 0; i < n; i++) {
		int this_rank = rank(&names[i], name, alpn);

		if (this_rank > best_rank) {
			best = &names[i];
			best_rank = this_rank;
		}
	}
	return best;
}

bool names_know(const struct tls_name *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (names_fit(names[i].pattern, name) != NAMES_UNFIT)
			return true;
	return false;
}
