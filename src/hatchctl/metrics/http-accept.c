#include "hatchctl/metrics/http-accept.h"

#include <string.h>
#include <strings.h>

/* One of the kinds that are accepted, as far as it concerns us. */
struct range {
	struct http_span type;
	struct http_span version; /* at NULL: any */
	unsigned quality;         /* thousandths */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct http_span http_trim(struct http_span span)
{
	while (span.len > 0 && is_blank(span.at[0])) {
		span.at++;
		span.len--;
	}
	while (span.len > 0 && is_blank(span.at[span.len - 1]))
		span.len--;
	return span;
}

static bool is(struct http_span span, const char *text)
{
	return span.len == strlen(text) && strncasecmp(span.at, text, span.len) == 0;
}

/* What is before the separator, or all; false: nothing is left.  Text in quotes has no
 * place in what is looked for here: it is torn, and not recognized. */
static bool take(struct http_span *rest, char separator, struct http_span *ret)
{
	const char *end;

	if (!rest->at)
		return false;
	end = memchr(rest->at, separator, rest->len);
	*ret = (struct http_span){rest->at, end ? (size_t)(end - rest->at) : rest->len};
	rest->len -= end ? ret->len + 1 : 0;
	rest->at = end ? end + 1 : NULL;
	*ret = http_trim(*ret);
	return true;
}

/* "0.75" is 750; what is no quality is 0, and more digits than three say nothing. */
static unsigned read_quality(struct http_span text)
{
	unsigned quality = 0, unit = 100;

	if (text.len == 0 || (text.at[0] != '0' && text.at[0] != '1'))
		return 0;
	if (text.at[0] == '1')
		return 1000;
	for (size_t i = 2; i < text.len && text.at[1] == '.' && unit > 0; i++, unit /= 10) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return 0;
		quality += unit * (unsigned)(text.at[i] - '0');
	}
	return quality;
}

static void read_parameter(struct http_span text, struct range *range)
{
	struct http_span name;

	if (!take(&text, '=', &name) || !text.at)
		return;
	text = http_trim(text);
	if (is(name, "q"))
		range->quality = read_quality(text);
	else if (is(name, "version"))
		range->version = text;
}

static struct range read_range(struct http_span text)
{
	struct range range = {.quality = 1000};
	struct http_span parameter;

	take(&text, ';', &range.type);
	while (take(&text, ';', &parameter))
		read_parameter(parameter, &range);
	return range;
}

static void note(unsigned *best, unsigned quality)
{
	if (quality > *best)
		*best = quality;
}

static bool has_version(const struct range *range, const char *version)
{
	return !range->version.at || is(range->version, version);
}

void http_accept_add(struct http_accept *accept, struct http_span value)
{
	struct http_span text;

	while (take(&value, ',', &text)) {
		struct range range = read_range(text);

		if (is(range.type, "application/openmetrics-text") &&
			has_version(&range, "1.0.0"))
			note(&accept->openmetrics, range.quality);
		else if (is(range.type, "text/plain") && has_version(&range, "0.0.4"))
			note(&accept->text, range.quality);
		else if (is(range.type, "text/*") || is(range.type, "*/*"))
			note(&accept->text, range.quality);
	}
}

bool http_accept_prefers_openmetrics(const struct http_accept *accept)
{
	return accept->openmetrics > 0 && accept->openmetrics >= accept->text;
}
