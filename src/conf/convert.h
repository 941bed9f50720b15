/*
 * convert: values as they are written to values as the program uses them.
 *
 * One function per option type; the table says which.  The other direction is
 * conf/format.  Pure: asks neither the system nor the other options.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CONVERT_H
#define HATCHD_CONF_CONVERT_H

#include "conf/conf.h"
#include "conf/raw.h"

/* What is wrong, and with which of the values. */
struct convert_fault {
	size_t value;  /* index; n_values: the assignment as a whole */
	char why[256]; /* "'abc' is not a whole number" */
};

/*
 * Set the field of the assigned option in `base` (struct service_conf, or
 * struct conf for OPTION_GLOBAL); with `append`, add to what is there.  0,
 * -EINVAL with *reterr (the field is then unchanged), or -ENOMEM.
 */
int convert_assign(const struct raw_assign *assign, void *base, struct convert_fault *reterr);

/* Set every option of a service that has a fallback to it.  0 or -ENOMEM. */
int convert_fallbacks(struct service_conf *service);

#endif
