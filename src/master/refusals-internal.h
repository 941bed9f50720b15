/*
 * refusals-internal: what is in the table of master/refusals, for it and for what hands it over
 * to another image (master/handover/codec-refusals).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_REFUSALS_INTERNAL_H
#define HATCHD_MASTER_REFUSALS_INTERNAL_H

#include "conf/conf.h"
#include "master/refusals.h"

struct refusal {
	struct log_gate gate; /* never opened: free */
	uint32_t service;     /* its number */
	enum admit_verdict verdict;
	struct addr_source source;
	char who[ADDR_SOURCE_TEXT_MAX];
	char label[SERVICE_NAME_MAX + sizeof ": "];
};

struct refusals {
	struct refusal items[REFUSALS_MAX];
};

#endif
