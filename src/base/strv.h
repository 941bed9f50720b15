/*
 * strv: NULL-terminated vectors of strings, the shape of argv and environ.
 *
 * A NULL vector is an empty one.  The vector owns its strings.
 *
 * Layer: base.
 */
#ifndef HATCHD_BASE_STRV_H
#define HATCHD_BASE_STRV_H

#include "base/own.h"

#include <stdbool.h>

size_t strv_length(char *const *vector);

/* Free the strings and the vector; returns NULL. */
char **strv_free(char **vector);

/* Append a copy of `text`; 0 or -ENOMEM (the vector is then unchanged). */
int strv_add(char ***vector, const char *text);

/* Append a formatted string; 0 or -ENOMEM. */
int strv_addf(char ***vector, const char *format, ...) _printf_(2, 3);

/* Append copies of all strings of `more`; 0 or -ENOMEM. */
int strv_extend(char ***vector, char *const *more);

/* A deep copy in *ret; 0 or -ENOMEM. */
int strv_copy(char *const *vector, char ***ret);

bool strv_equal(char *const *a, char *const *b);

/* The value of NAME in a vector of NAME=VALUE strings, or NULL.  Borrowed. */
const char *strv_env_get(char *const *env, const char *name);

/* Set NAME=VALUE, replacing an entry of the same name; 0 or -ENOMEM. */
int strv_env_set(char ***env, const char *name, const char *value);

static inline void own_strv(char ***vector)
{
	strv_free(*vector);
}
#define _cleanup_strv_ _cleanup_(own_strv)

#endif
