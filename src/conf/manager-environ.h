/*
 * manager-environ: variables with which a service manager speaks to the one process that it has
 * started.
 *
 * Where it listens, what it has handed over, how often it wants to hear from it: whoever else
 * has them takes what is said there for his own, and speaks for us.  So neither children nor
 * the loader have them, and pass_env does not name them.
 *
 * What is true of the unit as a whole is not among them: INVOCATION_ID, CREDENTIALS_DIRECTORY,
 * and JOURNAL_STREAM, which tells its reader of itself whether it is true of him.  Children do
 * not have these either, unless pass_env names them.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_MANAGER_ENVIRON_H
#define HATCHD_CONF_MANAGER_ENVIRON_H

#include <stdbool.h>
#include <stddef.h>

/* Is that the name of one? */
bool manager_environ_has(const char *name, size_t len);

/* All others of a vector of NAME=VALUE: the strings are those of `env`, the vector is the
 * caller's to free.  NULL without memory. */
char **manager_environ_without(char *const *env);

#endif
