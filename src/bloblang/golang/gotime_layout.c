/* The pieces of a Go layout: https://pkg.go.dev/time#pkg-constants */
#include "bloblang/golang/gotime.h"

#include <string.h>

enum { NOT_BEFORE_LOWER = 1, KEEP_FIRST = 2 };

/* In the order of trial: longer spellings first. KEEP_FIRST: the first character is literal. */
static const struct {
	const char *text;
	enum gotime_piece piece;
	int rule;
} spellings[] = {
    {"January", PIECE_LONG_MONTH, 0},
    {"Jan", PIECE_MONTH, NOT_BEFORE_LOWER},
    {"Monday", PIECE_LONG_WEEKDAY, 0},
    {"Mon", PIECE_WEEKDAY, NOT_BEFORE_LOWER},
    {"MST", PIECE_ABBREVIATION, 0},
    {"002", PIECE_ZERO_YEAR_DAY, 0},
    {"01", PIECE_ZERO_MONTH, 0},
    {"02", PIECE_ZERO_DAY, 0},
    {"03", PIECE_ZERO_HOUR12, 0},
    {"04", PIECE_ZERO_MINUTE, 0},
    {"05", PIECE_ZERO_SECOND, 0},
    {"06", PIECE_YEAR, 0},
    {"15", PIECE_HOUR, 0},
    {"1", PIECE_NUM_MONTH, 0},
    {"2006", PIECE_LONG_YEAR, 0},
    {"2", PIECE_DAY, 0},
    {"_2006", PIECE_LONG_YEAR, KEEP_FIRST},
    {"__2", PIECE_UNDER_YEAR_DAY, 0},
    {"_2", PIECE_UNDER_DAY, 0},
    {"3", PIECE_HOUR12, 0},
    {"4", PIECE_MINUTE, 0},
    {"5", PIECE_SECOND, 0},
    {"PM", PIECE_PM, 0},
    {"pm", PIECE_LOWER_PM, 0},
};

static bool take_offset(const char *p, size_t n, struct gotime_chunk *c)
{
	static const struct {
		const char *text;
		bool colon, no_minutes, seconds;
	} forms[] = {{"070000", false, false, true},
	             {"07:00:00", true, false, true},
	             {"0700", false, false, false},
	             {"07:00", true, false, false},
	             {"07", false, true, false}};

	if (*p != '-' && *p != 'Z')
		return false;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		size_t length = strlen(forms[i].text);

		if (n - 1 >= length && memcmp(p + 1, forms[i].text, length) == 0) {
			c->piece = PIECE_OFFSET;
			c->z = *p == 'Z';
			c->colon = forms[i].colon;
			c->no_minutes = forms[i].no_minutes;
			c->seconds = forms[i].seconds;
			c->end = c->start + 1 + length;
			return true;
		}
	}
	return false;
}

/* ".000", ",999": a run of one digit that ends where digits end. */
static bool take_fraction(const char *p, size_t n, struct gotime_chunk *c)
{
	size_t i = 1;

	if ((*p != '.' && *p != ',') || n < 2 || (p[1] != '0' && p[1] != '9'))
		return false;
	while (i < n && p[i] == p[1])
		i++;
	if (i < n && p[i] >= '0' && p[i] <= '9')
		return false;
	c->piece = p[1] == '0' ? PIECE_FRACTION_0 : PIECE_FRACTION_9;
	c->end = c->start + i;
	return true;
}

static bool take_spelling(const char *p, size_t n, struct gotime_chunk *c)
{
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		size_t length = strlen(spellings[i].text);

		if (*p != spellings[i].text[0] || n < length || memcmp(p, spellings[i].text, length) != 0)
			continue;
		if (spellings[i].rule == NOT_BEFORE_LOWER && n > length && p[length] >= 'a' && p[length] <= 'z')
			return false;
		c->piece = spellings[i].piece;
		c->end = c->start + length;
		if (spellings[i].rule == KEEP_FIRST)
			c->start++;
		return true;
	}
	return false;
}

struct gotime_chunk gotime_next_chunk(const char *layout, size_t length, size_t from)
{
	struct gotime_chunk c = {.piece = PIECE_END, .start = length, .end = length};

	for (size_t i = from; i < length; i++) {
		c.start = i;
		if (take_spelling(layout + i, length - i, &c) || take_offset(layout + i, length - i, &c) ||
		    take_fraction(layout + i, length - i, &c))
			return c;
	}
	c.start = length;
	return c;
}
