/* What cuts bytes into messages: scanner, frames, multipart. Same outcome for any split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "server/multipart.h"
#include "doors/frame.h"
#include "doors/scanner.h"

enum { MAX = 8 };

static char *run_scanner(const struct config_scanner *config, const char *bytes, size_t length, size_t piece)
{
	struct scanner s;
	struct buf log, held;
	size_t at = 0;
	bool at_end = false;

	scanner_init(&s, config, NULL, MAX, true);
	buf_init(&log, 1 << 20);
	buf_init(&held, 1 << 20);
	while (!at_end) {
		size_t n = length - at < piece ? length - at : piece;
		enum scanner_event what;

		buf_add(&held, bytes + at, n);
		at += n;
		at_end = at == length;
		do {
			size_t used;
			uint64_t body;

			what = scanner_next(&s, held.data ? held.data : "", held.len, at_end, &used, &body);
			if (what == SCANNER_MESSAGE) {
				buf_add_text(&log, "(");
				buf_add(&log, held.data, body);
				buf_add_text(&log, ")");
			} else if (what == SCANNER_TOO_LONG) {
				buf_addf(&log, "!%u:", (unsigned)body);
				buf_add(&log, s.head.data, body);
			}
			buf_consume(&held, used);
		} while (what != SCANNER_MORE);
	}
	scanner_fini(&s);
	buf_fini(&held);
	return buf_take(&log, NULL);
}

static void scanner_cases(void **state)
{
	struct config_scanner lines = {.kind = SCANNER_LINES};
	struct config_scanner omit = {.kind = SCANNER_LINES, .lines.omit_empty = true};
	char delimiter[] = "--x";
	struct config_scanner custom = {.kind = SCANNER_LINES, .lines.custom_delimiter = delimiter};
	struct config_scanner whole = {.kind = SCANNER_TO_THE_END};
	struct config_scanner chunks = {.kind = SCANNER_CHUNKER, .chunker.size_bytes = 3};
	const struct {
		const struct config_scanner *config;
		const char *bytes;
		const char *expected;
	} cases[] = {
	    {&lines, "a\nbb\nccc", "(a)(bb)(ccc)"},
	    {&lines, "a\n", "(a)"},
	    {&lines, "", ""},
	    {&lines, "\n\n", "()()"},
	    {&lines, "a\r\nb\r\r\n\rc\r", "(a)(b\r)(\rc)"},
	    {&lines, "12345678\n123456789\n1\n", "(12345678)!9:123456789(1)"},
	    {&lines, "12345678\r\n12345678\r", "(12345678)(12345678)"},
	    {&lines, "123456789\r\nx", "!9:123456789(x)"},
	    {&lines, "12345678901234567890\nx\n12345678901", "!20:12345678901234567890(x)!11:12345678901"},
	    {&lines, "12345678901234567890\r", "!20:12345678901234567890"},
	    {&omit, "\na\n\r\n\nb", "(a)(b)"},
	    {&custom, "a--xb\r--x--xc--", "(a)(b\r)()(c--)"},
	    {&custom, "12345678--x1234567----x123456789--xa", "(12345678)!9:1234567--!9:123456789(a)"},
	    {&whole, "ab\ncd", "(ab\ncd)"},
	    {&whole, "", ""},
	    {&whole, "123456789", "!9:123456789"},
	    {&chunks, "abcdefgh", "(abc)(def)(gh)"},
	    {&chunks, "abc", "(abc)"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t length = strlen(cases[i].bytes);

		for (size_t piece = 1; piece <= length + 1; piece++) {
			char *got = run_scanner(cases[i].config, cases[i].bytes, length, piece);

			assert_string_equal(got, cases[i].expected);
			free(got);
		}
	}
}

static void a_delimiter_split_behind_a_long_message(void **state)
{
	char delimiter[] = "--x";
	struct config_scanner custom = {.kind = SCANNER_LINES, .lines.custom_delimiter = delimiter};

	(void)state;
	for (size_t piece = 1; piece < 30; piece++) {
		char *got = run_scanner(&custom, "12345678901234-----xa", 21, piece);

		assert_string_equal(got, "!17:12345678901234---(a)");
		free(got);
	}
}

static char *run_frames(const char *bytes, size_t length, size_t piece)
{
	struct frame_reader r;
	struct buf log;

	frame_reader_init(&r, MAX);
	buf_init(&log, 1 << 16);
	for (size_t at = 0; at < length; at += piece) {
		size_t n = length - at < piece ? length - at : piece;
		char *copy = malloc(n);
		size_t from = 0;

		memcpy(copy, bytes + at, n);
		while (from < n) {
			const char *payload;
			uint32_t payload_length;
			size_t used;
			enum frame_event event =
			    frame_read(&r, copy + from, n - from, &used, &payload, &payload_length);

			if (event == FRAME_WHOLE) {
				buf_add_text(&log, "(");
				buf_add(&log, payload, payload_length);
				buf_add_text(&log, ")");
			} else if (event == FRAME_TOO_LONG) {
				buf_addf(&log, "!%u", payload_length);
			}
			from += used;
			assert_true(frame_reader_held(&r) <= MAX);
		}
		free(copy);
	}
	if (frame_reader_is_partial(&r))
		buf_add_text(&log, "...");
	frame_reader_fini(&r);
	return buf_take(&log, NULL);
}

static void frames_in_any_split(void **state)
{
	static const char bytes[] = "\0\0\0\3abc\0\0\0\0\0\0\0\10"
	                            "12345678\0\0\0\11"
	                            "123456789\0\0\0\1z\0\0\0\5ab";

	(void)state;
	for (size_t piece = 1; piece <= sizeof bytes; piece++) {
		char *got = run_frames(bytes, sizeof bytes - 1, piece);

		assert_string_equal(got, "(abc)()(12345678)!9(z)...");
		free(got);
	}
}

static void answers_go_round(void **state)
{
	struct buf out;
	enum frame_status status;
	const char *text;
	size_t length;
	unsigned char header[FRAME_HEADER_BYTES];

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(frame_answer_encode(&out, FRAME_ACCEPTED, NULL), ERR_OK);
	assert_int_equal(frame_answer_encode(&out, FRAME_FULL, "later"), ERR_OK);
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(frame_answer_decode(out.data, n, &status, &text, &length), 0);
	assert_int_equal(frame_answer_decode(out.data, out.len, &status, &text, &length), 5);
	assert_int_equal(status, FRAME_ACCEPTED);
	for (size_t n = 0; n < 10; n++)
		assert_int_equal(frame_answer_decode(out.data + 5, n, &status, &text, &length), 0);
	assert_int_equal(frame_answer_decode(out.data + 5, 10, &status, &text, &length), 10);
	assert_int_equal(status, FRAME_FULL);
	assert_memory_equal(text, "later", 5);
	assert_int_equal(frame_answer_decode("\7", 1, &status, &text, &length), -1);
	assert_int_equal(frame_answer_decode("\1\377\0\0\0", 5, &status, &text, &length), -1);
	frame_header_encode(0x01020304, header);
	assert_memory_equal(header, "\1\2\3\4", 4);
	buf_fini(&out);
}

static void multipart_cases(void **state)
{
	static const struct {
		const char *body;
		const char *expected;
	} cases[] = {
	    {"--b\r\n\r\none\r\n--b\r\nA: x\r\n\r\ntwo\r\n\r\n--b--\r\n", "(one)(two\r\n)."},
	    {"preamble\r\n--b\r\n\r\n\r\n--b--", "()."},
	    {"--b \t\r\nX: y\r\n\r\n--bx\r\n--b--\r\nepilogue", "(--bx)."},
	    {"--b\r\nA: x\r\n\r\nno end", "?"},
	    {"--b\r\n\r\none\r\n--b\r\nA: x\r\n\r\ntwo", "(one)?"},
	    {"--b--\r\n", "."},
	    {"nothing", "?"},
	    {"", "?"},
	    {"--b\r\nA: x\r\n--b\r\n\r\ny\r\n--b--", "?"},
	    {"--b\n\nx\n--b--", "?"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct multipart m;
		struct buf log;
		enum multipart_event event;
		const char *part;
		size_t length;

		buf_init(&log, 4096);
		multipart_init(&m, "b", cases[i].body, strlen(cases[i].body));
		while ((event = multipart_next(&m, &part, &length)) == MULTIPART_PART) {
			buf_add_text(&log, "(");
			buf_add(&log, part, length);
			buf_add_text(&log, ")");
		}
		buf_add_text(&log, event == MULTIPART_END ? "." : "?");
		assert_string_equal(log.data, cases[i].expected);
		buf_fini(&log);
	}
}

static void boundaries(void **state)
{
	static const struct {
		const char *type;
		const char *boundary; /* null: none */
	} cases[] = {
	    {"multipart/form-data; boundary=abc", "abc"},
	    {"multipart/mixed; charset=x; Boundary=\"a b\"; y=z", "a b"},
	    {"Multipart/Mixed;boundary=a;b=c", "a"},
	    {"multipart/mixed", NULL},
	    {"multipart/mixed; boundary=", NULL},
	    {"multipart/mixed; boundary=\"a", NULL},
	    {"multipart/mixed; boundary=a\"b", NULL},
	    {"text/plain; boundary=a", NULL},
	    {"multipart/mixed; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", NULL},
	};
	char got[MULTIPART_BOUNDARY_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool ok = multipart_boundary(cases[i].type, got);

		assert_int_equal(ok, cases[i].boundary != NULL);
		if (ok)
			assert_string_equal(got, cases[i].boundary);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scanner_cases),       cmocka_unit_test(a_delimiter_split_behind_a_long_message),
	    cmocka_unit_test(frames_in_any_split), cmocka_unit_test(answers_go_round),
	    cmocka_unit_test(multipart_cases),     cmocka_unit_test(boundaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
