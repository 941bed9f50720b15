/*
 * image-internal: what the parts of conf/image share.  For nobody else.
 *
 * An image is, without gaps:
 *
 *	prologue   magic, version, number of options in the table, length of
 *	           the global part, number of services
 *	globals    the main file, the names of all files, global options
 *	index      for each service: length of its record, old, news
 *	records    one for each service
 *
 * A record begins where the one before it ends and the last ends with the
 * image, so no two can overlap and nothing can lie between them.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IMAGE_INTERNAL_H
#define HATCHD_CONF_IMAGE_INTERNAL_H

#include "conf/conf.h"
#include "conf/scan.h"

/* First bytes of every image. */
#define IMAGE_MAGIC     "hatchd conf"
#define IMAGE_MAGIC_LEN (sizeof IMAGE_MAGIC - 1)

/* Bytes of the prologue, and of one service in the index. */
#define IMAGE_PROLOGUE_LEN (sizeof(uint32_t) + IMAGE_MAGIC_LEN + 4 * sizeof(uint32_t))
#define IMAGE_INDEX_LEN    (3 * sizeof(uint32_t))

/* Index of no file. */
#define IMAGE_NO_FILE UINT32_MAX

/* Bounds that a decoder holds the writer to.  A record may hold what the
 * largest file (CONF_FILE_MAX) can say of one service three times over. */
#define IMAGE_BYTES_MAX    (UINT64_C(1) << 30)
#define IMAGE_SERVICES_MAX CONF_SERVICES_MAX
#define IMAGE_GLOBALS_MAX  (UINT32_C(1) << 26)
#define IMAGE_RECORD_MAX   (UINT32_C(1) << 26)
#define IMAGE_RECORD_MIN   128 /* less than any service has */
#define IMAGE_GROUPS_MAX   65536

/* An image that carries all of these can no longer change. */
#define IMAGE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/*
 * The global part into `conf`, which was empty.  -EBADMSG or -ENOMEM; what
 * `conf` then has is released with it.
 */
int image_get_globals(const void *data, size_t len, struct conf *conf);

/*
 * One record.  Origins borrow from `files`, or have no file if that is NULL;
 * `n_files` counts them either way.  -EBADMSG or -ENOMEM.
 */
int image_get_record(const void *data, size_t len, char *const *files, size_t n_files,
	struct service_conf **ret);

#endif
