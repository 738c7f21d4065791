/*
 * One pass over a whole document to the value at a path, building nothing on the way.
 *
 * Invariants:
 * 1. on_path <= count, and on_path <= depth: the first on_path open containers lie on the way to what is sought.
 * 2. Keys are compared and elements counted only in the innermost container on the way.
 * 3. Bit i of is_object says what the open container i is, and nothing about containers that are closed.
 * 4. found_end is set when found is and its container has gone on; of equal keys the last found counts.
 */
#include "value/json.h"

#include "base/check.h"
#include "value/json_scan.h"

/*
 * The seeker crosses and validates the whole document in one pass, building nothing, with one bit a level saying
 * whether the container is an object. Of the open containers the first `on_path` lie on the way to what is sought:
 * only in the innermost of these are keys compared and elements counted. Of equal keys the last one counts.
 */
struct seeker {
	struct json_scan scan;
	const struct json_step *steps;
	size_t count;
	size_t on_path; /* containers entered on the way; at most count */
	uint32_t depth;
	bool trails;       /* something follows the document */
	bool leads;        /* the value that comes next is sought, or on the way */
	const char *found; /* text of what is sought; null: not (yet) there */
	const char *found_end;
	uint64_t *indexes; /* of on-path arrays: elements begun so far */
	uint64_t is_object[JSON_DEPTH_MAX / 64 + 1];
};

/* All the token functions return where the token ends; null when it is wrong, with the error set. */
static const char *wrong(struct seeker *k, const char *p, const char *context)
{
	k->scan.at = p;
	(void)scan_fail(&k->scan, context);
	return NULL;
}

