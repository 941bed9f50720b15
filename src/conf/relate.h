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

#include "conf/image.h"

/* Fill `old`, `news`, and the fate of each address.  -ENOMEM without memory. */
int relate(struct conf *conf, const struct conf *in_force);

/*
 * The same to the image in force, with a draft of `conf`: what is as it was, which
 * at most reloads is nearly everything, need not be decoded to see that.  -ENOMEM,
 * or as image_read().
 */
int relate_to_image(struct conf *conf, const struct image_draft *draft, int memfd);

/*
 * In the configuration in force, put the services of `conf` in the place of those that
 * wait for a condition which is no longer as it was, if they are otherwise
 * the same; what they replace goes to `conf`.  Everything else in `conf` counts for
 * nothing.  Returns their number, or -ENOMEM.
 */
int relate_conditions(struct conf *conf, struct conf *in_force);

#endif
