/* Inputs that hold or name others: what they become, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "config/config.h"

#define REST "\nbuffer: {sqlite: {path: /s}}\noutput: {aws_kinesis: {stream: s, partition_key: k}}\n"

/* The first fault, or "path<begin-end" of each input: what it waits for. */
static char *read_inputs(const char *text)
{
	struct config_faults faults;
	struct config *config;
	struct buf out;
	struct error e;

	buf_init(&out, 1 << 16);
	assert_true(config_parse("test", text, strlen(text), NULL, &config, &faults, &e) == ERR_OK || faults.count > 0);
	if (faults.count > 0)
		(void)buf_addf(&out, "(%d,%d) %s", faults.items[0].line, faults.items[0].column, faults.items[0].text);
	for (size_t i = 0; faults.count == 0 && i < config->input_count; i++)
		(void)buf_addf(&out, "%s<%zu-%zu\n", config->inputs[i].path, config->inputs[i].after_begin,
		               config->inputs[i].after_end);
	config_faults_fini(&faults);
	config_free(config);
	return buf_take(&out, NULL);
}

static void check(const char *text, const char *expected)
{
	char *found = read_inputs(text);

	assert_string_equal(found, expected);
	free(found);
}

#define FILE_OF(name) "{file: {paths: [" name "]}}"

static void those_of_a_sequence_wait_for_what_stands_before(void **state)
{
	(void)state;
	check("input: {sequence: {inputs: [" FILE_OF("a") ", " FILE_OF("b") ", " FILE_OF("c") "]}}" REST,
	      "input.sequence.inputs.0<0-0\ninput.sequence.inputs.1<0-1\ninput.sequence.inputs.2<1-2\n");
	/* a broker is one of them, and so is a sequence */
	check("input: {sequence: {inputs: [{broker: {inputs: [" FILE_OF("a") ", " FILE_OF(
	          "b") "]}}, {sequence: {inputs: "
	               "[" FILE_OF("c") ", " FILE_OF("d") "]}}, {stdin: {}}], sharded_join: {type: none}}}" REST,
	      "input.sequence.inputs.0.broker.inputs.0<0-0\ninput.sequence.inputs.0.broker.inputs.1<0-0\n"
	      "input.sequence.inputs.1.sequence.inputs.0<0-2\ninput.sequence.inputs.1.sequence.inputs.1<2-3\n"
	      "input.sequence.inputs.2<2-4\n");
	check("input: {sequence: {inputs: [{http_server: {}}, {stdin: {}}]}}" REST,
	      "(1,29) input.sequence.inputs.0 never ends: what stands behind it never begins");
	check(
	    "input: {sequence: {inputs: [{stdin: {}}], sharded_join: {type: outer, id_path: x}}}" REST,
	    "(1,64) input.sequence.sharded_join is not part of kspool: messages are stored as they come, none waits in "
	    "memory for others");
}

static void a_path_is_one_that_can_be_asked_for(void **state)
{
	static const struct {
		const char *path, *fault;
	} cases[] = {
	    {"post", "must begin with /"},
	    {"/in/{a}/{b}/{ab}", NULL},
	    {"/in/{a}/x/{a}", "has two variables with one name"},
	    {"/in/{http_server_remote_ip}",
	     "has a variable whose name begins with http_server_, as metadata that kspool sets does"},
	    {"/%70", "must be written as requests are: without % and the segments . and .."},
	    {"/a/../b", "must be written as requests are: without % and the segments . and .."},
	    {"/a/.", "must be written as requests are: without % and the segments . and .."},
	    {"/a/.b/..c", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = mem_format("input: {http_server: {path: \"%s\"}}" REST, cases[i].path);
		char *expected = cases[i].fault ? mem_format("(1,29) input.http_server.path %s", cases[i].fault)
		                                : mem_string("input<0-0\n");

		check(text, expected);
		free(text);
		free(expected);
	}
}

static void a_resource_stands_where_it_is_used(void **state)
{
	(void)state;
	check("input: {broker: {inputs: [{resource: b}, {stdin: {}}]}}\n"
	      "input_resources: [{label: a, generate: {mapping: root = 1}}, {label: b, resource: a}]" REST,
	      "input_resources.0<0-0\ninput.broker.inputs.1<0-0\n");
	check("input: {resource: c}\ninput_resources: [{label: a, stdin: {}}]" REST,
	      "(1,19) input.resource: no entry of input_resources has this label");
	check(
	    "input: {broker: {inputs: [{resource: a}, {resource: a}]}}\ninput_resources: [{label: a, stdin: {}}]" REST,
	    "(1,53) input.broker.inputs.1.resource: input_resources.0 is used before; each of its messages goes one "
	    "way: "
	    "use it once");
	check("input: {resource: a}\ninput_resources: [{label: a, resource: b}, {label: b, resource: a}]" REST,
	      "(2,40) input_resources.0.resource: input_resources.1 uses itself");
	/* one that nothing uses must be right all the same */
	check("input: {stdin: {}}\ninput_resources: [{label: a, file: {}}]" REST,
	      "(2,30) input_resources.0.file.paths is required");
	check("input: {stdin: {}}\ninput_resources: [{label: a, generate: {mapping: root = 1}}]" REST, "input<0-0\n");
	check("input: {resource: a}\ninput_resources: [{label: a, http_server: {address: \"0.0.0.0:1\"}}]" REST,
	      "(2,53) input_resources.0.http_server.address can be reached from other machines without TLS or a token; "
	      "set "
	      "cert_file and key_file, or token_file, or listen on 127.0.0.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(those_of_a_sequence_wait_for_what_stands_before),
	    cmocka_unit_test(a_path_is_one_that_can_be_asked_for),
	    cmocka_unit_test(a_resource_stands_where_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