static inline const char *space(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

static const char *slow_string(struct seeker *k, const char *p, unsigned *flags)
{
	k->scan.at = p;
	return scan_string_rest(&k->scan, flags) ? k->scan.at + 1 : NULL;
}

/* p on the opening quote. */
static inline const char *string(struct seeker *k, const char *p, unsigned *flags)
{
	*flags = 0;
	p = scan_run(p + 1, k->scan.end, true);
	if (__builtin_expect(p < k->scan.end && *p == '"', 1))
		return p + 1;
	return slow_string(k, p, flags);
}

static const char *number_or_word(struct seeker *k, const char *p)
{
	struct json_scan *s = &k->scan;
	bool fine;

	s->at = p;
	switch (*p) {
	case 't':
		fine = scan_word(s, "true", 4);
		break;
	case 'f':
		fine = scan_word(s, "false", 5);
		break;
	case 'n':
		fine = scan_word(s, "null", 4);
		break;
	default:
		if (*p != '-' && (*p < '0' || *p > '9'))
			return wrong(k, p, "looking for beginning of value");
		fine = scan_number(s);
	}
	return fine ? s->at : NULL;
}

static bool key_is(struct seeker *k, const char *text, size_t length, unsigned flags, const struct json_step *step)
{
	if (flags != 0)
		text = scan_decode(k->scan.arena, text, length, flags, &length);
	return length == step->length && memcmp(text, step->text, length) == 0;
}

/* Another member of the innermost on-path container is the one of the path: what was found before does not count. */
static void follow(struct seeker *k)
{
	k->leads = true;
	k->found = NULL;
}

/* p where a key must be; returns the position after the colon. */
static inline const char *key(struct seeker *k, const char *p)
{
	const char *end = k->scan.end;
	const char *start;
	unsigned flags;

	p = space(p, end);
	if (p == end || *p != '"')
		return wrong(k, p, "looking for beginning of object key string");
	start = p + 1;
	p = string(k, p, &flags);
	if (!p)
		return NULL;
	if (k->depth == k->on_path && k->depth <= k->count &&
	    key_is(k, start, (size_t)(p - 1 - start), flags, &k->steps[k->depth - 1]))
		follow(k);
	if (__builtin_expect(p < end && *p == ':', 1))
		return p + 1;
	p = space(p, end);
	return p < end && *p == ':' ? p + 1 : wrong(k, p, "after object key");
}

static bool step_index(const struct json_step *step, uint64_t *ret)
{
	uint64_t u = 0;

	if (step->length == 0 || step->length > 9)
		return false;
	for (uint32_t i = step->length > 1 && step->text[0] == '+' ? 1 : 0; i < step->length; i++) {
		if (step->text[i] < '0' || step->text[i] > '9')
			return false;
		u = u * 10 + (uint64_t)(step->text[i] - '0');
	}
	*ret = u;
	return true;
}

/* An element of an array begins. */
static inline void element(struct seeker *k)
{
	uint64_t wanted;

	if (k->depth == k->on_path && step_index(&k->steps[k->depth - 1], &wanted) &&
	    k->indexes[k->depth - 1]++ == wanted)
		follow(k);
}

static inline bool innermost_is_object(const struct seeker *k)
{
	return k->is_object[(k->depth - 1) / 64] >> ((k->depth - 1) % 64) & 1;
}

static bool enter(struct seeker *k, bool is_object)
{
	uint64_t bit = UINT64_C(1) << (k->depth % 64);
	uint64_t *word = &k->is_object[k->depth / 64];

	must(k->on_path <= k->count && k->on_path <= k->depth);
	if (k->depth >= JSON_DEPTH_MAX) {
		k->scan.error = "exceeded max depth";
		return false;
	}
	*word = is_object ? *word | bit : *word & ~bit;
	if (k->leads && k->on_path == k->depth && k->on_path < k->count) {
		k->indexes[k->on_path++] = 0;
		k->leads = false;
	}
	k->depth++;
	return true;
}

static void leave(struct seeker *k)
{
	if (k->on_path == k->depth)
		k->on_path--;
	k->depth--;
}

/* After a value: closes what ends here; returns where the next value begins, or the end of the document. */
static inline const char *after_value(struct seeker *k, const char *p, uint32_t target_depth)
{
	const char *end = k->scan.end;

	while (k->depth > 0) {
		bool in_object = innermost_is_object(k);

		if (k->found && !k->found_end && k->depth == target_depth)
			k->found_end = p;
		p = space(p, end);
		if (p < end && *p == ',') {
			if (in_object)
				return key(k, p + 1);
			element(k);
			return p + 1;
		}
		if (p == end || *p != (in_object ? '}' : ']'))
			return wrong(k, p, in_object ? "after object key:value pair" : "after array element");
		p++;
		leave(k);
	}
	return p;
}

/* p on '{' or '['; returns where its first value begins; or its end, when it is empty (*ret_empty). */
static const char *open_container(struct seeker *k, const char *p, bool *ret_empty)
{
	bool is_object = *p == '{';

	if (!enter(k, is_object))
		return NULL;
	p = space(p + 1, k->scan.end);
	*ret_empty = p < k->scan.end && *p == (is_object ? '}' : ']');
	if (*ret_empty) {
		leave(k);
		return p + 1;
	}
	if (is_object)
		return key(k, p);
	element(k);
	return p;
}

static bool cross(struct seeker *k, const char *p)
{
	const char *end = k->scan.end;
	uint32_t target_depth = (uint32_t)k->count;

	do {
		unsigned flags;
		bool more = false;

		p = space(p, end);
		if (p == end)
			return wrong(k, p, "");
		if (k->leads && k->on_path == k->count) {
			k->found = p;
			k->found_end = NULL;
			k->leads = false;
		}
		if (*p == '"') {
			p = string(k, p, &flags);
		} else if (*p == '{' || *p == '[') {
			p = open_container(k, p, &more);
			more = !more;
		} else {
			const char *q = scan_plain_number(p, end);

			p = q ? q : number_or_word(k, p);
		}
		if (!p)
			return false;
		k->leads = k->leads && more;
		if (more)
			continue;
		p = after_value(k, p, target_depth);
		if (!p)
			return false;
	} while (k->depth > 0);
	p = space(p, end);
	k->trails = p != end;
	return !k->trails;
}

bool json_seek(struct arena *a, const char *text, size_t length, const struct json_step *steps, size_t count,
               struct value *ret, const char **ret_error)
{
	enum { SMALL = 16 };
	uint64_t small[SMALL];
	struct seeker k;
	size_t used;

	k.scan = (struct json_scan){.at = text, .end = text + length, .arena = a};
	k.steps = steps;
	k.count = count;
	k.on_path = 0;
	k.depth = 0;
	k.leads = true;
	k.trails = false;
	k.found = NULL;
	k.found_end = NULL;
	k.indexes = count <= SMALL ? small : arena_alloc(a, count * sizeof *k.indexes);
	*ret = value_null();
	if (!cross(&k, text)) {
		/* More than one document: the rare case is told by who knows them. */
		if (k.trails)
			return json_parse(a, text, length, ret, ret_error);
		*ret_error = k.scan.error;
		return false;
	}
	if (!k.found)
		return true;
	return json_parse_first(a, k.found, (size_t)(k.found_end - k.found), ret, &used, ret_error);
}
