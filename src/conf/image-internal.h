/*
 * image-internal: what the two halves of conf/image share.  For nobody else.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IMAGE_INTERNAL_H
#define HATCHD_CONF_IMAGE_INTERNAL_H

#include "conf/conf.h"

/* First bytes of every image. */
#define IMAGE_MAGIC     "hatchd conf"
#define IMAGE_MAGIC_LEN (sizeof IMAGE_MAGIC - 1)

/* Index of no file. */
#define IMAGE_NO_FILE UINT32_MAX

/* Bounds that a decoder holds the writer to. */
#define IMAGE_BYTES_MAX  (UINT64_C(1) << 30)
#define IMAGE_GROUPS_MAX 65536

/* An image that carries all of these can no longer change. */
#define IMAGE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

#endif
