#include "base/strv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t strv_length(char *const *vector)
{
	size_t n = 0;

	if (!vector)
		return 0;
	while (vector[n])
		n++;
	return n;
}

char **strv_free(char **vector)
{
	if (!vector)
		return NULL;
	for (char **p = vector; *p; p++)
		free(*p);
	free(vector);
	return NULL;
}

/* Append `text` itself, which then belongs to the vector; on failure it
 * stays the caller's. */
static int push(char ***vector, char *text)
{
	size_t n = strv_length(*vector);
	char **larger;

	larger = reallocarray(*vector, n + 2, sizeof *larger);
	if (!larger)
		return -ENOMEM;
	larger[n] = text;
	larger[n + 1] = NULL;
	*vector = larger;
	return 0;
}

int strv_add(char ***vector, const char *text)
{
	_cleanup_free_ char *copy = NULL;

	copy = strdup(text);
	if (!copy || push(vector, copy) < 0)
		return -ENOMEM;
	(void)take_ptr(copy);
	return 0;
}

int strv_addf(char ***vector, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL; /* undefined after a failure */
		return -ENOMEM;
	}

	if (push(vector, text) < 0)
		return -ENOMEM;
	(void)take_ptr(text);
	return 0;
}

int strv_copy(char *const *vector, char ***ret)
{
	_cleanup_strv_ char **copy = NULL;
	size_t n = strv_length(vector);

	copy = calloc(n + 1, sizeof *copy);
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(vector[i]);
		if (!copy[i])
			return -ENOMEM;
	}
	*ret = take_ptr(copy);
	return 0;
}

int strv_extend(char ***vector, char *const *more)
{
	_cleanup_strv_ char **copies = NULL;
	size_t n = strv_length(*vector), m = strv_length(more);
	char **larger;

	if (m == 0)
		return 0;
	/* Copy first, so that a failure half way leaves the vector as it was,
	 * and so that a vector may be appended to itself. */
	if (strv_copy(more, &copies) < 0)
		return -ENOMEM;
	larger = reallocarray(*vector, n + m + 1, sizeof *larger);
	if (!larger)
		return -ENOMEM;
	memcpy(larger + n, copies, (m + 1) * sizeof *larger);
	*vector = larger;

	/* The strings have moved over; only their array is left to free. */
	free(take_ptr(copies));
	return 0;
}

bool strv_equal(char *const *a, char *const *b)
{
	size_t n = strv_length(a);

	if (strv_length(b) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(a[i], b[i]) != 0)
			return false;
	}
	return true;
}

/* The place of the entry for `name`, or -1. */
static ssize_t env_find(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; env && env[i]; i++) {
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return (ssize_t)i;
	}
	return -1;
}

/* NAME=VALUE as fresh memory: asked for too often to go by way of printf. */
static char *env_entry(const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	char *entry = malloc(name_len + 1 + value_len + 1);

	if (!entry)
		return NULL;
	memcpy(entry, name, name_len);
	entry[name_len] = '=';
	memcpy(entry + name_len + 1, value, value_len + 1);
	return entry;
}

const char *strv_env_get(char *const *env, const char *name)
{
	ssize_t i = env_find(env, name);

	return i < 0 ? NULL : env[i] + strlen(name) + 1;
}

int strv_env_set(char ***env, const char *name, const char *value)
{
	_cleanup_free_ char *entry = env_entry(name, value);
	ssize_t i = env_find(*env, name);

	if (!entry || (i < 0 && push(env, entry) < 0))
		return -ENOMEM;
	if (i >= 0) {
		free((*env)[i]);
		(*env)[i] = entry;
	}
	(void)take_ptr(entry);
	return 0;
}
