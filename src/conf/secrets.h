/*
 * secrets: what must not be in an image, because that can be looked at and lies in the master:
 * the setups of TLS, with their keys.
 *
 * They are, one behind the other, in a memfd of their own, which the master hands on to
 * hatchd-tls and never reads.  Where each lies is in the image (image_setup()).
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_SECRETS_H
#define HATCHD_CONF_SECRETS_H

#include "conf/conf.h"

/* Name of the memfd. */
#define SECRETS_NAME "hatchd-secrets"

/*
 * Write the setups of all services that are served into the empty memfd, note where each of
 * them is, and seal it; A service that has
 * none of its own, but a place, was in force before: its setup comes from `old`, byte for byte.
 * With `memfd` negative there must be none.  0; -EINVAL: there is one, -EFBIG: more than
 * CONF_SECRETS_MAX; -EBADMSG: it is not in `old`; other negative errno as they come.
 */
int secrets_write(struct conf *conf, int old, int memfd);

/* 0 with the size if it is sealed; -EPERM: it is not; -EFBIG; other negative errno. */
int secrets_check(int memfd, uint32_t *ret_size);

#endif
