/* What a decoder makes of a text stays within the limit of its arena, however the text is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "value/json.h"
#include "bloblang/formats/csv.h"
#include "bloblang/formats/logfmt.h"
#include "bloblang/formats/msgpack.h"
#include "bloblang/formats/url.h"
#include "bloblang/formats/xml.h"
#include "bloblang/formats/yaml.h"

enum { TEXT_BYTES = 2 << 20, LIMIT_BYTES = 4 << 20, TAILS_BYTES = 3 << 20 /* ends of blocks */ };

typedef bool decoder(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error);

static bool read_xml(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	return xml_read(a, s, length, true, ret, ret_error);
}

static bool read_csv(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	const struct csv_options options = {.delimiter = ','};

	return csv_parse(a, s, length, &options, ret, ret_error);
}

/* `before`, then `piece` again and again ('#' in it becomes a number), then `after`. */
static char *text_of(const char *before, const char *piece, const char *after, size_t *ret_length)
{
	char *text = malloc(TEXT_BYTES + 256), *at = stpcpy(text, before);

	assert_non_null(text);
	for (unsigned n = 0; at - text < TEXT_BYTES; n++) {
		const char *mark = strchr(piece, '#');

		if (mark)
			at += sprintf(at, "%.*s%u%s", (int)(mark - piece), piece, n, mark + 1);
		else
			at = stpcpy(at, piece);
	}
	at = stpcpy(at, after);
	*ret_length = (size_t)(at - text);
	return text;
}

static void decode(decoder *read, const char *text, size_t length)
{
	const struct arena_limits limits = {
	    .most_bytes = LIMIT_BYTES, .own_bytes = LIMIT_BYTES, .time_ns = 60 * NS_PER_S};
	struct arena a = {0};
	const char *error = NULL;
	struct value v;

	arena_limit(&a, &limits);
	(void)read(&a, text, length, &v, &error);
	if (!a.exceeded)
		fail_msg("%.40s: only %zu bytes held", text, a.held_bytes);
	if (a.held_bytes > LIMIT_BYTES + TAILS_BYTES)
		fail_msg("%.40s: %zu bytes held", text, a.held_bytes);
	assert_int_equal(a.beside_bytes, 0);
	arena_fini(&a);
}

static void texts_stay_in_their_room(void **state)
{
	static const struct {
		decoder *read;
		const char *before, *piece, *after;
	} rows[] = {
	    {url_parse_form, "", "a&", ""},
	    {url_parse_form, "", "%61=+&", ""},
	    {url_parse_form, "", "k#=v&", ""},
	    {url_parse_form, "", "a=1&a=2&", ""},
	    {read_xml, "<x ", "a#=\"\" ", "/>"},
	    {read_xml, "<x ", "a ", "/>"},
	    {read_xml, "<x ", "a='&lt;' ", "></x>"},
	    {read_xml, "<x>", "<b/>", "</x>"},
	    {read_xml, "<x>", "<b>t#</b>", "</x>"},
	    {read_xml, "<x>", "<b a=\"\"/>", "</x>"},
	    {json_parse, "[", "1,", "1]"},
	    {json_parse, "[", "[],", "1]"},
	    {json_parse, "[", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],", "1]"},
	    {json_parse, "{", "\"k#\":1,", "\"k\":1}"},
	    {yaml_read, "", "- a\n", ""},
	    {yaml_read, "[", "a,", "a]"},
	    {yaml_read, "", "k#: \n", ""},
	    {read_csv, "", ",", "\n"},
	    {read_csv, "", ",,\n", ""},
	    {read_csv, "", "\"\"\"\",", "\n"},
	    {logfmt_parse, "", "k#=v ", ""},
	    {logfmt_parse, "", "a=\"\\n\" ", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t length;
		char *text = text_of(rows[i].before, rows[i].piece, rows[i].after, &length);

		decode(rows[i].read, text, length);
		free(text);
	}
}

/* A length may claim as many elements as there are bytes, at each depth anew. */
static void claimed_lengths_stay_in_their_room(void **state)
{
	char *bytes = malloc(TEXT_BYTES);

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 0xc0, TEXT_BYTES);
	memcpy(bytes, "\xdd\x00\x1f\xff\x00", 5);
	decode(msgpack_read, bytes, TEXT_BYTES);
	for (size_t i = 0; i < 900; i++)
		memcpy(bytes + i * 5, "\xdd\x00\x1f\x00\x00", 5);
	decode(msgpack_read, bytes, TEXT_BYTES);
	for (size_t i = 0; i < 900; i++)
		memcpy(bytes + i * 7, "\xdf\x00\x0f\x00\x00\xa1k", 7);
	decode(msgpack_read, bytes, TEXT_BYTES);
	free(bytes);
}

/* Each key and each key of a merge, which moves those behind it, is a step that may be the last. */
static void yaml_stops_in_time(void **state)
{
	enum { KEYS = 40000 };
	const struct arena_limits limits = {.most_bytes = 64 << 20, .own_bytes = 64 << 20, .time_ns = NS_PER_MS};
	char *text = malloc(2 * KEYS * 16 + 64), *at = text;
	struct arena a = {0};
	const char *error;
	struct value v;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < KEYS; i++)
		at += sprintf(at, "z%d: 1\n", i);
	at = stpcpy(at, "<<:\n");
	for (int i = 0; i < KEYS; i++)
		at += sprintf(at, "  a%d: 1\n", i);
	arena_limit(&a, &limits);
	(void)yaml_read(&a, text, (size_t)(at - text), &v, &error);
	assert_true(a.late);
	arena_fini(&a);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_stay_in_their_room),
	    cmocka_unit_test(claimed_lengths_stay_in_their_room),
	    cmocka_unit_test(yaml_stops_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
