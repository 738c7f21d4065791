#include "rig/faultpoints.h"

#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "rig/sanitizer.h"

enum { POINTS_MAX = 200000, FRAMES_MAX = 40, PATHS_BITS = 14, PATHS = 1 << PATHS_BITS };

static struct {
	bool notes;
	uint64_t count;
	uint64_t path_of[POINTS_MAX]; /* of the (i + 1)-th operation: a hash of its callers */
	bool chosen[POINTS_MAX];
} noted;

void faultpoints_note(void)
{
	void *frames[2];

	(void)backtrace(frames, 2); /* the first one opens files */
	noted.count = 0;
	noted.notes = true;
}

static uint64_t path_here(void)
{
	void *frames[FRAMES_MAX];
	const int count = backtrace(frames, FRAMES_MAX);
	uint64_t hash = 0;

	for (int i = 0; i < count; i++)
		hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return hash | 1;
}

void faultpoints_pass(void)
{
	if (!noted.notes)
		return;
	must(noted.count < POINTS_MAX);
	noted.notes = false; /* what looking at the callers calls is none of the run's */
	noted.path_of[noted.count++] = path_here();
	noted.notes = true;
}

static struct path {
	uint64_t path, last;
	uint32_t seen, series; /* in which it came last */
	bool is_old;           /* an earlier one had it */
} paths[PATHS];
static uint32_t series, used;

void faultpoints_forget(void)
{
	memset(paths, 0, sizeof paths);
	used = 0;
}

static struct path *find(uint64_t path)
{
	size_t at = (size_t)(path >> (64 - PATHS_BITS));

	while (paths[at].path && paths[at].path != path)
		at = (at + 1) % PATHS;
	if (!paths[at].path)
		must(++used < PATHS);
	paths[at].path = path;
	return &paths[at];
}

bool faultpoints_is_new(void)
{
	struct path *p = find(path_here());
	const bool is_new = p->seen == 0;

	p->seen = 1;
	return is_new;
}

static void choose(bool lasts)
{
	const bool every = getenv("KSPOOL_EVERY_FAULT") != NULL;

	noted.notes = false;
	series++;
	for (uint64_t n = 0; n < noted.count; n++) {
		struct path *p = find(noted.path_of[n]);

		if (p->series != series) {
			p->is_old = p->series != 0;
			p->series = series;
			p->seen = 0;
		}
		p->last = n;
		noted.chosen[n] = every || (!p->is_old && p->seen++ == 0);
	}
	for (size_t i = 0; i < PATHS && lasts; i++)
		if (paths[i].path && paths[i].series == series && !paths[i].is_old)
			noted.chosen[paths[i].last] = true;
}

void faultpoints_end(void) { choose(true); }

void faultpoints_end_firsts(void) { choose(false); }

uint64_t faultpoints_next(uint64_t n)
{
	static unsigned tries;

	while (++n <= noted.count)
		if (noted.chosen[n - 1] && tries++ % SANITIZED_EACH == 0)
			return n;
	return n;
}

uint64_t faultpoints_count(void) { return noted.count; }
