/*
 * access: who may come in, from words and lists to compiled rules.
 *
 * Elements of only_from and no_access are judged here, and both options together become
 * one list; so does proxy_from, whose headers are believed.  Thousands of services with the
 * same words share what was made of them.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCESS_H
#define HATCHD_CONF_ACCESS_H

#include "conf/access-file.h"

struct access_made;

/* What was read and made while one configuration is built. */
struct accesses {
	struct access_files files;
	struct textmap lists; /* words to struct access_made */
	struct access_made *made_list;
};

/* `sources`: see access_files_init(). */
void accesses_init(struct accesses *accesses, struct source **sources);
void accesses_done(struct accesses *accesses);

/*
 * Give the service its lists.  A list file is trusted as other files are; what is wrong
 * with one refuses the file that names it.  0 or -ENOMEM.
 */
int access_prepare(struct accesses *accesses, struct identities *identities,
	struct service_conf *service, struct report *report);

/* The option that the element of a rule is of, and where it stands. */
struct access_element {
	const char *option;
	const char *word;
	struct origin origin;
};
struct access_element access_element_of(const struct service_conf *service, uint32_t element);

#endif
