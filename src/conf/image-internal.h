/*
 * image-internal: what the parts of conf/image share.  For nobody else.
 *
 * An image is, without gaps:
 *
 *	prologue   magic, version, number of options in the table, length of
 *	           the global part, number of services, number of access lists, and
 *	           of tables of hosts_access
 *	globals    the main file, the names of all files, global options
 *	index      for each service: length of its record, old, news, number of its
 *	           access list, number for its name, number of the list of its
 *	           proxies, that of its hosts_access, place and length of its setup in
 *	           the secrets; then for each list its length
 *	records    one for each service: a body and a tail
 *	lists      tables of policy/access, and behind them those of policy/wrappers
 *
 * The body is what a service says, the tail is where it says it and how it stands to
 * the configuration that was in force before.  So two services that say the same have the
 * same body, wherever in whichever file they stand.
 *
 * Services whose rules are the same share a list.  It can be megabytes long, so it is
 * not part of their records; what tells it from others is part of the body, so a list
 * that says something else is another body.
 *
 * A record begins where the one before it ends, lists as well, and the last ends with
 * the image, so no two can overlap and nothing can lie between them.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IMAGE_INTERNAL_H
#define HATCHD_CONF_IMAGE_INTERNAL_H

#include "conf/image.h"
#include "conf/scan.h"

/* First bytes of every image. */
#define IMAGE_MAGIC     "hatchd conf"
#define IMAGE_MAGIC_LEN (sizeof IMAGE_MAGIC - 1)

/* Bytes of the prologue, and of one service in the index. */
#define IMAGE_PROLOGUE_LEN (sizeof(uint32_t) + IMAGE_MAGIC_LEN + 6 * sizeof(uint32_t))
#define IMAGE_INDEX_LEN    (9 * sizeof(uint32_t))

/* Most lists of a service, but for that of its hosts_access. */
#define IMAGE_LISTS_EACH 2

/* Bytes of one list in the index. */
#define IMAGE_LIST_LEN sizeof(uint32_t)

/* Bytes of a tail: an origin, another one with its fate for each address, old and news. */
#define IMAGE_TAIL_LEN(n_listen) ((6 + 7 * (n_listen)) * sizeof(uint32_t))

/* Flags of options that stand in a part of their own. */
#define IMAGE_PARTS (OPTION_GLOBAL | OPTION_BACKEND | OPTION_TLS)

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
#define IMAGE_LISTS_MAX    (UINT32_C(1) << 26) /* bytes of all, which the master checks */

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

/* The name that a record begins with.  0 or -EBADMSG. */
int image_get_name(const void *data, size_t len, char ret[SERVICE_NAME_MAX + 1]);

const struct conf *image_draft_conf(const struct image_draft *draft);

/* Whether a service of the draft has that name and says what the record says; then its
 * index in the draft's configuration is in *ret. */
bool image_draft_says(const struct image_draft *draft, const char *name, const void *record,
	size_t len, size_t *ret);

/* Of memory, which stays the caller's and has to outlive it. */
int image_open_data(const void *data, size_t size, struct image **ret);

/* The global part, which is the caller's from then on. */
struct conf image_take_conf(struct image *image);

/* Record `i` of an image of memory; borrowed. */
const uint8_t *image_record(const struct image *image, size_t i, size_t *ret_len);

/* As image_access(), with its length. */
const uint8_t *image_list(const struct image *image, size_t i, size_t *ret_len);

/* What tells names that are had through TLS from those of tcpmux, so that nobody is had in a
 * way that he is not meant to be. */
#define IMAGE_GUEST_MARK UINT32_C(0x544c5300)

static inline uint32_t image_guest_hash(const char *name)
{
	uint32_t hash = service_name_hash(name) ^ IMAGE_GUEST_MARK;

	return hash ? hash : 1;
}

/* The number of a service in the index, by which it is found by name. */
static inline uint32_t image_mux(const struct service_conf *service)
{
	if (service_conf_is_tls_guest(service))
		return image_guest_hash(service->name);
	return service_conf_has_mux(service) ? service_name_hash(service->name) : 0;
}

/* The number of its list of proxies, CONF_NONE without. */
uint32_t image_proxies(const struct image *image, size_t i);

/* The number of its table of hosts_access, likewise. */
uint32_t image_wrapping(const struct image *image, size_t i);

size_t image_n_lists(const struct image *image);

/* List `list`, below image_n_lists(); borrowed. */
const uint8_t *image_get_list(const struct image *image, size_t list, size_t *ret_len);

/* As image_get(), with origins whose files are borrowed from `files`. */
int image_get_with_files(
	const struct image *image, size_t i, char *const *files, struct service_conf **ret);

#endif
