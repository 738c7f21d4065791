#include "value/json.h"

#include "value/json_scan.h"

/*
 * The skipper validates a value without building it: a loop over tokens with one bit a level saying whether the
 * container is an object.
 */
static inline bool level_is_object(const uint64_t *bits, uint32_t depth)
{
	return bits[depth / 64] >> (depth % 64) & 1;
}

static inline void level_set(uint64_t *bits, uint32_t depth, bool is_object)
{
	uint64_t bit = UINT64_C(1) << (depth % 64);

	bits[depth / 64] = is_object ? bits[depth / 64] | bit : bits[depth / 64] & ~bit;
}

/* at on an object key's place; leaves it after the colon. */
static inline bool skip_key(struct scan *s)
{
	unsigned flags;

	scan_space(s);
	if (s->at == s->end || *s->at != '"')
		return scan_fail(s, "looking for beginning of object key string");
	s->at++;
	if (!scan_string(s, &flags))
		return false;
	s->at++;
	scan_space(s);
	if (s->at == s->end || *s->at != ':')
		return scan_fail(s, "after object key");
	s->at++;
	return true;
}

static inline bool skip_scalar(struct scan *s)
{
	unsigned flags;

	switch (*s->at) {
	case '"':
		s->at++;
		if (!scan_string(s, &flags))
			return false;
		s->at++;
		return true;
	case 't':
		return scan_word(s, "true", 4);
	case 'f':
		return scan_word(s, "false", 5);
	case 'n':
		return scan_word(s, "null", 4);
	default:
		if (*s->at != '-' && (*s->at < '0' || *s->at > '9'))
			return scan_fail(s, "looking for beginning of value");
		return scan_number(s);
	}
}

/* After a finished value inside `depth` open levels: closes what ends here. False: failed. */
static bool skip_ends(struct scan *s, const uint64_t *bits, uint32_t *depth)
{
	while (*depth > 0) {
		bool in_object = level_is_object(bits, *depth - 1);

		scan_space(s);
		if (s->at == s->end)
			return scan_fail(s, "");
		if (*s->at == ',') {
			s->at++;
			return !in_object || skip_key(s);
		}
		if (*s->at != (in_object ? '}' : ']'))
			return scan_fail(s, in_object ? "after object key:value pair" : "after array element");
		s->at++;
		(*depth)--;
	}
	return true;
}

static bool skip_value(struct scan *s, uint32_t outer_depth)
{
	uint64_t bits[JSON_DEPTH_MAX / 64 + 1];
	uint32_t depth = 0;

	do {
		scan_space(s);
		if (s->at == s->end)
			return scan_fail(s, "");
		if (*s->at == '{' || *s->at == '[') {
			bool is_object = *s->at == '{';

			if (depth + outer_depth >= JSON_DEPTH_MAX) {
				s->error = "exceeded max depth";
				return false;
			}
			s->at++;
			scan_space(s);
			if (s->at < s->end && *s->at == (is_object ? '}' : ']')) {
				s->at++;
			} else {
				level_set(bits, depth++, is_object);
				if (is_object && !skip_key(s))
					return false;
				continue;
			}
		} else if (!skip_scalar(s)) {
			return false;
		}
		if (!skip_ends(s, bits, &depth))
			return false;
	} while (depth > 0);
	return true;
}

/* Reads a key and says whether it is the step. */
static bool match_key(struct scan *s, const struct json_step *step, bool *ret_match)
{
	const char *start;
	const char *key;
	size_t length;
	unsigned flags;

	scan_space(s);
	if (s->at == s->end || *s->at != '"')
		return scan_fail(s, "looking for beginning of object key string");
	start = ++s->at;
	if (!scan_string(s, &flags))
		return false;
	key = start;
	length = (size_t)(s->at - start);
	if (flags != 0)
		key = scan_decode(s->arena, start, length, flags, &length);
	*ret_match = length == step->length && memcmp(key, step->text, length) == 0;
	s->at++;
	scan_space(s);
	if (s->at == s->end || *s->at != ':')
		return scan_fail(s, "after object key");
	s->at++;
	return true;
}

static bool step_index(const struct json_step *step, uint64_t *ret)
{
	uint64_t u = 0;

	if (step->length == 0 || step->length > 9)
		return false;
	for (uint32_t i = 0; i < step->length; i++) {
		if (step->text[i] < '0' || step->text[i] > '9')
			return false;
		u = u * 10 + (uint64_t)(step->text[i] - '0');
	}
	*ret = u;
	return true;
}

/*
 * Finds the text of the member a step names in the container at s->at, and crosses the whole container. *ret_at is
 * null when there is none. Of equal keys the last counts.
 */
static bool find_member(struct scan *s, const struct json_step *step, uint32_t depth, const char **ret_at,
                        const char **ret_end)
{
	bool is_object = *s->at == '{';
	uint64_t wanted = UINT64_MAX;
	uint64_t index = 0;

	*ret_at = NULL;
	if (!is_object)
		(void)step_index(step, &wanted);
	s->at++;
	scan_space(s);
	if (s->at < s->end && *s->at == (is_object ? '}' : ']')) {
		s->at++;
		return true;
	}
	for (;;) {
		bool match = !is_object && index++ == wanted;
		const char *start;

		if (is_object && !match_key(s, step, &match))
			return false;
		scan_space(s);
		start = s->at;
		if (!skip_value(s, depth))
			return false;
		if (match) {
			*ret_at = start;
			*ret_end = s->at;
		}
		scan_space(s);
		if (s->at < s->end && *s->at == ',') {
			s->at++;
			continue;
		}
		if (s->at == s->end || *s->at != (is_object ? '}' : ']'))
			return scan_fail(s, is_object ? "after object key:value pair" : "after array element");
		s->at++;
		return true;
	}
}

/* The whole document is crossed once; the members on the path are crossed again, each inside the one before. */
bool json_seek(struct arena *a, const char *text, size_t length, const struct json_step *steps, size_t count,
               struct value *ret, const char **ret_error)
{
	const char *at = text;
	const char *end = text + length;
	size_t used;

	*ret = value_null();
	for (size_t i = 0; i <= count; i++) {
		struct scan inner = {.at = at, .end = end, .arena = a};
		bool whole = i == 0;
		bool fine;

		scan_space(&inner);
		if (i == count || inner.at == inner.end || (*inner.at != '{' && *inner.at != '[')) {
			if (i == count)
				break;
			at = NULL;
			fine = !whole || skip_value(&inner, 0);
		} else {
			fine = find_member(&inner, &steps[i], (uint32_t)i + 1, &at, &end);
		}
		if (fine && whole) {
			scan_space(&inner);
			if (inner.at < inner.end)
				fine = scan_fail(&inner, "after top-level value");
		}
		if (!fine) {
			*ret_error = inner.error;
			return false;
		}
		if (at == NULL)
			return true;
	}
	return json_parse_first(a, at, (size_t)(end - at), ret, &used, ret_error);
}
