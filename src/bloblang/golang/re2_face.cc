/* RE2 behind extern "C". Nothing here throws: RE2 reports by codes, and a failed allocation ends the process. */
#include "bloblang/golang/re2_internal.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <re2/re2.h>

using re2::RE2;
using re2::StringPiece;

struct re2_pattern {
	RE2 compiled;

	re2_pattern(const StringPiece &pattern, const RE2::Options &options) : compiled(pattern, options) {}
};

/* Go's regexp/syntax calls the same faults by these names. */
static const char *words_of(RE2::ErrorCode code)
{
	switch (code) {
	case RE2::ErrorBadEscape:
		return "invalid escape sequence";
	case RE2::ErrorBadCharClass:
		return "invalid character class";
	case RE2::ErrorBadCharRange:
		return "invalid character class range";
	case RE2::ErrorMissingBracket:
		return "missing closing ]";
	case RE2::ErrorMissingParen:
		return "missing closing )";
	case RE2::ErrorUnexpectedParen:
		return "unexpected )";
	case RE2::ErrorTrailingBackslash:
		return "trailing backslash at end of expression";
	case RE2::ErrorRepeatArgument:
		return "missing argument to repetition operator";
	case RE2::ErrorRepeatSize:
		return "invalid repeat count";
	case RE2::ErrorRepeatOp:
		return "invalid nested repetition operator";
	case RE2::ErrorBadPerlOp:
		return "invalid or unsupported Perl syntax";
	case RE2::ErrorBadUTF8:
		return "invalid UTF-8";
	case RE2::ErrorBadNamedCapture:
		return "invalid named capture";
	case RE2::ErrorPatternTooLarge:
		return "expression too large";
	default:
		return "internal error";
	}
}

static bool is_about_whole(RE2::ErrorCode code)
{
	return code == RE2::ErrorMissingParen || code == RE2::ErrorUnexpectedParen || code == RE2::ErrorPatternTooLarge;
}

struct re2_pattern *re2_open(const char *pattern, size_t length, size_t memory_bytes, struct re2_fault *ret_fault)
{
	RE2::Options options;
	re2_pattern *re;

	options.set_log_errors(false);
	options.set_max_mem(static_cast<int64_t>(memory_bytes));
	re = new re2_pattern(StringPiece(pattern, length), options);
	if (re->compiled.ok())
		return re;
	ret_fault->what = words_of(re->compiled.error_code());
	ret_fault->is_too_large = re->compiled.error_code() == RE2::ErrorPatternTooLarge;
	ret_fault->about_whole = is_about_whole(re->compiled.error_code());
	(void)std::strncpy(ret_fault->fragment, re->compiled.error_arg().c_str(), sizeof ret_fault->fragment - 1);
	ret_fault->fragment[sizeof ret_fault->fragment - 1] = '\0';
	delete re;
	return nullptr;
}

void re2_close(struct re2_pattern *re) { delete re; }

uint32_t re2_size(const struct re2_pattern *re)
{
	int size = re->compiled.ProgramSize();

	return size > 0 ? static_cast<uint32_t>(size) : 1;
}

uint32_t re2_groups(const struct re2_pattern *re)
{
	return static_cast<uint32_t>(re->compiled.NumberOfCapturingGroups());
}

const char *re2_group_name(const struct re2_pattern *re, uint32_t group)
{
	const std::map<int, std::string> &names = re->compiled.CapturingGroupNames();
	auto found = names.find(static_cast<int>(group));

	return found == names.end() ? "" : found->second.c_str();
}

bool re2_search(const struct re2_pattern *re, const char *subject, size_t length, size_t from, size_t *ret_bounds,
                uint32_t count)
{
	StringPiece few[8];
	std::vector<StringPiece> many(count > 8 ? count : 0);
	StringPiece *found = count > 8 ? many.data() : few;

	if (!re->compiled.Match(StringPiece(subject, length), from, length, RE2::UNANCHORED, found,
	                        static_cast<int>(count)))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		bool absent = !found[i].data();
		size_t start = absent ? SIZE_MAX : static_cast<size_t>(found[i].data() - subject);

		ret_bounds[2 * i] = start;
		ret_bounds[2 * i + 1] = absent ? SIZE_MAX : start + found[i].size();
	}
	return true;
}
