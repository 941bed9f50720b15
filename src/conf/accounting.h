/*
 * accounting: the section of that name, which has the file for records of connections.
 *
 * It is another process that opens the file (os/account-main), and that tries again where it
 * cannot; what is looked at here is told to whoever wrote the section.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_ACCOUNTING_H
#define HATCHD_CONF_ACCOUNTING_H

#include "conf/memo.h"
#include "conf/report.h"

/* Judge the section, if there is one.  0 or -ENOMEM. */
int accounting_check(const struct conf *conf, struct memo *memo, struct report *report);

#endif
