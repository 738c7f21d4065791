/* Buffers stop at their maximum; JSON out is JSON; log lines are one line, escaped, limited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/jsonout.h"
#include "base/log.h"

static void a_buffer_stops_at_its_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(buf_add(&b, "abc", 3), ERR_OK);
	assert_int_equal(buf_add(&b, "de", 2), ERR_TOOBIG);
	assert_true(b.overflow);
	assert_string_equal(b.data, "abc");
	assert_int_equal(buf_add_char(&b, 'd'), ERR_OK);
	assert_int_equal(buf_addf(&b, "%d", 1), ERR_TOOBIG);
	buf_consume(&b, 2);
	assert_string_equal(b.data, "cd");
	buf_clear(&b);
	assert_false(b.overflow);
	assert_int_equal(buf_addf(&b, "%s", "wxyz"), ERR_OK);
	assert_string_equal(b.data, "wxyz");
	buf_fini(&b);
}

static void json_out_escapes_and_nests(void **state)
{
	struct jsonout j;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	jsonout_init(&j, &b);
	jsonout_object(&j, NULL);
	jsonout_text(&j, "a\"b", "x\n\x01\xff\xc3\xa9\xed\xa0\x80");
	jsonout_array(&j, "l");
	jsonout_int(&j, NULL, -1);
	jsonout_null(&j, NULL);
	jsonout_array_end(&j);
	jsonout_object(&j, "o");
	jsonout_object_end(&j);
	jsonout_time_ms(&j, "t", 1000);
	jsonout_object_end(&j);
	assert_string_equal(b.data,
	                    "{\"a\\\"b\":\"x\\n\\u0001\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
	                    "\"l\":[-1,null],\"o\":{},\"t\":\"1970-01-01T00:00:01.000Z\"}");
	buf_fini(&b);
}

static void errors_carry_context_and_place(void **state)
{
	struct error e = {.code = ERR_OK};

	(void)state;
	assert_int_equal(error_set(&e, ERR_FULL, "disk %d", 7), ERR_FULL);
	assert_int_equal(error_wrap(&e, "opening %s", "x"), ERR_FULL);
	assert_string_equal(e.text, "opening x: disk 7");
	assert_non_null(strstr(e.file, "test_base_text.c"));
	assert_int_equal(error_exit_status(ERR_DISK), 74);
	assert_int_equal(error_set(NULL, ERR_DISK, "nobody listens"), ERR_DISK);
}

static size_t read_all(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	return (size_t)n;
}

static void a_log_line_is_one_line(void **state)
{
	static const char *const fields[] = {"@service", "kspool", NULL};
	struct log_options options = {.level = LOG_INFO, .add_timestamp = false, .static_fields = fields};
	char text[65536], stream[64];
	struct stat st;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	options.fd = fds[1];
	log_configure(&options);
	LOG(LOG_DEBUG, "not wanted");
	LOG(LOG_INFO, "two words", LOG_S("path", "a b\nc"), LOG_U("n", 3), LOG_S("empty", ""));
	read_all(fds[0], text, sizeof text);
	assert_string_equal(text, "level=info @service=kspool msg=\"two words\" path=\"a b\\nc\" n=3 empty=\"\"\n");
	options.format = LOG_FORMAT_JSON;
	log_configure(&options);
	LOG(LOG_ERROR, "m", LOG_I("i", -1));
	read_all(fds[0], text, sizeof text);
	assert_string_equal(text, "{\"level\":\"error\",\"@service\":\"kspool\",\"msg\":\"m\",\"i\":-1}\n");
	assert_int_equal(fstat(fds[1], &st), 0);
	(void)snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	options.format = LOG_FORMAT_LOGFMT;
	log_configure(&options);
	LOG(LOG_WARN, "m");
	LOG(LOG_ERROR, "n");
	read_all(fds[0], text, sizeof text);
	assert_string_equal(text, "<4>level=warning @service=kspool msg=m\n<3>level=error @service=kspool msg=n\n");
	(void)setenv("JOURNAL_STREAM", "1:2", 1);
	log_configure(&options);
	LOG(LOG_INFO, "m");
	read_all(fds[0], text, sizeof text);
	assert_string_equal(text, "level=info @service=kspool msg=m\n");
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void say_it(void) { LOG_LIMITED(LOG_WARN, "again"); }

static void repeats_are_limited_and_counted(void **state)
{
	struct log_options options = {.level = LOG_INFO};
	char text[65536];
	size_t lines = 0;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	options.fd = fds[1];
	log_configure(&options);
	clock_test_set(NS_PER_S, NS_PER_S);
	for (int i = 0; i < 20; i++)
		say_it();
	clock_test_advance(61 * NS_PER_S);
	say_it();
	read_all(fds[0], text, sizeof text);
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, LOG_LIMIT_PER_MINUTE + 1);
	assert_non_null(strstr(text, "suppressed=15\n"));
	clock_test_end();
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_buffer_stops_at_its_maximum),   cmocka_unit_test(json_out_escapes_and_nests),
	    cmocka_unit_test(errors_carry_context_and_place),  cmocka_unit_test(a_log_line_is_one_line),
	    cmocka_unit_test(repeats_are_limited_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
