/*
 * tls-files: the files that `tls` names: certificates, their keys, and who signs those of
 * clients.
 *
 * Read and judged as the last look around; what is in them becomes the setup (base/tls) that
 * hatchd-tls gets, which never is in the image (conf/secrets).
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_TLS_FILES_H
#define HATCHD_CONF_TLS_FILES_H

#include "conf/build.h"
#include "conf/memo.h"
#include "conf/notary.h"
#include "conf/report.h"

/* Who is asked. */
struct tls_files {
	const struct build_context *context;
	struct memo *memo;
	struct notary *notary;
	struct report *report;
};

/*
 * Read the files of a service that speaks TLS, or as a guest brings certificates along; what
 * is wrong with them is told, and where TLS is not installed it waits for that.  0; -ENOMEM;
 * or what was told of the notary, which could not be asked.
 */
int tls_files_read(const struct tls_files *files, struct service_conf *service);

/*
 * Make the setup of each service that has one, out of what has been read and what its guests
 * bring; with it the digest and the first end.  Each has a new key of its tickets.  0; -ENOMEM;
 * what was told of the notary, or what getrandom(2) says.
 */
int tls_files_compose(const struct tls_files *files, struct conf *conf);

#endif
