/* A layout and a value, cut at the first NUL: both parsers, both formatters, periods and durations. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bloblang/golang/gotime.h"
#include "bloblang/golang/period.h"
#include "rig/fuzz.h"

static void print_both(struct arena *a, const struct value_time *t, const char *layout, size_t length)
{
	struct text out;

	text_init(&out, a);
	gotime_format(&out, t, layout, length);
	gotime_strftime(&out, t, layout, length);
	(void)text_end(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *layout = (const char *)data, *error;
	const char *cut = size ? memchr(layout, '\0', size) : NULL;
	size_t length = cut ? (size_t)(cut - layout) : size / 2;
	const char *value = layout + length + (cut != NULL);
	size_t value_length = size - length - (cut != NULL);
	struct value_time t = {.seconds = 1600000000, .zone = "UTC"};
	struct period p;
	struct arena a;
	int64_t ns;

	if (size > 512)
		return 0;
	arena_init(&a, 1 << 20);
	if (value_length >= sizeof t.seconds) /* any instant may come from a message */
		memcpy(&t.seconds, value, sizeof t.seconds);
	print_both(&a, &t, layout, length);
	if (gotime_parse(&a, layout, length, value, value_length, &t, &error))
		print_both(&a, &t, layout, length);
	if (gotime_strptime(&a, layout, length, value, value_length, &t, &error))
		print_both(&a, &t, layout, length);
	if (period_parse(&a, value, value_length, &p, &error)) {
		t = period_add(&p, &t, size & 1);
		print_both(&a, &t, layout, length);
		(void)period_ns(&p);
	}
	(void)period_parse_duration(&a, value, value_length, &ns, &error);
	arena_fini(&a);
	return 0;
}
