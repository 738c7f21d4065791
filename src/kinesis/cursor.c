#include "kinesis/cursor.h"

#include <string.h>

#include "kinesis/cursor_internal.h"

enum { CBOR_MAP = 5, CBOR_LIST = 4 };

static bool is_space(unsigned char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

enum cursor_form cursor_sniff(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	size_t at = 0;

	while (at < bytes && is_space(p[at]))
		at++;
	if (at < bytes && p[at] == '{')
		return CURSOR_JSON;
	if (bytes > 0 && p[0] >> 5 == CBOR_MAP)
		return CURSOR_CBOR;
	return CURSOR_NEITHER;
}

void cursor_init(struct cursor *r, enum cursor_form form, const void *data, size_t bytes)
{
	memset(r, 0, sizeof *r);
	r->form = form;
	r->at = data;
	r->end = r->at + bytes;
	buf_init(&r->scratch, bytes + 1);
	if (form == CURSOR_NEITHER)
		r->wrong = "neither JSON nor CBOR";
}

void cursor_fini(struct cursor *r) { buf_fini(&r->scratch); }

bool cursor_map(struct cursor *r, struct cursor_scope *scope)
{
	memset(scope, 0, sizeof *scope);
	if (r->wrong)
		return false;
	return r->form == CURSOR_JSON ? cursor_json_open(r, scope, '{', '}') : cursor_cbor_open(r, scope, CBOR_MAP);
}

bool cursor_list(struct cursor *r, struct cursor_scope *scope)
{
	memset(scope, 0, sizeof *scope);
	if (r->wrong)
		return false;
	return r->form == CURSOR_JSON ? cursor_json_open(r, scope, '[', ']') : cursor_cbor_open(r, scope, CBOR_LIST);
}

bool cursor_more(struct cursor *r, struct cursor_scope *scope)
{
	if (r->wrong)
		return false;
	return r->form == CURSOR_JSON ? cursor_json_more(r, scope) : cursor_cbor_more(r, scope);
}

bool cursor_key(struct cursor *r, struct cursor_text *ret)
{
	if (r->wrong)
		return false;
	return r->form == CURSOR_JSON ? cursor_json_text(r, ret, true) : cursor_cbor_text(r, ret, true);
}

bool cursor_text_value(struct cursor *r, struct cursor_text *ret)
{
	if (r->wrong)
		return false;
	return r->form == CURSOR_JSON ? cursor_json_text(r, ret, false) : cursor_cbor_text(r, ret, false);
}

bool cursor_at_text(struct cursor *r)
{
	if (r->wrong)
		return false;
	if (r->form == CURSOR_JSON)
		cursor_json_space(r);
	if (r->at == r->end)
		return false;
	if (r->form == CURSOR_JSON)
		return *r->at == '"' || *r->at == 'n';
	return *r->at >> 5 == 3 || *r->at == 0xf6;
}

bool cursor_skip(struct cursor *r)
{
	if (r->wrong)
		return false;
	return r->form == CURSOR_JSON ? cursor_json_skip(r) : cursor_cbor_skip(r);
}

bool cursor_at_end(struct cursor *r)
{
	if (r->wrong)
		return false;
	if (r->form == CURSOR_JSON)
		cursor_json_space(r);
	return r->at == r->end || cursor_wrong(r, "bytes behind the answer's end");
}
