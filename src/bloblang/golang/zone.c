/*
 * TZif files, and the rule behind their last change.
 *
 * Invariants:
 * 1. The list of zones only grows, at its head; a zone that is in it does not change any more.
 * 2. Every index is smaller than kind_count, and kind_count is not 0; times ascend, as RFC 8536 has it.
 * 3. A name has at most NAME_MAX_BYTES bytes, no NUL, no ".." and no slash in front, so that it stays in the database.
 * 4. A file of more than FILE_MAX bytes is none of the database.
 */
#include "bloblang/golang/zone.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/calendar.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "value/time.h"

enum {
	FILE_MAX = 1 << 20,
	NAME_MAX_BYTES = 100,
	SECONDS_PER_DAY = 86400,
};

#define INSTANT_MAX_S (INT64_C(1) << 55)

struct kind {
	int32_t offset_s;
	bool daylight;
	char abbreviation[ZONE_ABBREVIATION_MAX];
};

/* When the footer's rule changes the clock: POSIX's Mm.w.d, Jn or n with a time of day. */
struct change {
	char form; /* 'M', 'J', 'n' */
	int month, week, day;
	int32_t second;
};

struct rule {
	bool valid;
	bool has_daylight;
	struct kind standard, daylight;
	struct change begin, end;
};

struct zone {
	struct zone *next;
	char name[NAME_MAX_BYTES + 1];
	size_t count;
	int64_t *times;
	uint8_t *indexes;
	struct kind *kinds;
	size_t kind_count;
	struct rule rule;
};

/* Every zone ever asked for; only grows, at the head. */
static _Atomic(struct zone *) zones;

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int64_t year_of(int64_t unix_s)
{
	int64_t year;
	int month, day;

	calendar_date(unix_s / SECONDS_PER_DAY - (unix_s % SECONDS_PER_DAY < 0), &year, &month, &day);
	return year;
}

