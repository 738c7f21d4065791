/* What a stranger wrote: a log line that nobody forges, and secrets that no text shows, in whatever form they come
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/jsonout.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

static const char SECRET[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY==";
static const char TOKEN[] =
    "IQoJb3JpZ2luX2VjEAEaCXVzLWVhc3QtMSJHMEUCIQDcanary/+AND0123456789abcdefghijklmnopqrstuvwxyzTHEEND";

static char *percent(const char *text, bool upper)
{
	char *out = mem_zero(3 * strlen(text) + 1), *end = out;

	for (; *text; text++)
		if (strchr("/+=", *text))
			end += sprintf(end, upper ? "%%%02X" : "%%%02x", (unsigned)*text);
		else
			*end++ = *text;
	return out;
}

static char *escaped(const char *text)
{
	char *out = mem_zero(2 * strlen(text) + 1), *end = out;

	for (; *text; text++) {
		if (*text == '/')
			*end++ = '\\';
		*end++ = *text;
	}
	return out;
}

/* In base64, behind so many other bytes and before some more. */
static char *base64(const char *text, size_t before, enum base64_form form)
{
	char *plain = mem_format("%.*s%s, and so on", (int)before, "Bearer: X", text);
	size_t n = strlen(plain);
	char *out = mem_zero(base64_length(form, n) + 1);

	base64_encode(form, plain, n, out);
	free(plain);
	return out;
}

/* The text holds no piece of 12 characters of what must not be shown. */
static void assert_hidden(const char *text, const char *form)
{
	char piece[13] = "";

	for (size_t at = 4; at + 16 <= strlen(form); at++) {
		memcpy(piece, form + at, 12);
		assert_null(strstr(text, piece));
	}
}

static void check_form(char *form)
{
	struct error e;
	char *text;

	(void)error_set(&e, ERR_NETWORK, "the service said: no (%s); go away", form);
	assert_hidden(e.text, form);
	assert_non_null(strstr(e.text, "***"));
	assert_non_null(strstr(e.text, "the service said: no ("));
	assert_non_null(strstr(e.text, "); go away"));
	(void)error_wrap(&e, "context %s", form);
	assert_hidden(e.text, form);
	text = mem_format("%s", form); /* nothing but it */
	error_redact(text);
	assert_hidden(text, form);
	free(text);
	free(form);
}

static void a_secret_is_hidden_in_every_form(void **state)
{
	static const char *const secrets[] = {SECRET, TOKEN, "TOKENCANARY-0123456789", "exactly12chr"};

	(void)state;
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		const char *s = secrets[i];

		error_secret_add(s);
		check_form(mem_string(s));
		if (strlen(s) >= 22)
			for (size_t before = 0; before < 7; before++) {
				check_form(base64(s, before, BASE64_STANDARD));
				check_form(base64(s, before, BASE64_URL_BARE));
			}
		check_form(percent(s, true));
		check_form(percent(s, false));
		check_form(escaped(s));
		error_secret_remove(s);
	}
}

static void other_texts_stay_as_they_are(void **state)
{
	static const char *const texts[] = {"",
	                                    "a",
	                                    "eleven char",
	                                    "Failed to connect to kinesis.us-east-1.amazonaws.com",
	                                    "wJalrXUtnFE",
	                                    "the access key AKIDEXAMPLE0123456789 is not known"};

	(void)state;
	error_secret_add(SECRET);
	error_secret_add("short");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *copy = mem_string(texts[i]);

		error_redact(copy);
		assert_string_equal(copy, texts[i]);
		free(copy);
	}
	error_secret_remove(SECRET);
	error_secret_remove("short");
}

static void keys_that_come_and_go_leave_nothing(void **state)
{
	char text[sizeof SECRET];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		char secret[40];

		(void)snprintf(secret, sizeof secret, "secret-number-%08d-of-many", i);
		error_secret_add(secret);
		error_secret_add(secret); /* two holders of it */
		error_secret_remove(secret);
		memcpy(text, secret, sizeof secret);
		error_redact(text);
		assert_string_equal(text, "***");
		error_secret_remove(secret);
		memcpy(text, secret, sizeof secret);
		error_redact(text);
		assert_string_equal(text, secret);
	}
}

