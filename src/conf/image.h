/*
 * image: the configuration as bytes, from the loader to the master.
 *
 * Versioned and length-checked (base/wire).  The master decodes it as if it
 * came from an enemy: every number is range-checked, every count bounded, so
 * that a loader gone mad cannot take the master along.
 *
 * Decoded, a service takes some kilobytes, and there may be ten thousand.  So
 * the master keeps the image open and reads services one at a time; only tools
 * and the loader, which do not live long, read all of it.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_IMAGE_H
#define HATCHD_CONF_IMAGE_H

#include "conf/conf.h"

#define IMAGE_VERSION 22

/* Name of the memfd, by which a running master's image is found in /proc. */
#define IMAGE_NAME "hatchd-conf"

/*
 * Write `conf`, without what is disabled, into the empty memfd and seal it.
 * -EFBIG: more than an image may hold; other negative errno as they come.
 */
int image_write(const struct conf *conf, int memfd);

/*
 * The same in two steps.  A draft holds what services say, ready for an image
 * and for comparing with one; where they say it, and how they stand to the
 * configuration in force, is taken from `conf` when it is written.  Borrows
 * `conf`.  Errors as of image_write(), which both together are.
 */
struct image_draft;
int image_draft_new(const struct conf *conf, struct image_draft **ret);
int image_draft_write(const struct image_draft *draft, int memfd);

/* NULL is fine.  Returns NULL. */
struct image_draft *image_draft_free(struct image_draft *draft);

static inline void own_image_draft(struct image_draft **draft)
{
	image_draft_free(*draft);
}
#define _cleanup_image_draft_ _cleanup_(own_image_draft)

/*
 * Read a sealed memfd into `conf` (to be released with conf_done()).
 * -EBADMSG: not an image, of another version, or damaged; -EPERM: not sealed;
 * -EFBIG: larger than any image; other negative errno as they come.  On failure
 * `conf` is empty.
 */
int image_read(int memfd, struct conf *conf);

/*
 * The same, but for services that say byte for byte what those of their names in
 * `draft` say: such a one is NULL in conf->services, and its index there is
 * what ret_twins[] has for the one of the draft, CONF_NONE for all others.
 * ret_twins has room for the services of the draft's configuration.
 */
int image_read_changed(
	int memfd, const struct image_draft *draft, struct conf *conf, uint32_t *ret_twins);

/* As image_read() on plain memory: tests and fuzzers. */
int image_decode(const void *data, size_t len, struct conf *conf);

/*
 * An open image: its descriptor, its global part, and for each service where it
 * lies, in 20 bytes.  Not mapped into memory, so that its pages do not count as
 * those of the process that reads it; but for access lists, which are looked up
 * where they are.
 */
struct image;

/* What is known of a service without reading it, as in struct service_conf. */
struct image_entry {
	uint32_t old;
	uint32_t news;
	uint32_t access; /* its list among those of the image; CONF_NONE: everybody */
	uint32_t mux;    /* a number for its name if it can be had by that, else 0 */
};

/*
 * Check seals, size, prologue, global part and index, and take over `memfd`; on
 * failure it stays the caller's.  Services are checked when they are read; that
 * no two have the same name, only by image_read(), which sees all of them.
 * Errors as of image_read().
 */
int image_open(int memfd, struct image **ret);

/* Also closes the descriptor; NULL is fine.  Returns NULL. */
struct image *image_free(struct image *image);

/*
 * Have the secrets that belong to the image (conf/secrets).  0, and the descriptor is the
 * image's, which closes it at once if it is empty; -EPERM: it is not sealed, -EBADMSG: a setup
 * that the image speaks of is not in it, other negative errno; on failure it stays the
 * caller's.  What is in it is not looked at.
 */
int image_take_secrets(struct image *image, int memfd);

/* The descriptor; borrowed.  -EBADF: there are none. */
int image_secrets(const struct image *image);

/* Where the setup of service `i` is in the secrets, and how long it is; false if it has
 * none. */
bool image_setup(
	const struct image *image, size_t i, uint32_t *ret_offset, uint32_t *ret_length);

/* The first service from `from` on that has one; image_n_services() if there is none. */
size_t image_find_setup(const struct image *image, size_t from);

/* The descriptor; borrowed. */
int image_fd(const struct image *image);

/* Have it at a number from `lowest` on: out of the way.  Negative errno on failure. */
int image_move_up(struct image *image, int lowest);

/* Global options, main_file and files, but no services; borrowed. */
const struct conf *image_conf(const struct image *image);

size_t image_n_services(const struct image *image);

/* Of service `i`, below image_n_services(). */
struct image_entry image_entry(const struct image *image, size_t i);

/*
 * The table of service `i` (policy/access), which was checked when the image was opened;
 * NULL if everybody may come in.  Borrowed; no system call.
 */
const uint8_t *image_access(const struct image *image, size_t i);

/* The same, and how many bytes it has; 0 without. */
const uint8_t *image_access_bytes(const struct image *image, size_t i, size_t *ret_len);

/*
 * The same for those whose headers are believed; NULL if the service has no such list.
 * Looks for the service among those that have one.
 */
const uint8_t *image_proxy_from(const struct image *image, size_t i);

/*
 * The same for the rules of hosts.allow and hosts.deny, a table of policy/wrappers; NULL if
 * they are not kept.
 */
const uint8_t *image_wrappers(const struct image *image, size_t i);

/*
 * The first service from `from` on that can be had by its name and whose number is that of
 * `name`, in capital or small letters: most probably the one of that name, which is the
 * caller's to compare.  image_n_services() if there is none.  No system call.
 */
size_t image_find_mux(const struct image *image, const char *name, size_t from);

/* The same for those that clients of TLS choose at the socket of another service; whose that
 * is, service_conf.tls_host says. */
size_t image_find_guest(const struct image *image, const char *name, size_t from);

/*
 * Read and check service `i`, below image_n_services().  It belongs to the
 * caller and may outlive the image: no origin in it has a file (origin.file is
 * NULL).  -EBADMSG: damaged, or not what its entry says; -ENOMEM; other
 * negative errno of pread(2).  One system call.
 */
int image_get(const struct image *image, size_t i, struct service_conf **ret);

/*
 * What service `i`, below image_n_services(), says, as bytes: for who reads it when the image
 * is gone.  0 with *ret, the caller's; -ENOMEM; other negative errno of pread(2).
 */
int image_copy_record(const struct image *image, size_t i, uint8_t **ret, size_t *ret_len);

/* Whether service `i` says what that record says, of one with so many addresses, wherever in
 * whichever file.  False also if it cannot be read. */
bool image_says(const struct image *image, size_t i, const uint8_t *record, size_t len,
	size_t n_listen);

/* And back, of an image of IMAGE_VERSION; errors as of image_get().  Whether its access list
 * and its keys are there is not looked at. */
int image_read_record(const uint8_t *record, size_t len, struct service_conf **ret);

static inline void own_image(struct image **image)
{
	image_free(*image);
}
#define _cleanup_image_ _cleanup_(own_image)

#endif
