/*
 * loader: have the configuration made by a process of its own.
 *
 * hatchd-load reads files, parses and asks NSS, so that neither libconfuse nor
 * name service modules are ever mapped into the master (I2); what comes back
 * is a sealed memfd.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_LOADER_H
#define HATCHD_MASTER_LOADER_H

#include "conf/conf.h"

/*
 * Run the loader with our own command line and wait for it, LOADER_TIMEOUT at
 * most.  0 and *ret filled; a positive exit status of the loader (LOAD_...),
 * which has said why; or a negative errno: no loader, killed, timeout (-ETIME),
 * not a configuration (-EBADMSG).  Blocks: for the start only.
 */
int loader_run(char **argv, struct conf *ret);

/* Become the loader: for --check and --print-config.  Returns only on failure. */
int loader_exec(char **argv);

#define LOADER_TIMEOUT_MS 30000

/* Status that stands for: the loader could not be executed. */
#define LOADER_NOT_RUN 124

#endif
