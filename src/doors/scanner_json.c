/*
 * scanner_json: JSON documents one behind the other, and the elements of an array.
 *
 * A document ends where its last bracket or quote closes, a number or word where something else begins; it is checked
 * then, as a whole, and is the message as it was written. Between documents stand blanks, between elements commas; no
 * position covers those alone, so that whoever begins behind a message knows what may come.
 *
 * Invariants:
 * 1. In JSON_IN the bytes before `looked` belong to the document at the front; in all other places `looked` is 0.
 * 2. `depth` counts open brackets of that document; the array around it is none of them.
 */
#include <stdio.h>

#include "value/json.h"
#include "doors/scanner_internal.h"

void scanner_json_init(struct scanner *s, bool at_start)
{
	s->json = (struct scanner_json){.in_array = s->kind == SCANNER_JSON_ARRAY};
	s->json.place = !s->json.in_array ? JSON_DUE : at_start ? JSON_OUTSIDE : JSON_NEXT;
}

void scanner_json_rewind(struct scanner *s)
{
	struct scanner_json *j = &s->json;

	if (j->place == JSON_IN)
		j->place = j->before;
	j->depth = 0;
	j->in_string = j->escaped = j->is_word = false;
}

static bool is_blank(char byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

/* What may stand between elements. False: this byte may not. */
static bool step_between(struct scanner_json *j, char byte)
{
	if (byte == '[' && j->place == JSON_OUTSIDE)
		j->place = JSON_FIRST;
	else if (byte == ',' && j->place == JSON_NEXT)
		j->place = JSON_DUE;
	else if (byte == ']' && (j->place == JSON_NEXT || j->place == JSON_FIRST))
		j->place = JSON_OUTSIDE; /* another array may follow */
	else
		return false;
	return true;
}

static enum scanner_event broken(struct scanner *s, const char *flaw, size_t *ret_used)
{
	s->flaw = flaw;
	*ret_used = 0;
	return SCANNER_BROKEN;
}

/* Passes over what is no document. SCANNER_MESSAGE: one begins here. */
static enum scanner_event pass_between(struct scanner *s, const char *data, size_t length, size_t *ret_used)
{
	struct scanner_json *j = &s->json;
	size_t n = 0;

	while (n < length && (is_blank(data[n]) || (j->in_array && step_between(j, data[n]))))
		n++;
	*ret_used = n;
	if (n > 0)
		return SCANNER_BETWEEN;
	if (length == 0)
		return SCANNER_MORE;
	if (j->place == JSON_OUTSIDE)
		return broken(s, "expected opening '[' of an array", ret_used);
	if (j->place == JSON_NEXT)
		return broken(s, "expected ',' or ']' behind an element", ret_used);
	return SCANNER_MESSAGE;
}

/* True when the document ended before this byte; *ret_with: with it. */
static bool step_in(struct scanner_json *j, char byte, bool *ret_with)
{
	*ret_with = false;
	if (j->in_string) {
		if (j->escaped)
			j->escaped = false;
		else if (byte == '\\')
			j->escaped = true;
		else if (byte == '"')
			*ret_with = !(j->in_string = false) && j->depth == 0;
		return *ret_with;
	}
	if (j->is_word)
		return is_blank(byte) || byte == ',' || byte == ']' || byte == '}' || byte == '[' || byte == '{' ||
		       byte == '"';
	if (byte == '"') {
		j->in_string = true;
	} else if (byte == '{' || byte == '[') {
		j->depth++;
	} else if (byte == '}' || byte == ']') {
		*ret_with = j->depth <= 1;
		j->depth -= j->depth > 0;
	} else if (j->depth == 0) {
		j->is_word = true;
	}
	return *ret_with;
}

/* Goes on from `looked`; true with the end of the document there. */
static bool find_end(struct scanner *s, const char *data, size_t length, bool at_end)
{
	while (s->looked < length) {
		bool with;
		const bool ends = step_in(&s->json, data[s->looked], &with);

		s->looked += !ends || with;
		if (ends)
			return true;
	}
	return at_end && s->json.is_word;
}

static bool is_document(struct scanner *s, const char *data, size_t length)
{
	static const struct json_step nowhere = {.text = "", .length = 1}; /* a key "\u0000": nothing is built */
	struct value value;
	const char *error;
	bool is_sound = json_seek(&s->arena, data, length, &nowhere, 1, &value, &error);

	if (!is_sound)
		(void)snprintf(s->flaw_text, sizeof s->flaw_text, "%s", error);
	arena_fini(&s->arena);
	return is_sound;
}

enum scanner_event scanner_json_next(struct scanner *s, const char *data, size_t length, bool at_end, size_t *ret_used,
                                     uint64_t *ret_length)
{
	struct scanner_json *j = &s->json;
	enum scanner_event what;

	if (j->place != JSON_IN) {
		what = pass_between(s, data, length, ret_used);
		if (what != SCANNER_MESSAGE)
			return what;
		j->before = j->place;
		j->place = JSON_IN;
	}
	if (!find_end(s, data, length, at_end)) {
		if (at_end && !s->skipping && length <= s->max_bytes)
			return broken(s, "unexpected EOF", ret_used);
		if (!at_end)
			return scanner_wait(s, data, length, ret_used);
		s->looked = length;
	}
	if (!s->skipping && s->looked <= s->max_bytes && !is_document(s, data, s->looked))
		return broken(s, s->flaw_text, ret_used);
	what = scanner_end(s, data, s->looked, s->looked, ret_used, ret_length);
	scanner_json_rewind(s);
	j->place = j->in_array ? JSON_NEXT : JSON_DUE;
	s->looked = 0;
	return what;
}
