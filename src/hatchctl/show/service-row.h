/*
 * service-row: the columns in which services are shown, and what stands in them.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_SHOW_SERVICE_ROW_H
#define HATCHD_HATCHCTL_SHOW_SERVICE_ROW_H

#include "hatchctl/table/table.h"

enum service_column {
	SERVICE_NAME,
	SERVICE_STATE,
	SERVICE_CHILDREN,
	SERVICE_LIMIT,
	SERVICE_PENDING,
	SERVICE_STARTED,
	SERVICE_REFUSED,
	SERVICE_ADDRESSES,
	SERVICE_REASON,
	SERVICE_RESUMES,
	SERVICE_REFUSALS,
	SERVICE_CERTIFICATE,
	SERVICE_CERTIFICATE_ENDS,
	SERVICE_BACKEND,
	SERVICE_STATUS,
	_SERVICE_COLUMN_MAX,
};

extern const struct table_column service_columns[_SERVICE_COLUMN_MAX];

/* A row with what hatchd's line about a service says. */
void service_row_add(struct table *table, struct json_value service);

/* Does it take in clients, at all of its addresses, with a certificate that is good for long?
 * Whether its end is near is for hatchd to say, which warns of it. */
bool service_is_well(struct json_value service);

/* Does it take in clients? */
bool service_is_serving(struct json_value service);

#endif
