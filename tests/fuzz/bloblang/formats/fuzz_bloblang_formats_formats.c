/* The first byte chooses a reader of documents or bytes; what it yields is written again where there is a writer. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bloblang/golang/gofmt.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/compression.h"
#include "bloblang/formats/csv.h"
#include "bloblang/formats/logfmt.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/formats/html.h"
#include "bloblang/formats/json_schema.h"
#include "bloblang/formats/jsonpath.h"
#include "bloblang/formats/msgpack.h"
#include "bloblang/formats/url.h"
#include "bloblang/formats/xml.h"
#include "bloblang/formats/yaml.h"
#include "rig/fuzz.h"

static void read_documents(struct arena *a, unsigned choice, const char *s, size_t n, struct text *out)
{
	static const struct csv_options csv = {.delimiter = ',', .lazy_quotes = false};
	const char *error;
	struct value v;

	switch (choice) {
	case 0:
		if (yaml_read(a, s, n, &v, &error))
			yaml_write(out, v);
		break;
	case 1:
		if (xml_read(a, s, n, n & 1, &v, &error))
			(void)!xml_write(out, v, "  ", NULL, 0, &error);
		break;
	case 2:
		if (msgpack_read(a, s, n, &v, &error))
			(void)!msgpack_write(out, v);
		break;
	case 3:
		if (csv_parse(a, s, n, &csv, &v, &error))
			(void)!value_print_text(out, v, &error);
		break;
	case 4:
		if (logfmt_parse(a, s, n, &v, &error))
			(void)!value_print_text(out, v, &error);
		break;
	case 5:
		if (url_parse(a, s, n, &v, &error))
			(void)!value_print_text(out, v, &error);
		(void)url_parse_form(a, s, n, &v, &error);
		break;
	default:
		html_unescape(out, s, n);
		html_strip(out, s, n, NULL, 0);
		(void)go_unquote(out, s, n);
		go_quote(out, s, n, true);
		break;
	}
}

static void read_bytes(struct arena *a, unsigned choice, const char *s, size_t n, struct text *out)
{
	static const char *const compressions[] = {"gzip", "flate", "lz4", "snappy", "zstd", "bzip2"};
	static const char *const encodings[] = {"base64", "base64rawurl", "hex", "ascii85", "z85"};
	struct value args[] = {value_int(5), value_float(1.5), value_string(s, n), value_null()};
	const char *error;
	struct schema *schema;

	switch (choice % 4) {
	case 0:
		(void)compression_decompress(compression_find(compressions[n % 6], strlen(compressions[n % 6])), s, n,
		                             out, &error);
		break;
	case 1:
		(void)encoding_decode(encoding_find(encodings[n % 5], strlen(encodings[n % 5])), s, n, out, &error);
		break;
	case 2:
		go_sprintf(out, s, n < 64 ? n : 64, args, 4);
		break;
	default:
		schema = schema_compile(a, s, n, &error);
		if (schema)
			(void)schema_check(schema, args[1], out);
		schema_release(schema);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data + 1, *error;
	const struct jsonpath *path;
	struct arena a;
	struct text out;
	struct value v;

	if (size < 1 || size > 4096)
		return 0;
	arena_init(&a, 4 << 20);
	text_init(&out, &a);
	if (*data % 16 < 7)
		read_documents(&a, *data % 16, s, size - 1, &out);
	else if (*data % 16 < 15)
		read_bytes(&a, *data % 16, s, size - 1, &out);
	else if ((path = jsonpath_compile(&a, s, size - 1, &error)))
		(void)jsonpath_run(&a, path, value_literal("x"), &v, &error);
	arena_fini(&a);
	return 0;
}
