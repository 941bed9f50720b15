#include "conf/raw.h"

#include <string.h>

/*
 * Room for one more element.  Capacity is not stored: it is the next power of
 * two, so memory moves only when the count has just reached one.
 */
static void *grow(void *items, size_t n, size_t size)
{
	if ((n & (n - 1)) != 0)
		return items;
	return reallocarray(items, n ? n * 2 : 1, size);
}

void raw_conf_init(struct raw_conf *raw)
{
	*raw = (struct raw_conf){0};
}

static void section_done(struct raw_section *section)
{
	for (size_t i = 0; i < section->n_assigns; i++) {
		struct raw_assign *assign = &section->assigns[i];

		for (size_t j = 0; j < assign->n_values; j++)
			free(assign->values[j].text);
		free(assign->values);
	}
	free(section->assigns);
	free(section->title);
}

void raw_conf_done(struct raw_conf *raw)
{
	for (size_t i = 0; i < raw->n_sections; i++)
		section_done(&raw->sections[i]);
	free(raw->sections);
	raw_conf_init(raw);
}

struct raw_section *raw_add_section(struct raw_conf *raw, enum raw_kind kind, const char *title,
	const struct origin *origin)
{
	_cleanup_free_ char *copy = NULL;
	struct raw_section *sections;

	if (title) {
		copy = strdup(title);
		if (!copy)
			return NULL;
	}

	sections = grow(raw->sections, raw->n_sections, sizeof *sections);
	if (!sections)
		return NULL;

	raw->sections = sections;
	sections[raw->n_sections] = (struct raw_section){
		.kind = kind,
		.title = take_ptr(copy),
		.origin = *origin,
	};
	return &sections[raw->n_sections++];
}

struct raw_assign *raw_add_assign(struct raw_section *section, const struct conf_option *option,
	bool append, const struct origin *origin)
{
	struct raw_assign *assigns;

	assigns = grow(section->assigns, section->n_assigns, sizeof *assigns);
	if (!assigns)
		return NULL;

	section->assigns = assigns;
	assigns[section->n_assigns] = (struct raw_assign){
		.option = option,
		.append = append,
		.origin = *origin,
	};
	return &assigns[section->n_assigns++];
}

struct raw_value *raw_add_value(
	struct raw_assign *assign, const char *text, const struct origin *origin)
{
	_cleanup_free_ char *copy = strdup(text);
	struct raw_value *values;

	if (!copy)
		return NULL;

	values = grow(assign->values, assign->n_values, sizeof *values);
	if (!values)
		return NULL;

	assign->values = values;
	values[assign->n_values] = (struct raw_value){
		.text = take_ptr(copy),
		.origin = *origin,
	};
	return &values[assign->n_values++];
}
