/*
 * print: a configuration as text that hatchd reads back.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_PRINT_H
#define HATCHD_CONF_PRINT_H

#include "conf/conf.h"

/* Write the global options, then each service as a stanza with the options that
 * were given; quoting as needed, in the style of the manual page (options
 * aligned, tabs). */
int print_conf(const struct conf *conf, FILE *out);

/* A value as it must be written in a file: bare where that is allowed, else in
 * single or double quotes.  To be freed by the caller; NULL without memory. */
char *print_quote(const char *text);

#endif
