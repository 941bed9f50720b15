/*
 * fields: of what a handover consists, section by section.  For master/handover/handover alone.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_HANDOVER_FIELDS_H
#define HATCHD_MASTER_HANDOVER_FIELDS_H

#include "master/handover/codec.h"
#include "master/handover/handover.h"

/* Their numbers stay theirs for ever. */
enum handover_section {
	HANDOVER_SECTION_PROCESS = 1,
	HANDOVER_SECTION_SPARES,
	HANDOVER_SECTION_STRAYS,
	HANDOVER_SECTION_FOLLOWERS,
	HANDOVER_SECTION_SERVICES,
	HANDOVER_SECTION_LISTENERS,
	HANDOVER_SECTION_SETUPS,
	HANDOVER_SECTION_WORKERS,
	HANDOVER_SECTION_CARRIED,
	HANDOVER_SECTION_CALLERS,
	HANDOVER_SECTION_CHILDREN,
	HANDOVER_SECTION_STATE,
	_HANDOVER_SECTION_MAX,
};

/* The list of each; `object` is a struct handover. */
extern void (*const handover_sections[_HANDOVER_SECTION_MAX])(
	struct codec *codec, void *object);

#endif
