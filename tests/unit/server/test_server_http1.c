/* The request parser: what it takes, each hostile form it must refuse, and the same outcome for any split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "server/http1.h"

enum { MAX_BODY = 1000 };

/* Everything that can be observed, as text, so that two runs can be compared. */
static char *run(const char *bytes, size_t length, size_t piece)
{
	struct http1 p;
	struct buf log;
	size_t at = 0;
	bool over = false;

	http1_init(&p, MAX_BODY);
	buf_init(&log, 1 << 20);
	while (!over) {
		size_t n = length - at < piece ? length - at : piece;
		char *copy = malloc(n ? n : 1);
		size_t used, data_length, left = n, from = 0;
		const char *data;
		enum http1_event event;

		memcpy(copy, bytes + at, n);
		do {
			event = http1_feed(&p, copy + from, left, &used, &data, &data_length);
			from += used;
			left -= used;
			if (event == HTTP1_HEAD) {
				buf_addf(&log, "[%s %s", p.method, p.head.data + p.target);
				for (uint32_t i = 0; i < p.headers; i++)
					buf_addf(&log, "|%s=%s", http1_header_name(&p, i), http1_header_value(&p, i));
				buf_addf(&log, "]");
			} else if (event == HTTP1_DATA) {
				buf_add(&log, data, data_length);
			} else if (event == HTTP1_DONE) {
				buf_addf(&log, "<done%s>", p.close ? " close" : "");
				if (p.close)
					over = true;
				else
					http1_reset(&p);
			} else if (event == HTTP1_BAD) {
				buf_addf(&log, "<%d>", p.status);
				over = true;
			}
		} while (!over && (event != HTTP1_MORE || used > 0));
		free(copy);
		at += n;
		if (at == length)
			over = true;
	}
	http1_fini(&p);
	return buf_take(&log, NULL);
}

static void check_all_splits(const char *bytes, size_t length, const char *expected)
{
	for (size_t piece = length < 400 ? 1 : 97; piece <= length; piece = length < 400 ? piece + 1 : piece * 3) {
		char *got = run(bytes, length, piece);

		assert_string_equal(got, expected);
		free(got);
	}
}

#define H "Host: a\r\n"

