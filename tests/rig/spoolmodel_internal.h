/*
 * spoolmodel_internal: what the two files of the model share. Owner, thread, failures: as spoolmodel.h.
 */
#ifndef KSPOOL_TESTS_SPOOLMODEL_INTERNAL_H
#define KSPOOL_TESTS_SPOOLMODEL_INTERNAL_H

#include <inttypes.h>

#include "rig/spoolmodel.h"

#define same(what, is, must_be)                                                                                  \
	do {                                                                                                     \
		const int64_t is_ = (int64_t)(is), must_ = (int64_t)(must_be);                                   \
		if (is_ != must_)                                                                                \
			fail_msg("%s:%d %s is %" PRId64 ", not %" PRId64, __FILE__, __LINE__, what, is_, must_); \
	} while (0)

struct message *model_make(uint64_t n, bool no_metadata, uint32_t body_bytes);
void model_same_bytes(const struct model_message *x, uint64_t id, const void *meta, size_t meta_bytes, const void *body,
                      size_t body_bytes);
/* As max_bytes goes: full, until a tenth of it is free again. */
void model_weigh(struct model *m, uint64_t bytes);
/* Of the failed ones behind that place, the next in the order of their times; 0: none. */
uint64_t model_next_due(const struct model *m);

bool model_was_handed_out(const struct model *m, uint64_t id);
void model_ids_after_stop(struct model *m);
void model_open_store(struct model *m, struct store_report *report);
/* 0 to n - 1, as the life's seed has it. */
uint64_t model_pick(uint64_t n);
/* At or behind a random place; 0: none. */
uint64_t model_some_pending(const struct model *m);
void model_do_harm(struct model *m, uint64_t *ret_failed);
/* What an append of so many bytes must be told, and whom it evicts. */
enum err model_admit(struct model *m, uint64_t bytes);
void model_note_lead(struct model *m, int64_t lead);
/* A verb with a group of its own: begins; ends as it must, or as if it had never been. */
void model_own_group(struct model *m);
enum err model_own_group_ends(struct model *m, enum err err, enum err want);

#endif
