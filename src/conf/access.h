/*
 * access: who may come in, from words and lists to compiled rules.
 *
 * Elements of only_from and no_access are judged here, list files are read, and both
 * options together become one list.  Thousands of services with the same words share
 * what was made of them, and each file is read once.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCESS_H
#define HATCHD_CONF_ACCESS_H

#include "conf/conf.h"
#include "conf/identity.h"
#include "conf/report.h"

struct access_file;
struct access_made;

/* What was read and made while one configuration is built. */
struct accesses {
	struct textmap files; /* path to struct access_file */
	struct textmap lists; /* words to struct access_made */
	struct access_file *file_list;
	struct access_made *made_list;
	struct source **sources; /* list files that diagnostics speak of go to its end */
};

void accesses_init(struct accesses *accesses, struct source **sources);
void accesses_done(struct accesses *accesses);

/*
 * Give the service its list.  A list file is trusted as other files are; what is wrong
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

/* The file that an element names, as seen from the file it stands in: fresh memory.
 * NULL without, or if it names none. */
char *access_file_path(const char *word, const struct origin *origin);

#endif
