/*
 * format: values as the program uses them to values as they are written; the
 * other direction of conf/convert.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_FORMAT_H
#define HATCHD_CONF_FORMAT_H

#include "conf/conf.h"

/*
 * The value or values of an option, unquoted, such that converting them gives
 * the same field: exactly one for an option that is no list.  0 with *ret
 * owned by the caller, or -ENOMEM.
 */
int format_option(const struct conf_option *option, const void *base, char ***ret);

#endif