/* One line as it is written. */
static char *line_of(enum log_format format, const char *message, const struct log_field *fields)
{
	static const char *const fixed[] = {"@service", "kspool", NULL};
	struct log_options options = {.level = LOG_INFO, .format = format, .static_fields = fixed};
	static char text[20000];
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	options.fd = fds[1];
	log_configure(&options);
	log_write(LOG_INFO, message, 0, fields);
	n = read(fds[0], text, sizeof text - 1);
	assert_true(n > 0);
	text[n] = '\0';
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_true(n <= 8192 && text[n - 1] == '\n' && strchr(text, '\n') == text + n - 1);
	for (const char *p = text; p < text + n - 1;) {
		uint32_t rune;
		bool valid;

		p += utf8_decode(p, text + n - 1, &rune, &valid);
		assert_true(valid && utf8_is_shown(rune));
	}
	return text;
}

static void nobody_forges_a_log_line(void **state)
{
	static const char *const evil[] = {"x\nlevel=FATAL time=2026-11-26T00:00:00Z msg=\"journal condemned\"",
	                                   "k\x1b[2J\x1b]0;P\a",
	                                   "a b",
	                                   "a=b",
	                                   "\"",
	                                   "",
	                                   "\xc2\x9b"
	                                   "31m",
	                                   "\xe2\x80\xae"
	                                   "reversed",
	                                   "\xff\xfe",
	                                   "\x7f",
	                                   "level",
	                                   "time",
	                                   "msg",
	                                   "@service",
	                                   "error",
	                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	(void)state;
	for (size_t i = 0; i < sizeof evil / sizeof *evil; i++)
		for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
			const struct log_field fields[] = {
			    LOG_S(evil[i], "value"), LOG_S("key", evil[i]), LOG_U(evil[i], 7), {.kind = LOG_END}};
			const char *line = line_of((enum log_format)format, evil[i], fields);
			const char *level = format == LOG_FORMAT_JSON ? "\"level\":" : "level=";
			const char *first = strstr(line, level);

			assert_non_null(first);
			for (const char *p = strstr(first + 1, level); p; p = strstr(p + 1, level))
				assert_true(format == LOG_FORMAT_LOGFMT &&
				            (p[-1] == '_' || p[-1] == 'n')); /* "\\nlevel=" in quotes */
		}
}

static void a_line_that_is_too_long_loses_whole_fields(void **state)
{
	static char large[20000];

	(void)state;
	memset(large, '\x01', sizeof large - 1); /* each becomes six characters */
	for (size_t n = 1000; n < 19000; n += 977)
		for (int format = LOG_FORMAT_LOGFMT; format <= LOG_FORMAT_JSON; format++) {
			char *value = mem_string_n(large, n);
			const struct log_field fields[] = {
			    LOG_S("a", value), LOG_S("b", "there"), LOG_S("c", value), {.kind = LOG_END}};
			const char *line = line_of((enum log_format)format, value, fields);

			assert_non_null(strstr(line, "there"));
			assert_int_equal(strchr(line, '{') == line, format == LOG_FORMAT_JSON);
			assert_true(format == LOG_FORMAT_LOGFMT || strstr(line, "}\n"));
			if (n > 1400)
				assert_non_null(strstr(line, "cut"));
			free(value);
		}
}

static void json_shows_no_control(void **state)
{
	static const struct {
		const char *text, *json;
	} CASES[] = {{"\x1b\x7f\xc2\x9b", "\"\\u001b\\u007f\\u009b\""},
	             {"\xe2\x80\xae\xe2\x80\xa8", "\"\\u202e\\u2028\""},
	             {"\xf3\xa0\x80\x81", "\"\\udb40\\udc01\""},
	             {"\xff", "\"\xef\xbf\xbd\""},
	             {"\xc3\xa9\xe2\x82\xac", "\"\xc3\xa9\xe2\x82\xac\""}};

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct buf b;

		buf_init(&b, 1000);
		jsonout_quote(&b, CASES[i].text, strlen(CASES[i].text));
		assert_string_equal(b.data, CASES[i].json);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_secret_is_hidden_in_every_form),
	    cmocka_unit_test(other_texts_stay_as_they_are),
	    cmocka_unit_test(keys_that_come_and_go_leave_nothing),
	    cmocka_unit_test(nobody_forges_a_log_line),
	    cmocka_unit_test(a_line_that_is_too_long_loses_whole_fields),
	    cmocka_unit_test(json_shows_no_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
