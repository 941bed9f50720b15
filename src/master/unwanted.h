/*
 * unwanted: what the service manager has handed over, and no service of the configuration in
 * force has a use for.
 *
 * It cannot be had again, and the service manager has it open in any case, so that nobody else
 * could be there: it stays for a configuration that will want it.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_UNWANTED_H
#define HATCHD_MASTER_UNWANTED_H

struct master;

/*
 * A configuration is in force: a line for each socket that nobody asks for, once, and again if
 * somebody has asked for it meanwhile.  After UNWANTED_TOLD_MAX lines the others are counted.
 * What is nobody's listening socket, such as a client, is closed.
 */
#define UNWANTED_TOLD_MAX 8
void report_unwanted(struct master *master);

#endif
