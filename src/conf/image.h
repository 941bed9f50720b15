/*
 * image: the configuration as bytes, from the loader to the master.
 *
 * Versioned and length-checked (base/wire).  The master decodes it as if it
 * came from an enemy: every number is range-checked, every count bounded, so
 * that a loader gone mad cannot take the master along.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IMAGE_H
#define HATCHD_CONF_IMAGE_H

#include "conf/conf.h"

#define IMAGE_VERSION 2

/* Name of the memfd, by which a running master's image is found in /proc. */
#define IMAGE_NAME "hatchd-conf"

/* Write `conf` into the empty memfd and seal it.  Negative errno on failure. */
int image_write(const struct conf *conf, int memfd);

/*
 * Read a sealed memfd into `conf` (to be released with conf_done()).
 * -EBADMSG: not an image, of another version, or damaged; -EPERM: not sealed;
 * other negative errno as they come.  On failure `conf` is empty.
 */
int image_read(int memfd, struct conf *conf);

/* The same on plain memory: tests and fuzzers. */
int image_decode(const void *data, size_t len, struct conf *conf);

#endif