static const char *take_number(const char *p, int32_t *ret)
{
	int32_t value = 0;

	if (!isdigit((unsigned char)*p))
		return NULL;
	for (; isdigit((unsigned char)*p) && value < 100000; p++)
		value = value * 10 + (*p - '0');
	*ret = value;
	return p;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static const char *take_clock(const char *p, int32_t *ret)
{
	static const int32_t units[] = {3600, 60, 1};
	bool negative = *p == '-';
	int32_t total = 0, part;

	if (*p == '-' || *p == '+')
		p++;
	for (int i = 0; i < 3; i++) {
		p = take_number(p, &part);
		if (!p)
			return NULL;
		total += part * units[i];
		if (*p != ':' || i == 2)
			break;
		p++;
	}
	*ret = negative ? -total : total;
	return p;
}

static const char *take_abbreviation(const char *p, char out[ZONE_ABBREVIATION_MAX])
{
	const char *from = p, *after;

	if (*p == '<') {
		from = p + 1;
		p = strchr(p, '>');
		if (!p)
			return NULL;
		after = p + 1;
	} else {
		while (isalpha((unsigned char)*p))
			p++;
		after = p;
	}
	if (p == from || p - from >= ZONE_ABBREVIATION_MAX)
		return NULL;
	(void)snprintf(out, ZONE_ABBREVIATION_MAX, "%.*s", (int)(p - from), from);
	return after;
}

static const char *take_change(const char *p, struct change *c)
{
	c->second = 7200;
	if (*p == 'M') {
		c->form = 'M';
		p = take_number(p + 1, &c->month);
		if (!p || *p != '.' || !(p = take_number(p + 1, &c->week)) || *p != '.')
			return NULL;
		p = take_number(p + 1, &c->day);
	} else {
		c->form = *p == 'J' ? 'J' : 'n';
		p = take_number(p + (*p == 'J'), &c->day);
	}
	if (p && *p == '/')
		p = take_clock(p + 1, &c->second);
	return p;
}

/* "EST5EDT,M3.2.0,M11.1.0": RFC 8536 section 3.3. */
static void parse_rule(struct rule *r, const char *p)
{
	int32_t west;

	memset(r, 0, sizeof *r);
	p = take_abbreviation(p, r->standard.abbreviation);
	if (!p || !(p = take_clock(p, &west)))
		return;
	r->standard.offset_s = -west;
	if (*p == '\0') {
		r->valid = true;
		return;
	}
	p = take_abbreviation(p, r->daylight.abbreviation);
	if (!p)
		return;
	r->daylight.offset_s = r->standard.offset_s + 3600;
	r->daylight.daylight = true;
	if (*p != ',') {
		p = take_clock(p, &west);
		if (!p)
			return;
		r->daylight.offset_s = -west;
	}
	if (*p != ',' || !(p = take_change(p + 1, &r->begin)) || *p != ',' || !(p = take_change(p + 1, &r->end)))
		return;
	r->has_daylight = r->valid = true;
}

/* Seconds from the epoch, as if the wall clock were UTC. */
static int64_t change_at(const struct change *c, int64_t year)
{
	int64_t day;

	if (c->form == 'M') {
		int64_t first = calendar_days(year, c->month, 1);
		int64_t next = c->month == 12 ? calendar_days(year + 1, 1, 1) : calendar_days(year, c->month + 1, 1);
		int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */

		day = first + (c->day - weekday + 7) % 7 + 7 * (c->week - 1);
		while (day >= next)
			day -= 7;
	} else {
		day = calendar_days(year, 1, 1) + c->day;
		if (c->form == 'J')
			day -= !(is_leap(year) && c->day >= 60);
	}
	return day * SECONDS_PER_DAY + c->second;
}

static void set_period(struct zone_period *p, const struct kind *k, int64_t start, int64_t end)
{
	p->offset_s = k->offset_s;
	p->start = start;
	p->end = end;
	memcpy(p->abbreviation, k->abbreviation, sizeof p->abbreviation);
}

static void lookup_rule(const struct rule *r, int64_t unix_s, int64_t since, struct zone_period *ret)
{
	int64_t start = since, end = INT64_MAX, year;
	const struct kind *kind = &r->standard;

	if (!r->has_daylight) {
		set_period(ret, kind, since, end);
		return;
	}
	if (unix_s > INSTANT_MAX_S) /* beyond any calendar; and the sums below must not overflow */
		unix_s = INSTANT_MAX_S;
	year = year_of(unix_s + r->standard.offset_s);
	for (int64_t y = year - 1; y <= year + 1; y++) {
		struct {
			int64_t at;
			const struct kind *kind;
		} two[] = {{change_at(&r->begin, y) - r->standard.offset_s, &r->daylight},
		           {change_at(&r->end, y) - r->daylight.offset_s, &r->standard}};
		int first = two[0].at <= two[1].at ? 0 : 1;

		for (int i = 0; i < 2; i++) {
			int n = first ^ i;

			if (two[n].at <= unix_s) {
				kind = two[n].kind;
				if (two[n].at > start)
					start = two[n].at;
			} else if (two[n].at < end) {
				end = two[n].at;
			}
		}
	}
	set_period(ret, kind, start, end);
}

/* What holds before the first transition: Go's rule, which is type 0 unless a transition also uses it. */
static const struct kind *first_kind(const struct zone *z)
{
	bool used = false;

	for (size_t i = 0; i < z->count; i++)
		used |= z->indexes[i] == 0;
	if (!used)
		return &z->kinds[0];
	if (z->count > 0 && z->kinds[z->indexes[0]].daylight)
		for (int i = z->indexes[0] - 1; i >= 0; i--)
			if (!z->kinds[i].daylight)
				return &z->kinds[i];
	for (size_t i = 0; i < z->kind_count; i++)
		if (!z->kinds[i].daylight)
			return &z->kinds[i];
	return &z->kinds[0];
}

void zone_lookup(const struct zone *z, int64_t unix_s, struct zone_period *ret)
{
	size_t low = 0, high = z->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (z->times[middle] <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == z->count && z->rule.valid)
		lookup_rule(&z->rule, unix_s, low ? z->times[low - 1] : INT64_MIN, ret);
	else if (low == 0)
		set_period(ret, first_kind(z), INT64_MIN, z->count ? z->times[0] : INT64_MAX);
	else
		set_period(ret, &z->kinds[z->indexes[low - 1]], z->times[low - 1],
		           low < z->count ? z->times[low] : INT64_MAX);
}

int64_t zone_from_local(const struct zone *z, int64_t local_s)
{
	struct zone_period p;
	int64_t utc;

	zone_lookup(z, local_s, &p);
	utc = (int64_t)((uint64_t)local_s - (uint64_t)(int64_t)p.offset_s);
	if (utc < p.start || utc >= p.end)
		zone_lookup(z, utc, &p);
	return (int64_t)((uint64_t)local_s - (uint64_t)(int64_t)p.offset_s);
}

const char *zone_name(const struct zone *z) { return z->name; }

static int64_t big_endian(const unsigned char *p, int width)
{
	uint64_t value = width == 4 && p[0] & 0x80 ? UINT64_MAX : 0;

	for (int i = 0; i < width; i++)
		value = value << 8 | p[i];
	return (int64_t)value;
}

struct header {
	size_t utc_flags, standard_flags, leaps, times, kinds, letters;
};

static bool read_header(const unsigned char *p, size_t n, struct header *h)
{
	size_t *fields[] = {&h->utc_flags, &h->standard_flags, &h->leaps, &h->times, &h->kinds, &h->letters};

	if (n < 44 || memcmp(p, "TZif", 4) != 0)
		return false;
	for (size_t i = 0; i < 6; i++) {
		*fields[i] = (size_t)(uint32_t)big_endian(p + 20 + 4 * i, 4);
		if (*fields[i] > FILE_MAX)
			return false;
	}
	return true;
}

static size_t body_size(const struct header *h, size_t width)
{
	return h->times * width + h->times + h->kinds * 6 + h->letters + h->leaps * (width + 4) + h->standard_flags +
	       h->utc_flags;
}

static bool read_body(struct zone *z, const struct header *h, const unsigned char *p, int width)
{
	const unsigned char *indexes = p + h->times * (size_t)width, *kinds = indexes + h->times;
	const char *letters = (const char *)kinds + h->kinds * 6;

	if (h->kinds == 0 || h->kinds > 256)
		return false;
	z->count = h->times;
	z->kind_count = h->kinds;
	z->times = mem_array(h->times + 1, sizeof *z->times);
	z->indexes = mem_array(h->times + 1, 1);
	z->kinds = mem_array(h->kinds, sizeof *z->kinds);
	for (size_t i = 0; i < h->times; i++) {
		z->times[i] = big_endian(p + i * (size_t)width, width);
		z->indexes[i] = indexes[i];
		if (indexes[i] >= h->kinds)
			return false;
	}
	for (size_t i = 0; i < h->kinds; i++) {
		const unsigned char *k = kinds + 6 * i;

		z->kinds[i].offset_s = (int32_t)big_endian(k, 4);
		z->kinds[i].daylight = k[4];
		if (k[5] >= h->letters)
			return false;
		(void)snprintf(z->kinds[i].abbreviation, ZONE_ABBREVIATION_MAX, "%.*s", (int)(h->letters - k[5]),
		               letters + k[5]);
	}
	return true;
}

static bool parse_file(struct zone *z, const unsigned char *p, size_t n)
{
	struct header h;
	int width = 4;

	if (!read_header(p, n, &h))
		return false;
	if (p[4] >= '2') {
		size_t skip = 44 + body_size(&h, 4);

		if (skip > n || !read_header(p + skip, n - skip, &h))
			return false;
		p += skip;
		n -= skip;
		width = 8;
	}
	if (44 + body_size(&h, (size_t)width) > n || !read_body(z, &h, p + 44, width))
		return false;
	p += 44 + body_size(&h, (size_t)width);
	if (width == 8 && *p == '\n') { /* the reader added a NUL after the file */
		char footer[128];

		(void)snprintf(footer, sizeof footer, "%.*s", (int)strcspn((const char *)p + 1, "\n"), p + 1);
		parse_rule(&z->rule, footer);
	}
	return true;
}

static bool load(struct zone *z, const char *path)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTOFREE unsigned char *bytes = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return false;
	bytes = mem_zero((size_t)st.st_size + 1);
	n = read(fd, bytes, (size_t)st.st_size);
	return n == st.st_size && parse_file(z, bytes, (size_t)n);
}