static const struct {
	const char *what;
	const char *bytes;
	const char *expected;
} cases[] = {
    {"get", "GET /x?y=1 HTTP/1.1\r\n" H "\r\n", "[GET /x?y=1|Host=a]<done>"},
    {"two pipelined", "GET /a HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n",
     "[GET /a|Host=a]<done>[GET /b|Host=a]<done>"},
    {"length body", "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
     "[POST /p|Host=a|Content-Length=5]hello<done>"},
    {"body then request", "POST /p HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\n" H "\r\n",
     "[POST /p|Host=a|Content-Length=2]hi<done>[GET /|Host=a]<done>"},
    {"empty body", "POST /p HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "[POST /p|Host=a|Content-Length=0]<done>"},
    {"chunked",
     "POST /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
     "[POST /p|Host=a|Transfer-Encoding=chunked]abc0123456789<done>"},
    {"chunked with a harmless trailer",
     "POST /p HTTP/1.1\r\n" H "Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n" H
     "\r\n",
     "[POST /p|Host=a|Transfer-Encoding=CHUNKED]a<done>[GET /|Host=a]<done>"},
    {"close", "GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
     "[GET /|Host=a|Connection=x, Close]<done close>"},
    {"value blanks", "GET / HTTP/1.1\r\n" H "X: \t a b\t \r\n\r\n", "[GET /|Host=a|X=a b]<done>"},
    {"8-bit value", "GET / HTTP/1.1\r\n" H "X: \xc3\xa9\r\n\r\n", "[GET /|Host=a|X=\xc3\xa9]<done>"},
    /* the table of hostile requests */
    {"length and chunked",
     "POST / HTTP/1.1\r\n" H "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
     "<400>"},
    {"chunked and length",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
     "<400>"},
    {"gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\nabc",
     "<501>"},
    {"two codings", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "<400>"},
    {"identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", "<501>"},
    {"coding with vertical tab",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
     "chunked\r\n\r\n",
     "<400>"},
    {"two lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", "<400>"},
    {"the same length twice", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "<400>"},
    {"length list", "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", "<400>"},
    {"length with plus", "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\nabcde", "<400>"},
    {"length with minus", "POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\nabcde", "<400>"},
    {"length in hex", "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\nabcde", "<400>"},
    {"length with leading zero", "POST / HTTP/1.1\r\n" H "Content-Length: 05\r\n\r\nabcde", "<400>"},
    {"empty length", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\nabcde", "<400>"},
    {"huge length", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", "<413>"},
    {"space before the colon", "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\nabc", "<400>"},
    {"bare LF", "GET / HTTP/1.1\n" H "\r\n", "<400>"},
    {"bare LF in headers", "GET / HTTP/1.1\r\nHost: a\n\r\n", "<400>"},
    {"bare LF at the end", "GET / HTTP/1.1\r\n" H "\n", "<400>"},
    {"bare CR", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "<400>"},
    {"obs-fold", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", "<400>"},
    {"fold first", "GET / HTTP/1.1\r\n " H "\r\n", "<400>"},
    {"chunk size 0x3", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk size +3", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk size with space", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\t \r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]abc<done>"},
    {"chunk size with a space inside", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3 3\r\nabc\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk size behind a space", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk size, blanks, extension",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3 \t; x=y\r\nabc\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]abc<done>"},
    {"chunk size, blank, LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3 \nabc\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk size overflow", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<413>"},
    {"chunk size of zeros", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0000000000000000\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk longer than said", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]ab<400>"},
    {"chunk with bare LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"chunk extension with LF", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2;x\nab\r\n0\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", "<400>"},
    {"two Hosts", "GET / HTTP/1.1\r\n" H H "\r\n", "<400>"},
    {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "<400>"},
    {"Authorization in a trailer",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]a<400>"},
    {"Content-Length in a trailer",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]a<400>"},
    {"malformed trailer", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<400>"},
    {"body over the limit", "POST / HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n", "<413>"},
    {"chunks over the limit", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3e9\r\n",
     "[POST /|Host=a|Transfer-Encoding=chunked]<413>"},
    {"POST without a length", "POST / HTTP/1.1\r\n" H "\r\n", "<411>"},
    {"GET with a body", "GET / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", "<400>"},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" H "\r\nGET / HTTP/1.0\r\n\r\n", "[GET /|Host=a]<done close>"},
    {"HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", "[GET /]<done close>"},
    {"HTTP/1.0 with a body", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhiGET",
     "[POST /|Content-Length=2]hi<done close>"},
    {"HTTP/1.0 with a body and no length", "POST / HTTP/1.0\r\n" H "\r\nhi", "<411>"},
    {"HTTP/1.0 in chunks", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "<400>"},
    {"HTTP/1.0 that asks to be kept", "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
     "[GET /|Host=a|Connection=keep-alive]<done close>"},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", "[GET /|Host=a]<done>"},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", "<505>"},
    {"HTTP/0.9", "GET / HTTP/0.9\r\n" H "\r\n", "<505>"},
    {"version of two digits", "GET / HTTP/1.10\r\n" H "\r\n", "<400>"},
    {"version in small letters", "GET / http/1.1\r\n" H "\r\n", "<400>"},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "<400>"},
    {"no version", "GET /\r\n" H "\r\n", "<400>"},
    {"two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"absolute form", "GET http://b:80/x?y HTTP/1.1\r\n" H "\r\n", "[GET /x?y|Host=a]<done>"},
    {"absolute form without a path", "GET HTTPS://b HTTP/1.1\r\n" H "\r\n", "[GET /|Host=a]<done>"},
    {"absolute form with a query alone", "GET http://b?q HTTP/1.1\r\n" H "\r\n", "[GET /?q|Host=a]<done>"},
    {"absolute form without a host", "GET http:///x HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"absolute form with a user", "GET http://u@b/x HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"absolute form, no Host", "GET http://b/ HTTP/1.1\r\n\r\n", "<400>"},
    {"another scheme", "GET ftp://b/ HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"authority form", "GET b:80 HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"asterisk form", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "[OPTIONS *|Host=a]<done>"},
    {"asterisk form of others", "GET * HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"OPTIONS of HAProxy", "OPTIONS / HTTP/1.0\r\n\r\n", "[OPTIONS /]<done close>"},
    {"what browsers send", "GET /a|b^c`d{e}[f]'\\?g|{h}`^\\[] HTTP/1.1\r\n" H "\r\n",
     "[GET /a|b^c`d{e}[f]'\\?g|{h}`^\\[]|Host=a]<done>"},
    {"what browsers never send", "GET /a\"b HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"angle brackets", "GET /?<x> HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"a fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"8-bit target", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"CONNECT", "CONNECT /a HTTP/1.1\r\n" H "\r\n", "<501>"},
    {"broken escape", "GET /%zz HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"broken escape in a query", "GET /a%41?b=50%&c=%zz&%4 HTTP/1.1\r\n" H "\r\n",
     "[GET /a%41?b=50%&c=%zz&%4|Host=a]<done>"},
    {"NUL escape in a query", "GET /?a=%00 HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"NUL escape", "GET /%00 HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"empty line first", "\r\nGET / HTTP/1.1\r\n" H "\r\n\r\n\r\nGET /b HTTP/1.1\r\n" H "\r\n",
     "[GET /|Host=a]<done>[GET /b|Host=a]<done>"},
    {"too many empty lines", "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"bare LF first", "\nGET / HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"blank line of blanks", " \r\nGET / HTTP/1.1\r\n" H "\r\n", "<400>"},
    {"unknown expectation", "POST / HTTP/1.1\r\n" H "Expect: magic\r\nContent-Length: 1\r\n\r\na", "<417>"},
    {"control in a value", "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", "<400>"},
    {"empty name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", "<400>"},
    {"name with a bracket", "GET / HTTP/1.1\r\n" H "X[: a\r\n\r\n", "<400>"},
};

static void each_case_in_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		print_message("%s\n", cases[i].what);
		check_all_splits(cases[i].bytes, strlen(cases[i].bytes), cases[i].expected);
	}
}

/* Of two that decide, a proxy before us may have judged the other: each name, in each place, with each pair of values.
 */
static void a_header_that_decides_comes_once(void **state)
{
	static const struct {
		const char *name, *one, *other;
		bool once;
	} names[] = {
	    {"Host", "a", "b", true},
	    {"Origin", "http://localhost", "https://evil.example", true},
	    {"Sec-Fetch-Site", "same-origin", "cross-site", true},
	    {"Authorization", "Bearer a", "Bearer b", true},
	    {"Content-Length", "1", "2", true},
	    {"Transfer-Encoding", "chunked", "identity", true},
	    {"Content-Type", "text/plain", "application/x-ndjson", true},
	    {"Expect", "100-continue", "100-continue", true},
	    {"Content-Encoding", "gzip", "identity", false}, /* a list */
	    {"Connection", "keep-alive", "x", false},
	    {"Accept", "a", "b", false},
	};
	static const char *const between[] = {"", "X: 1\r\n", "X: 1\r\nY: 2\r\nZ: 3\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *host = strcmp(names[i].name, "Host") == 0 ? "" : H;
		const bool frames = strstr(names[i].one, "chunked") || strcmp(names[i].name, "Content-Length") == 0;

		for (unsigned form = 0; form < 12;
		     form++) { /* the same twice or another one, in small letters or not */
			const char *then = form & 1 ? names[i].other : names[i].one;
			char bytes[512], small[32] = "", *got;

			for (size_t c = 0; names[i].name[c]; c++)
				small[c] = (char)(names[i].name[c] | (form & 2 ? 32 : 0)); /* '-' has the bit already */
			(void)snprintf(bytes, sizeof bytes, "POST / HTTP/1.1\r\n%s%s%s: %s\r\n%s%s: %s\r\n\r\nx", host,
			               frames ? "" : "Content-Length: 1\r\n", names[i].name, names[i].one,
			               between[form / 4], small, then);
			got = run(bytes, strlen(bytes), strlen(bytes));
			if (names[i].once ? strcmp(got, "<400>") != 0 : !strstr(got, "]x<done"))
				fail_msg("%s: %s", bytes, got);
			free(got);
		}
	}
}

static void nul_bytes_are_refused(void **state)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";

	(void)state;
	check_all_splits(bytes, sizeof bytes - 1, "<400>");
}

static void heads_are_bounded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_addf(&b, "GET / HTTP/1.1\r\n" H);
	for (int i = 0; i < 63; i++)
		buf_addf(&b, "X-%d: a\r\n", i);
	buf_addf(&b, "\r\n");
	char *got = run(b.data, b.len, b.len);
	assert_non_null(strstr(got, "X-62=a]<done>"));
	free(got);
	b.len -= 2;
	buf_addf(&b, "X-63: a\r\n\r\n");
	check_all_splits(b.data, b.len, "<431>");
	buf_clear(&b);
	buf_addf(&b, "GET / HTTP/1.1\r\n" H "X: ");
	while (b.len < 20000)
		buf_addf(&b, "aaaaaaaaaaaaaaaa");
	buf_addf(&b, "\r\n\r\n");
	check_all_splits(b.data, b.len, "<431>");
	buf_clear(&b);
	buf_addf(&b, "GET /");
	while (b.len < 40000)
		buf_addf(&b, "b");
	check_all_splits(b.data, b.len, "<431>");
	buf_fini(&b);
}

static void chunk_extensions_are_bounded(void **state)
{
	struct buf b;
	char *got;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_addf(&b, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 30; i++) {
		buf_addf(&b, "1;");
		for (int n = 0; n < 200; n++)
			buf_add_char(&b, 'x');
		buf_addf(&b, "\r\na\r\n");
	}
	got = run(b.data, b.len, b.len);
	assert_non_null(strstr(got, "<400>"));
	free(got);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_case_in_every_split),     cmocka_unit_test(a_header_that_decides_comes_once),
	    cmocka_unit_test(nul_bytes_are_refused),        cmocka_unit_test(heads_are_bounded),
	    cmocka_unit_test(chunk_extensions_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
