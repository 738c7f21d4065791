/*
 * ISO 8601 periods and Go's duration text.
 *
 * Invariants:
 * 1. A field is set at most once in one text.
 * 2. Behind a field with a fraction only zeros follow.
 * 3. Sums wrap as the reference's do, in unsigned arithmetic.
 */
#include "bloblang/golang/period.h"

#include <string.h>

#include "base/clock.h"
#include "value/time.h"
#include "bloblang/golang/goquote.h"

enum { DIGITS_MAX = 19 };

/* Nano-days of the calendar fields; the year is 365.2425 days. */
#define NANO_DAYS_PER_YEAR INT64_C(365242500000)

static const char letters[PERIOD_FIELDS] = "YMWDHMS";

struct period_reader {
	struct arena *arena;
	const char *text;
	size_t length;
	const char *p;
	const char *end;
	const char *error;
	bool clock;    /* after T */
	char previous; /* the field that had a fraction; 0: none */
	bool set[PERIOD_FIELDS];
	int fields;
};

static bool fail(struct period_reader *r, const char *what)
{
	r->error = arena_format(r->arena, "%.*s: %s", (int)r->length, r->text, what);
	return false;
}

/* "12,5": the number as coefficient and scale. */
static bool take_number(struct period_reader *r, int64_t *ret_coefficient, int *ret_scale)
{
	int digits = 0, points = 0;
	bool negative = r->p < r->end && *r->p == '-';

	*ret_coefficient = 0;
	*ret_scale = 0;
	r->p += negative;
	for (; r->p < r->end; r->p++) {
		if (*r->p == '.' || *r->p == ',') {
			points++;
			continue;
		}
		if (*r->p < '0' || *r->p > '9')
			break;
		if (++digits > DIGITS_MAX || __builtin_mul_overflow(*ret_coefficient, 10, ret_coefficient) ||
		    __builtin_add_overflow(*ret_coefficient, *r->p - '0', ret_coefficient))
			return fail(r, "number invalid or out of range");
		*ret_scale += points > 0;
	}
	if (r->p == r->end)
		return fail(r, "missing designator at the end");
	if (digits == 0 && points == 0 && !negative)
		return fail(r, arena_format(r->arena, "expected a number but found '%c'", *r->p));
	if (digits == 0 || points > 1)
		return fail(r, "number invalid or out of range");
	if (negative)
		*ret_coefficient = -*ret_coefficient;
	return true;
}

static int field_of(const struct period_reader *r, char letter)
{
	const char *from = letters + (r->clock ? PERIOD_HOURS : PERIOD_YEARS);
	const char *found = letter ? memchr(letters, letter, PERIOD_FIELDS) : NULL;

	if (letter == 'M')
		found = strchr(from, 'M');
	return found ? (int)(found - letters) : -1;
}

static bool take_field(struct period_reader *r, struct period *p)
{
	int64_t coefficient;
	int scale, field;
	char letter;

	if (!take_number(r, &coefficient, &scale))
		return false;
	letter = *r->p++;
	field = field_of(r, letter);
	if (field < 0)
		return fail(r, arena_format(r->arena, "expected a designator Y, M, W, D, H, or S not '%c'", letter));
	if (r->previous && coefficient != 0)
		return fail(r, arena_format(r->arena, "'%c' & '%c' only the last field can have a fraction",
		                            r->previous, letter));
	if ((field >= PERIOD_HOURS) != r->clock)
		return fail(r, arena_format(r->arena, "'%c' designator cannot occur here", letter));
	if (r->set[field])
		return fail(r, arena_format(r->arena, "'%c' designator cannot occur more than once", letter));
	r->set[field] = true;
	r->fields++;
	p->coefficient[field] = coefficient;
	p->scale[field] = scale;
	if (scale > 0)
		r->previous = letter;
	return true;
}

static bool read_period(struct period_reader *r, struct period *p)
{
	if (r->p < r->end && (*r->p == '-' || *r->p == '+'))
		p->negative = *r->p++ == '-';
	if (r->p == r->end) {
		r->error = "cannot parse a blank string as a period";
		return false;
	}
	if (*r->p++ != 'P')
		return fail(r, "expected 'P' period mark at the start");
	while (r->p < r->end) {
		if (*r->p == 'T') {
			if (r->clock)
				return fail(r, "'T' designator cannot occur more than once");
			r->clock = true;
			r->p++;
		} else if (!take_field(r, p)) {
			return false;
		}
	}
	if (r->fields == 0)
		return fail(r, "expected 'Y', 'M', 'W', 'D', 'H', 'M', or 'S' designator");
	return true;
}

bool period_parse(struct arena *a, const char *text, size_t length, struct period *ret, const char **ret_error)
{
	struct period_reader r = {.arena = a, .text = text, .length = length, .p = text, .end = text + length};

	memset(ret, 0, sizeof *ret);
	if (read_period(&r, ret))
		return true;
	*ret_error = r.error;
	return false;
}

/* A field in units of which `factor` make one. Wraps like the reference. */
static int64_t in_units(const struct period *p, enum period_field field, int64_t factor)
{
	for (int i = 0; i < p->scale[field]; i++)
		factor /= 10;
	return (int64_t)((uint64_t)p->coefficient[field] * (uint64_t)factor);
}

