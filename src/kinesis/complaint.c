#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/dates.h"
#include "kinesis/answer.h"
#include "kinesis/cursor.h"

/*
 * Some services answer a signature that does not fit with the request they signed, token and signature included: the
 * text ends where that begins.
 */
static void hide_request(char *text)
{
	static const char *const beginnings[] = {"The Canonical String", "Canonical string",    "The String-to-Sign",
	                                         "String-to-Sign",       "AWS4-HMAC-SHA256",    "X-Amz-Security-Token",
	                                         "Authorization:",       "Authorization header"};

	for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
		char *at = strcasestr(text, beginnings[i]);

		if (at)
			(void)memcpy(at, "...", strnlen(at, 3));
		if (at && strlen(at) > 3)
			at[3] = '\0';
	}
}

/* Cuts to the room there is and leaves printable ASCII; what comes from outside goes to logs and status. */
static void copy_printable(char *out, size_t room, const char *data, size_t length)
{
	size_t n = length < room - 1 ? length : room - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '?';
	out[n] = '\0';
	hide_request(out);
	error_redact(out);
}

/* "com.amazonaws.kinesis#Code" and "Code:http://..." both mean Code. */
static void copy_code(char *out, size_t room, const char *data, size_t length)
{
	const char *hash = memchr(data, '#', length), *colon;

	if (hash) {
		length -= (size_t)(hash + 1 - data);
		data = hash + 1;
	}
	colon = memchr(data, ':', length);
	copy_printable(out, room, data, colon ? (size_t)(colon - data) : length);
}

static bool read_complaint(struct cursor *r, struct complaint *c)
{
	struct cursor_scope map;
	struct cursor_text key, value;

	if (!cursor_map(r, &map))
		return false;
	while (cursor_more(r, &map)) {
		bool is_code, is_text;

		if (!cursor_key(r, &key))
			return false;
		is_code = cursor_text_is(&key, "__type") || cursor_text_is(&key, "code");
		is_text = cursor_text_is(&key, "message") || cursor_text_is(&key, "Message");
		if ((!is_code && !is_text) || !cursor_at_text(r)) {
			if (!cursor_skip(r))
				return false;
			continue;
		}
		if (!cursor_text_value(r, &value))
			return false;
		if (!value.data)
			continue;
		if (is_code && !c->code[0])
			copy_code(c->code, sizeof c->code, value.data, value.length);
		else if (is_text && !c->text[0]) {
			copy_printable(c->text, sizeof c->text, value.data, value.length);
			c->position_count =
			    (uint32_t)complaint_positions(value.data, value.length, c->positions, COMPLAINT_POSITIONS);
		}
	}
	return !r->wrong && cursor_at_end(r);
}

void complaint_read(const void *body, size_t bytes, const char *header_code, struct complaint *ret)
{
	struct cursor r;

	memset(ret, 0, sizeof *ret);
	cursor_init(&r, cursor_sniff(body, bytes), body, bytes);
	if (!read_complaint(&r, ret))
		memset(ret, 0, sizeof *ret); /* half an answer is no answer */
	cursor_fini(&r);
	if (!ret->code[0] && header_code)
		copy_code(ret->code, sizeof ret->code, header_code, strlen(header_code));
}

void complaint_copy(const char *code, const char *text, struct complaint *ret)
{
	memset(ret, 0, sizeof *ret);
	copy_code(ret->code, sizeof ret->code, code, strlen(code));
	copy_printable(ret->text, sizeof ret->text, text, strlen(text));
}

static bool begins(const char *at, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - at) >= n && strncasecmp(at, word, n) == 0;
}

/* The number after "records" as messages of AWS' services spell it; null: there is none. */
static const char *read_position(const char *at, const char *end, uint32_t *ret)
{
	static const char *const before[] = {".member.", ".", "["};
	uint32_t n = 0;
	int digits = 0;

	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		if (begins(at, end, before[i])) {
			at += strlen(before[i]);
			break;
		}
	for (; at < end && *at >= '0' && *at <= '9' && digits < 6; digits++)
		n = n * 10 + (uint32_t)(*at++ - '0');
	*ret = n;
	return digits > 0 && at < end && strchr(".]' :,", *at) ? at : NULL;
}

size_t complaint_positions(const char *text, size_t length, uint32_t *ret, size_t most)
{
	static const char word[] = "records";
	const char *end = text + length;
	size_t found = 0;

	while (text < end && found < most) {
		const char *behind = begins(text, end, word) ? text + sizeof word - 1 : NULL;

		if (behind && behind < end && (*behind == '.' || *behind == '['))
			behind = read_position(behind, end, &ret[found]);
		else
			behind = NULL;
		found += behind != NULL;
		text = behind ? behind : text + 1;
	}
	return found;
}

bool complaint_server_time(const char *text, int64_t *ret_wall_ms)
{
	const char *bracket = strstr(text, "Signature ");
	char stamp[DATES_AMZ_BYTES];

	if (bracket)
		bracket = strchr(bracket, '(');
	if (!bracket)
		return false;
	(void)snprintf(stamp, sizeof stamp, "%s", bracket + 1);
	return dates_parse_amz(stamp, ret_wall_ms);
}
