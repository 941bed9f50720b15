/*
 * relate: note in a configuration how it stands to the one in force.
 *
 * The loader compares, so that the master only acts (I2): each service and each
 * address carries where it comes from and what is different.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_RELATE_H
#define HATCHD_CONF_RELATE_H

#include "conf/conf.h"

/* Fill `old`, `news`, and the fate of each address.  -ENOMEM without memory. */
int relate(struct conf *conf, const struct conf *in_force);

#endif
