/*
 * strftime as the reference has it: C's specifiers in the C locale plus %f (microseconds), with glibc's flags - _ 0 ^ #
 * and widths. What is not a specifier is copied.
 *
 * Invariants:
 * 1. A width is at most WIDTH_MAX, so that one specifier adds at most that many bytes of padding.
 * 2. Composite specifiers hold no composite ones: expanding ends.
 * 3. Every specifier is tried against date, names, clock and composites; what none of them takes is printed as it was
 *    written.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bloblang/golang/gotime.h"

enum { WIDTH_MAX = 1024 };

struct spec {
	char pad; /* '0', ' ', '-' none, 0: the specifier's own */
	int width;
	bool upper;
	bool swap;
	int colons;
	char letter;
};

/* What composite specifiers stand for. */
static const struct {
	char letter;
	const char *format;
} composites[] = {{'c', "%a %b %e %H:%M:%S %Y"},
                  {'D', "%m/%d/%y"},
                  {'x', "%m/%d/%y"},
                  {'F', "%Y-%m-%d"},
                  {'T', "%H:%M:%S"},
                  {'X', "%H:%M:%S"},
                  {'R', "%H:%M"},
                  {'r', "%I:%M:%S %p"},
                  {'v', "%e-%b-%Y"},
                  {'+', "%a %b %e %H:%M:%S %Z %Y"}};

static void add_padding(struct text *out, char pad, int count)
{
	for (; count > 0; count--)
		text_add_char(out, pad);
}

static void add_number(struct text *out, const struct spec *s, int64_t n, int width, char pad)
{
	char digits[24];
	int length =
	    snprintf(digits, sizeof digits, "%llu", (unsigned long long)(n < 0 ? 0 - (uint64_t)n : (uint64_t)n));

	if (s->pad == '-')
		width = 0;
	else if (s->pad)
		pad = s->pad;
	if (s->width > width)
		width = s->width;
	if (n < 0)
		width--;
	if (n < 0 && pad == '0')
		text_add_char(out, '-');
	add_padding(out, pad, width - length);
	if (n < 0 && pad != '0')
		text_add_char(out, '-');
	text_add(out, digits, (size_t)length);
}

static void add_name(struct text *out, const struct spec *s, const char *name, size_t length)
{
	bool lower = s->swap && length > 1 && isupper((unsigned char)name[1]);
	bool upper = s->upper || (s->swap && !lower);

	if (s->pad != '-')
		add_padding(out, s->pad == '0' ? '0' : ' ', s->width - (int)length);
	for (size_t i = 0; i < length; i++)
		text_add_char(out, upper   ? (char)toupper((unsigned char)name[i])
		                   : lower ? (char)tolower((unsigned char)name[i])
		                           : name[i]);
}

static void add_offset(struct text *out, const struct spec *s, int32_t offset_s)
{
	char text[32];
	int32_t o = offset_s < 0 ? -offset_s : offset_s;
	int h = o / 3600, m = o / 60 % 60, sec = o % 60, n, used;

	if (s->colons == 3)
		n = sec ? snprintf(text, sizeof text, ":%02d:%02d", m, sec)
		    : m ? snprintf(text, sizeof text, ":%02d", m)
		        : snprintf(text, sizeof text, "%s", "");
	else
		n = s->colons == 2   ? snprintf(text, sizeof text, ":%02d:%02d", m, sec)
		    : s->colons == 1 ? snprintf(text, sizeof text, ":%02d", m)
		                     : snprintf(text, sizeof text, "%02d", m);
	used = 1 + n + (h > 9 || s->pad == '-' || s->pad == ' ' ? (h > 9) + 1 : 2);
	if (s->pad == ' ')
		add_padding(out, ' ', (s->width > used + 1 ? s->width : used + (h <= 9)) - used);
	text_add_char(out, offset_s < 0 ? '-' : '+');
	if (s->pad != ' ')
		add_padding(out, '0', s->width - used);
	if (h > 9 || s->pad == '-' || s->pad == ' ')
		text_addf(out, "%d", h);
	else
		text_addf(out, "%02d", h);
	text_add(out, text, (size_t)n);
}

static void add_zone(struct text *out, const struct spec *s, const struct value_time *t)
{
	char buffer[ZONE_ABBREVIATION_MAX];
	const char *name = gotime_abbreviation(t, buffer);

	if (*name)
		add_name(out, s, name, strlen(name));
	else
		add_offset(out, s, t->offset_s);
}

