#include "kinesis/reader.h"

#include <string.h>

enum { CBOR_MAP = 5, CBOR_LIST = 4 };

static bool is_space(unsigned char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

enum reader_form reader_sniff(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	size_t at = 0;

	while (at < bytes && is_space(p[at]))
		at++;
	if (at < bytes && p[at] == '{')
		return READER_JSON;
	if (bytes > 0 && p[0] >> 5 == CBOR_MAP)
		return READER_CBOR;
	return READER_NEITHER;
}

void reader_init(struct reader *r, enum reader_form form, const void *data, size_t bytes)
{
	memset(r, 0, sizeof *r);
	r->form = form;
	r->at = data;
	r->end = r->at + bytes;
	buf_init(&r->scratch, bytes + 1);
	if (form == READER_NEITHER)
		r->wrong = "neither JSON nor CBOR";
}

void reader_fini(struct reader *r) { buf_fini(&r->scratch); }

bool reader_wrong(struct reader *r, const char *what)
{
	if (!r->wrong)
		r->wrong = what;
	return false;
}

bool reader_map(struct reader *r, struct reader_scope *scope)
{
	memset(scope, 0, sizeof *scope);
	if (r->wrong)
		return false;
	return r->form == READER_JSON ? json_open(r, scope, '{', '}') : cbor_open(r, scope, CBOR_MAP);
}

bool reader_list(struct reader *r, struct reader_scope *scope)
{
	memset(scope, 0, sizeof *scope);
	if (r->wrong)
		return false;
	return r->form == READER_JSON ? json_open(r, scope, '[', ']') : cbor_open(r, scope, CBOR_LIST);
}

bool reader_more(struct reader *r, struct reader_scope *scope)
{
	if (r->wrong)
		return false;
	return r->form == READER_JSON ? json_more(r, scope) : cbor_more(r, scope);
}

bool reader_key(struct reader *r, struct reader_text *ret)
{
	if (r->wrong)
		return false;
	return r->form == READER_JSON ? json_text(r, ret, true) : cbor_text(r, ret, true);
}

bool reader_text_value(struct reader *r, struct reader_text *ret)
{
	if (r->wrong)
		return false;
	return r->form == READER_JSON ? json_text(r, ret, false) : cbor_text(r, ret, false);
}

bool reader_at_text(struct reader *r)
{
	if (r->wrong)
		return false;
	if (r->form == READER_JSON)
		json_space(r);
	if (r->at == r->end)
		return false;
	if (r->form == READER_JSON)
		return *r->at == '"' || *r->at == 'n';
	return *r->at >> 5 == 3 || *r->at == 0xf6;
}

bool reader_skip(struct reader *r)
{
	if (r->wrong)
		return false;
	return r->form == READER_JSON ? json_skip(r) : cbor_skip(r);
}

bool reader_at_end(struct reader *r)
{
	if (r->wrong)
		return false;
	if (r->form == READER_JSON)
		json_space(r);
	return r->at == r->end || reader_wrong(r, "bytes behind the answer's end");
}
