/*
 * reply: what a built-in service or a banner says, from an option or a file to bytes.
 *
 * The file is read by the loader, with the rights of the master, and told to whoever
 * asks.  So nobody else may choose which file that is.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_REPLY_H
#define HATCHD_CONF_REPLY_H

#include "conf/build.h"
#include "conf/memo.h"
#include "conf/report.h"

/*
 * Settle reply and reply_len of a service whose words are right; nothing if it needs
 * none.  A file that cannot be read now is a condition.  0 or -ENOMEM.
 */
int reply_prepare(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report);

/* The same for what is in the files of banner, banner_success and banner_fail. */
int reply_prepare_banners(struct service_conf *service, const struct build_context *context,
	struct memo *memo, struct report *report);

#endif