static bool add_date(struct text *out, const struct spec *s, const struct civil *c)
{
	int64_t iso_year;
	int iso_week;

	gotime_iso_week(c, &iso_year, &iso_week);
	switch (s->letter) {
	case 'Y':
		add_number(out, s, c->year, 4, '0');
		return true;
	case 'C':
		add_number(out, s, c->year / 100, 2, '0');
		return true;
	case 'y':
		add_number(out, s, c->year % 100, 2, '0');
		return true;
	case 'G':
		add_number(out, s, iso_year, 4, '0');
		return true;
	case 'g':
		add_number(out, s, iso_year % 100, 2, '0');
		return true;
	case 'V':
		add_number(out, s, iso_week, 2, '0');
		return true;
	case 'U':
		add_number(out, s, (c->year_day - 1 + 7 - c->weekday) / 7, 2, '0');
		return true;
	case 'W':
		add_number(out, s, (c->year_day - 1 + 7 - (c->weekday + 6) % 7) / 7, 2, '0');
		return true;
	case 'm':
		add_number(out, s, c->month, 2, '0');
		return true;
	case 'd':
		add_number(out, s, c->day, 2, '0');
		return true;
	case 'e':
		add_number(out, s, c->day, 2, ' ');
		return true;
	case 'j':
		add_number(out, s, c->year_day, 3, '0');
		return true;
	case 'u':
		add_number(out, s, c->weekday ? c->weekday : 7, 1, '0');
		return true;
	case 'w':
		add_number(out, s, c->weekday, 1, '0');
		return true;
	default:
		return false;
	}
}

static bool add_names(struct text *out, struct spec *s, const struct civil *c)
{
	switch (s->letter) {
	case 'A':
		add_name(out, s, gotime_weekdays[c->weekday], strlen(gotime_weekdays[c->weekday]));
		return true;
	case 'a':
		add_name(out, s, gotime_weekdays[c->weekday], 3);
		return true;
	case 'B':
		add_name(out, s, gotime_months[c->month - 1], strlen(gotime_months[c->month - 1]));
		return true;
	case 'b':
	case 'h':
		add_name(out, s, gotime_months[c->month - 1], 3);
		return true;
	case 'P':
		s->swap = !(s->upper || s->swap);
		s->upper = false;
		add_name(out, s, c->hour < 12 ? "AM" : "PM", 2);
		return true;
	case 'p':
		add_name(out, s, c->hour < 12 ? "AM" : "PM", 2);
		return true;
	case 'n':
		add_name(out, s, "\n", 1);
		return true;
	case 't':
		add_name(out, s, "\t", 1);
		return true;
	case '%':
		add_name(out, s, "%", 1);
		return true;
	default:
		return false;
	}
}

static bool add_clock(struct text *out, const struct spec *s, const struct civil *c, const struct value_time *t)
{
	int hour12 = c->hour % 12 == 0 ? 12 : c->hour % 12;

	switch (s->letter) {
	case 'H':
		add_number(out, s, c->hour, 2, '0');
		return true;
	case 'k':
		add_number(out, s, c->hour, 2, ' ');
		return true;
	case 'I':
		add_number(out, s, hour12, 2, '0');
		return true;
	case 'l':
		add_number(out, s, hour12, 2, ' ');
		return true;
	case 'M':
		add_number(out, s, c->minute, 2, '0');
		return true;
	case 'S':
		add_number(out, s, c->second, 2, '0');
		return true;
	case 'f':
		add_number(out, s, t->nanoseconds / 1000, 6, '0');
		return true;
	case 's':
		add_number(out, s, t->seconds, 1, ' ');
		return true;
	case 'z':
		add_offset(out, s, t->offset_s);
		return true;
	case 'Z':
		add_zone(out, s, t);
		return true;
	default:
		return false;
	}
}

static bool add_composite(struct text *out, const struct spec *s, const struct value_time *t)
{
	for (size_t i = 0; i < sizeof composites / sizeof *composites; i++) {
		if (composites[i].letter == s->letter) {
			struct text whole;

			text_init(&whole, out->arena);
			gotime_strftime(&whole, t, composites[i].format, strlen(composites[i].format));
			add_name(out, s, text_end(&whole), whole.length);
			return true;
		}
	}
	return false;
}

/* The specifier after a percent sign; false when the format ends within it. */
static bool take_spec(const char **p, const char *end, struct spec *s)
{
	memset(s, 0, sizeof *s);
	for (; *p < end; ++*p) {
		char c = **p;

		if (c == '-' || c == '_' || (c == '0' && s->width == 0)) {
			s->pad = c == '_' ? ' ' : c;
		} else if (c == '^') {
			s->upper = true;
		} else if (c == '#') {
			s->swap = true;
		} else if (c >= '0' && c <= '9') {
			s->width = s->width * 10 + (c - '0');
			if (s->width > WIDTH_MAX)
				s->width = WIDTH_MAX;
			if (s->pad == '-')
				s->pad = ' ';
		} else if (c == ':' && s->colons < 3) {
			s->colons++;
		} else {
			s->letter = *(*p)++;
			return s->colons == 0 || s->letter == 'z';
		}
	}
	return false;
}

void gotime_strftime(struct text *out, const struct value_time *t, const char *format, size_t length)
{
	const char *p = format, *end = format + length;
	struct civil c = gotime_civil(t);

	while (p < end && !arena_is_spent(out->arena)) { /* a specifier of two bytes makes many, and takes its time */
		const char *percent = memchr(p, '%', (size_t)(end - p));
		struct spec s;
		bool known;

		text_add(out, p, (size_t)((percent ? percent : end) - p));
		if (!percent)
			return;
		p = percent + 1;
		known = take_spec(&p, end, &s) && (add_date(out, &s, &c) || add_names(out, &s, &c) ||
		                                   add_clock(out, &s, &c, t) || add_composite(out, &s, t));
		if (!known) {
			s.upper = s.swap = false;
			add_name(out, &s, percent, (size_t)(p - percent));
		}
	}
}