static int64_t clock_ns(const struct period *p)
{
	return (int64_t)((uint64_t)in_units(p, PERIOD_HOURS, 3600 * NS_PER_S) +
	                 (uint64_t)in_units(p, PERIOD_MINUTES, 60 * NS_PER_S) +
	                 (uint64_t)in_units(p, PERIOD_SECONDS, NS_PER_S));
}

int64_t period_ns(const struct period *p)
{
	uint64_t nano_days = (uint64_t)in_units(p, PERIOD_DAYS, NS_PER_S) +
	                     (uint64_t)in_units(p, PERIOD_WEEKS, 7 * NS_PER_S) +
	                     (uint64_t)in_units(p, PERIOD_MONTHS, NANO_DAYS_PER_YEAR / 12) +
	                     (uint64_t)in_units(p, PERIOD_YEARS, NANO_DAYS_PER_YEAR);
	uint64_t total = nano_days * 86400 + (uint64_t)clock_ns(p);

	return (int64_t)(p->negative ? 0 - total : total);
}

struct value_time period_add(const struct period *p, const struct value_time *t, bool subtract)
{
	bool negative = p->negative != subtract;
	int64_t sign = negative ? -1 : 1;
	bool calendar = false, whole = true;
	uint64_t ns;

	for (int i = PERIOD_YEARS; i <= PERIOD_DAYS; i++) {
		calendar |= p->coefficient[i] != 0;
		whole &= p->scale[i] == 0;
	}
	if (calendar && whole) {
		struct value_time moved =
		    gotime_add_date(t, sign * p->coefficient[PERIOD_YEARS], sign * p->coefficient[PERIOD_MONTHS],
		                    sign * (7 * p->coefficient[PERIOD_WEEKS] + p->coefficient[PERIOD_DAYS]));

		return gotime_add_ns(&moved, sign * clock_ns(p));
	}
	ns = (uint64_t)period_ns(p);
	return gotime_add_ns(t, (int64_t)(subtract ? 0 - ns : ns));
}

static const char *duration_error(struct arena *a, const char *text, size_t length, const char *what)
{
	struct text t;

	text_init(&t, a);
	text_add_string(&t, what);
	time_quote(&t, text, length);
	return text_end(&t);
}

/* "ns", "us", "µs" (two spellings), "ms", "s", "m", "h"; 0: unknown. */
static uint64_t unit_ns(const char *p, size_t n)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000},          {"\xce\xbcs", 1000},
	             {"ms", 1000000}, {"s", 1000000000}, {"m", UINT64_C(60000000000)}, {"h", UINT64_C(3600000000000)}};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strlen(units[i].name) == n && memcmp(units[i].name, p, n) == 0)
			return units[i].ns;
	return 0;
}

/* One "12.5ms" element onto *total; null, or what is wrong. */
static const char *take_element(struct arena *a, const char **p, const char *end, uint64_t *total, const char *text,
                                size_t length)
{
	uint64_t whole = 0, fraction = 0, unit;
	double scale = 1;
	int digits = 0;
	const char *name;

	for (; *p < end && **p >= '0' && **p <= '9'; ++*p, digits++)
		if (whole > (UINT64_C(1) << 63) / 10 || (whole = whole * 10 + (uint64_t)(**p - '0')) > UINT64_C(1)
		                                                                                           << 63)
			return duration_error(a, text, length, "time: invalid duration ");
	if (*p < end && **p == '.') {
		for (++*p; *p < end && **p >= '0' && **p <= '9'; ++*p, digits++)
			if (fraction <= (uint64_t)(INT64_MAX - 9) / 10) {
				fraction = fraction * 10 + (uint64_t)(**p - '0');
				scale *= 10;
			}
	}
	if (digits == 0)
		return duration_error(a, text, length, "time: invalid duration ");
	name = *p;
	while (*p < end && **p != '.' && (**p < '0' || **p > '9'))
		++*p;
	if (*p == name)
		return duration_error(a, text, length, "time: missing unit in duration ");
	unit = unit_ns(name, (size_t)(*p - name));
	if (unit == 0) {
		struct text t;

		text_init(&t, a);
		text_add_string(&t, "time: unknown unit ");
		time_quote(&t, name, (size_t)(*p - name));
		text_add_string(&t, " in duration ");
		time_quote(&t, text, length);
		return text_end(&t);
	}
	if (whole > (UINT64_C(1) << 63) / unit)
		return duration_error(a, text, length, "time: invalid duration ");
	whole *= unit;
	if (fraction > 0)
		whole += (uint64_t)((double)fraction * ((double)unit / scale));
	if (whole > UINT64_C(1) << 63 || (*total += whole) > UINT64_C(1) << 63)
		return duration_error(a, text, length, "time: invalid duration ");
	return NULL;
}

bool period_parse_duration(struct arena *a, const char *text, size_t length, int64_t *ret_ns, const char **ret_error)
{
	const char *p = text, *end = text + length;
	bool negative = false;
	uint64_t total = 0;

	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (end - p == 1 && *p == '0') {
		*ret_ns = 0;
		return true;
	}
	if (p == end) {
		*ret_error = duration_error(a, text, length, "time: invalid duration ");
		return false;
	}
	while (p < end) {
		*ret_error = take_element(a, &p, end, &total, text, length);
		if (*ret_error)
			return false;
	}
	if (!negative && total > INT64_MAX) {
		*ret_error = duration_error(a, text, length, "time: invalid duration ");
		return false;
	}
	*ret_ns = (int64_t)(negative ? 0 - total : total);
	return true;
}
