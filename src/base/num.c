#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

bool num_parse_u64(const char *text, uint64_t *ret)
{
	uint64_t value = 0;

	if (*text == '\0')
		return false;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	}
	*ret = value;
	return true;
}

bool num_parse_i64(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	uint64_t magnitude;

	if (!num_parse_u64(text + negative, &magnitude))
		return false;
	if (magnitude > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

bool num_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {
	    {"", 1},
	    {"B", 1},
	    {"KB", 1000},
	    {"KiB", UINT64_C(1) << 10},
	    {"MB", 1000000},
	    {"MiB", UINT64_C(1) << 20},
	    {"GB", 1000000000},
	    {"GiB", UINT64_C(1) << 30},
	    {"TB", UINT64_C(1000000000000)},
	    {"TiB", UINT64_C(1) << 40},
	};
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t value;

	if (digits == 0 || digits >= sizeof number)
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!num_parse_u64(number, &value))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(text + digits, units[i].name) == 0)
			return !__builtin_mul_overflow(value, units[i].factor, ret_bytes);
	return false;
}

static bool take_unit(const char **p, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
	    {"ns", 1},         {"us", NS_PER_US}, {"\xc2\xb5s", NS_PER_US}, {"\xce\xbcs", NS_PER_US},
	    {"ms", NS_PER_MS}, {"s", NS_PER_S},   {"m", 60 * NS_PER_S},     {"h", 3600 * NS_PER_S},
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		size_t n = strlen(units[i].name);

		if (strncmp(*p, units[i].name, n) == 0) {
			*p += n;
			*ret_ns = units[i].ns;
			return true;
		}
	}
	return false;
}

/* One "12.5ms" element. Fractions are exact to the nanosecond, truncated below. */
static bool take_element(const char **p, int64_t *ret_ns)
{
	int64_t whole = 0, unit, fraction = 0, scale = 1;
	size_t digits = 0;

	for (; isdigit((unsigned char)**p); (*p)++, digits++)
		if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, **p - '0', &whole))
			return false;
	if (**p == '.') {
		for ((*p)++; isdigit((unsigned char)**p); (*p)++, digits++)
			if (scale < INT64_C(100000000000000000)) {
				fraction = fraction * 10 + (**p - '0');
				scale *= 10;
			}
	}
	if (digits == 0 || !take_unit(p, &unit) || __builtin_mul_overflow(whole, unit, &whole))
		return false;
	return !__builtin_add_overflow(whole, (int64_t)((long double)fraction * (long double)unit / (long double)scale),
	                               ret_ns);
}

bool num_parse_duration(const char *text, int64_t *ret_ns)
{
	bool negative = *text == '-';
	const char *p = text + (*text == '-' || *text == '+');
	int64_t total = 0;

	if (strcmp(p, "0") == 0) {
		*ret_ns = 0;
		return true;
	}
	if (*p == '\0')
		return false;
	while (*p) {
		int64_t element;

		if (!take_element(&p, &element) || __builtin_add_overflow(total, element, &total))
			return false;
	}
	*ret_ns = negative ? -total : total;
	return true;
}

static char *trim_zeros(char *text)
{
	size_t n = strlen(text);

	if (strchr(text, '.')) {
		while (text[n - 1] == '0')
			text[--n] = '\0';
		if (text[n - 1] == '.')
			text[--n] = '\0';
	}
	return text;
}

char *num_format_duration(int64_t ns, char *buffer)
{
	const char *sign = ns < 0 ? "-" : "";
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t second = (uint64_t)NS_PER_S;
	char number[32];

	if (u == 0) {
		(void)snprintf(buffer, NUM_DURATION_MAX, "0s");
	} else if (u < second) {
		uint64_t unit = u >= NS_PER_MS ? NS_PER_MS : u >= NS_PER_US ? NS_PER_US : 1;
		const char *name = unit == NS_PER_MS ? "ms" : unit == NS_PER_US ? "\xc2\xb5s" : "ns";

		(void)snprintf(number, sizeof number, "%" PRIu64 ".%06" PRIu64, u / unit,
		               unit == NS_PER_MS   ? u % unit
		               : unit == NS_PER_US ? u % unit * 1000
		                                   : 0);
		(void)snprintf(buffer, NUM_DURATION_MAX, "%s%s%s", sign, trim_zeros(number), name);
	} else {
		uint64_t h = u / (3600 * second), m = u / (60 * second) % 60;
		char head[24] = "";

		if (h)
			(void)snprintf(head, sizeof head, "%" PRIu64 "h%" PRIu64 "m", h, m);
		else if (m)
			(void)snprintf(head, sizeof head, "%" PRIu64 "m", m);
		(void)snprintf(number, sizeof number, "%" PRIu64 ".%09" PRIu64, u / second % 60, u % second);
		(void)snprintf(buffer, NUM_DURATION_MAX, "%s%s%ss", sign, head, trim_zeros(number));
	}
	return buffer;
}

char *num_format_size(uint64_t bytes, char *buffer)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i + 1 < sizeof names / sizeof *names) {
		value /= 1024;
		i++;
	}
	(void)snprintf(buffer, NUM_SIZE_MAX, i == 0 ? "%.0f %s" : "%.1f %s", value, names[i]);
	return buffer;
}
