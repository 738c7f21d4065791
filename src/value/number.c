/*
 * Numbers and text, as Go's strconv and encoding/json have them.
 *
 * Invariants:
 * 1. A printer writes at most NUMBER_TEXT_MAX bytes, and counts no NUL.
 * 2. What number_shortest() writes reads back as the same number, begins with a digit that is not 0 (but for 0), and
 *    ends with one.
 * 3. A parser that says true has read the whole text.
 */
#include "value/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

size_t number_print_uint(char *out, uint64_t u)
{
	char reversed[24];
	size_t n = 0;

	do {
		reversed[n++] = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	for (size_t i = 0; i < n; i++)
		out[i] = reversed[n - 1 - i];
	return n;
}

size_t number_print_int(char *out, int64_t i)
{
	if (i >= 0)
		return number_print_uint(out, (uint64_t)i);
	*out = '-';
	return 1 + number_print_uint(out + 1, 0 - (uint64_t)i);
}

static bool reads_back(const char *text, double d, int bits)
{
	return bits == 32 ? strtof(text, NULL) == (float)d : strtod(text, NULL) == d;
}

/* Integers below 2^53 need no search: their digits without trailing zeros are the shortest. */
static size_t shortest_integer(double d, char *digits, int *ret_exponent)
{
	size_t n = number_print_uint(digits, (uint64_t)d);

	*ret_exponent = (int)n - 1;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

size_t number_shortest(double d, int bits, char *digits, int *ret_exponent)
{
	enum { EXACT_DOUBLE = 15, EXACT_FLOAT = 6, MOST_DOUBLE = 17, MOST_FLOAT = 9 };
	char text[40];
	size_t n = 0;
	double smallest_normal = bits == 32 ? 1e-37 : 1e-307;
	int precision = bits == 32 ? EXACT_FLOAT : EXACT_DOUBLE;
	int most = bits == 32 ? MOST_FLOAT : MOST_DOUBLE;
	const char *e;

	d = fabs(d);
	if (bits == 64 && d < 9007199254740992.0 && d == floor(d))
		return shortest_integer(d, digits, ret_exponent);
	if (d < smallest_normal)
		precision = 1; /* subnormal numbers have fewer digits than the format can hold */
	for (;; precision++) {
		(void)snprintf(text, sizeof text, "%.*e", precision - 1, d);
		if (precision >= most || reads_back(text, d, bits))
			break;
	}
	for (e = text; *e != 'e'; e++) {
		if (isdigit((unsigned char)*e))
			digits[n++] = *e;
	}
	*ret_exponent = (int)strtol(e + 1, NULL, 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

static size_t print_positional(char *out, const char *digits, size_t count, int exponent)
{
	size_t n = 0;

	if (exponent < 0) {
		out[n++] = '0';
		out[n++] = '.';
		for (int i = -1; i > exponent; i--)
			out[n++] = '0';
		memcpy(out + n, digits, count);
		return n + count;
	}
	for (size_t i = 0; i < count || (int)i <= exponent; i++) {
		if ((int)i == exponent + 1)
			out[n++] = '.';
		out[n++] = i < count ? digits[i] : '0';
	}
	return n;
}

static size_t print_exponent(char *out, const char *digits, size_t count, int exponent, int least)
{
	size_t n = 0;
	unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);

	out[n++] = digits[0];
	if (count > 1) {
		out[n++] = '.';
		memcpy(out + n, digits + 1, count - 1);
		n += count - 1;
	}
	out[n++] = 'e';
	out[n++] = exponent < 0 ? '-' : '+';
	if (least == 2 && size < 10)
		out[n++] = '0';
	return n + number_print_uint(out + n, size);
}

static size_t print_special(char *out, double d)
{
	const char *text = isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf";
	size_t n = 0;

	for (; text[n]; n++)
		out[n] = text[n];
	return n;
}

static size_t print_float(char *out, double d, int bits, int lowest, int highest, int least)
{
	char digits[32] = "";
	size_t n = 0;
	size_t count;
	int exponent;

	if (!isfinite(d))
		return print_special(out, d);
	if (signbit(d))
		out[n++] = '-';
	count = number_shortest(d, bits, digits, &exponent);
	if (exponent >= lowest && exponent <= highest)
		return n + print_positional(out + n, digits, count, exponent);
	return n + print_exponent(out + n, digits, count, exponent, least);
}

size_t number_print_json(char *out, double d, int bits) { return print_float(out, d, bits, -6, 20, 1); }

size_t number_print_text(char *out, double d, int bits) { return print_float(out, d, bits, -4, 5, 2); }

bool number_parse_int(const char *text, size_t length, int64_t *ret)
{
	bool minus = length > 0 && text[0] == '-';
	size_t i = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
	uint64_t limit = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	uint64_t u = 0;

	if (i == length)
		return false;
	for (; i < length; i++) {
		unsigned digit = (unsigned)text[i] - '0';

		if (digit > 9 || u > limit / 10 || u * 10 > limit - digit)
			return false;
		u = u * 10 + digit;
	}
	*ret = minus ? (int64_t)(0 - u) : (int64_t)u;
	return true;
}

/* Underscores may stand between digits, and once after a base prefix. */
static bool underscores_fit(const char *s, size_t length)
{
	char before = '^'; /* '0' a digit, '_' an underscore, '^' the beginning, '!' anything else */
	size_t i = 0;
	bool hex = false;

	if (length >= 1 && (s[0] == '-' || s[0] == '+'))
		i++;
	if (length - i >= 2 && s[i] == '0' && strchr("bBoOxX", s[i + 1])) {
		hex = s[i + 1] == 'x' || s[i + 1] == 'X';
		before = '0';
		i += 2;
	}
	for (; i < length; i++) {
		if (isdigit((unsigned char)s[i]) || (hex && isxdigit((unsigned char)s[i]))) {
			before = '0';
		} else if (s[i] == '_') {
			if (before != '0')
				return false;
			before = '_';
		} else {
			if (before == '_')
				return false;
			before = '!';
		}
	}
	return before != '_';
}

/* Copies without underscores; false when they are misplaced or the text is too long to be a number. */
static bool strip_underscores(const char *text, size_t length, char *out, size_t room, size_t *ret_length)
{
	size_t n = 0;

	if (length == 0 || length >= room)
		return false;
	if (memchr(text, '_', length) && !underscores_fit(text, length))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '_')
			out[n++] = text[i];
	}
	out[n] = '\0';
	*ret_length = n;
	return true;
}

static size_t skip_digits(const char **s, bool hex)
{
	const char *start = *s;

	while (hex ? isxdigit((unsigned char)**s) : isdigit((unsigned char)**s))
		(*s)++;
	return (size_t)(*s - start);
}

/* The shapes strtod may be trusted with: decimal, or hex with the exponent Go demands. */
static bool is_float_text(const char *s)
{
	bool hex;
	size_t digits;

	if (*s == '-' || *s == '+')
		s++;
	hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	if (hex)
		s += 2;
	digits = skip_digits(&s, hex);
	if (*s == '.') {
		s++;
		digits += skip_digits(&s, hex);
	}
	if (digits == 0)
		return false;
	if (hex ? *s == 'p' || *s == 'P' : *s == 'e' || *s == 'E') {
		s++;
		if (*s == '-' || *s == '+')
			s++;
		if (skip_digits(&s, false) == 0)
			return false;
	} else if (hex) {
		return false;
	}
	return *s == '\0';
}

static bool parse_special(const char *text, size_t length, double *ret)
{
	bool sign = length > 0 && (text[0] == '-' || text[0] == '+');
	const char *s = text + (sign ? 1 : 0);
	size_t n = length - (sign ? 1 : 0);

	if ((n == 3 && strncasecmp(s, "inf", 3) == 0) || (n == 8 && strncasecmp(s, "infinity", 8) == 0)) {
		*ret = sign && text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
		return true;
	}
	if (!sign && n == 3 && strncasecmp(s, "nan", 3) == 0) {
		*ret = (double)NAN;
		return true;
	}
	return false;
}

/*
 * Short decimals without strtod: both the digits and the power of ten are exact doubles, so that one division rounds
 * once, which is the correct rounding (W. D. Clinger, 1990).
 */
static bool parse_short(const char *text, size_t length, double *ret)
{
	enum { EXACT_DIGITS = 15 };
	static const double powers[EXACT_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
	                                                1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	size_t i = length > 0 && text[0] == '-' ? 1 : 0;
	size_t first = i;
	size_t point = length;
	int64_t digits = 0;

	if (length - i > EXACT_DIGITS || length == i)
		return false;
	for (; i < length; i++) {
		if (text[i] == '.' && point == length && i > first && i + 1 < length)
			point = i;
		else if (text[i] >= '0' && text[i] <= '9')
			digits = digits * 10 + (text[i] - '0');
		else
			return false;
	}
	*ret = (double)digits / powers[point == length ? 0 : length - point - 1];
	if (text[0] == '-')
		*ret = -*ret;
	return true;
}

bool number_parse_float(const char *text, size_t length, double *ret)
{
	char small[512];
	char *copy = small;
	size_t room = sizeof small;
	size_t n;
	bool fits;

	if (parse_short(text, length, ret) || parse_special(text, length, ret))
		return true;
	if (length >= room) {
		room = length + 1;
		copy = malloc(room);
		if (!copy)
			abort();
	}
	fits = strip_underscores(text, length, copy, room, &n) && is_float_text(copy);
	if (fits) {
		*ret = strtod(copy, NULL);
		fits = isfinite(*ret) != 0; /* out of range is an error of ParseFloat */
	}
	if (copy != small)
		free(copy);
	return fits;
}

static bool parse_base_any(const char *s, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t u = 0;

	if (s[0] == '0' && s[1] != '\0') {
		base = 8;
		s++;
		if (*s == 'x' || *s == 'X' || *s == 'b' || *s == 'B' || *s == 'o' || *s == 'O') {
			base = *s == 'x' || *s == 'X' ? 16 : *s == 'b' || *s == 'B' ? 2 : 8;
			s++;
		}
	}
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		int digit = hex_value(*s);

		if (digit < 0 || (unsigned)digit >= base || u > (UINT64_MAX - (unsigned)digit) / base)
			return false;
		u = u * base + (unsigned)digit;
	}
	*ret = u;
	return true;
}

enum { INTEGER_TEXT_MAX = 160 };

bool number_parse_uint_any(const char *text, size_t length, uint64_t *ret)
{
	char copy[INTEGER_TEXT_MAX];
	size_t n;

	return strip_underscores(text, length, copy, sizeof copy, &n) && parse_base_any(copy, ret);
}

bool number_parse_int_any(const char *text, size_t length, int64_t *ret)
{
	char copy[INTEGER_TEXT_MAX];
	size_t n;
	uint64_t u;
	bool sign;

	if (!strip_underscores(text, length, copy, sizeof copy, &n))
		return false;
	sign = copy[0] == '-' || copy[0] == '+';
	if (!parse_base_any(copy + (sign ? 1 : 0), &u))
		return false;
	if (copy[0] == '-') {
		if (u > (uint64_t)INT64_MAX + 1)
			return false;
		*ret = (int64_t)(0 - u);
		return true;
	}
	*ret = (int64_t)u;
	return u <= INT64_MAX;
}