static void set_fixed(struct zone *z, const char *abbreviation)
{
	z->kinds = mem_zero(sizeof *z->kinds);
	z->kind_count = 1;
	(void)snprintf(z->kinds[0].abbreviation, ZONE_ABBREVIATION_MAX, "%s", abbreviation);
}

static bool load_named(struct zone *z, const char *name)
{
	static const char *const folders[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo",
	                                      "/etc/zoneinfo"};
	char path[256];

	if (strstr(name, "..") || *name == '/' || strchr(name, '\\'))
		return false;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", folders[i], name);
		if (load(z, path))
			return true;
	}
	return false;
}

/* As Go: TZ unset: /etc/localtime; TZ empty: UTC; otherwise a file or a name; UTC when nothing serves. */
static void load_local(struct zone *z)
{
	const char *tz = getenv("TZ");
	bool found;

	if (tz && *tz == ':')
		tz++;
	if (!tz)
		found = load(z, "/etc/localtime");
	else
		found = *tz == '/' ? load(z, tz) : *tz != '\0' && load_named(z, tz);
	if (!found)
		set_fixed(z, "UTC");
}

static void zone_free(struct zone *z)
{
	free(z->times);
	free(z->indexes);
	free(z->kinds);
	free(z);
}

const struct zone *zone_find(const char *name, size_t length)
{
	struct zone *z, *head;

	if (length == 0)
		return zone_find("UTC", 3);
	if (length > NAME_MAX_BYTES || memchr(name, '\0', length))
		return NULL;
	for (z = atomic_load(&zones); z; z = z->next)
		if (strlen(z->name) == length && memcmp(z->name, name, length) == 0)
			return z;
	z = mem_zero(sizeof *z);
	memcpy(z->name, name, length);
	if (strcmp(z->name, "UTC") == 0) {
		set_fixed(z, "UTC");
	} else if (strcmp(z->name, "Local") == 0) {
		load_local(z);
	} else if (!load_named(z, z->name)) {
		zone_free(z);
		return NULL;
	}
	head = atomic_load(&zones);
	do { /* two threads may add the same zone: harmless */
		z->next = head;
	} while (!atomic_compare_exchange_weak(&zones, &head, z));
	return z;
}
