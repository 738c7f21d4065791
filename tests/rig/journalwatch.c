/* Where the journal decides what an error means: who says it there has said it (errorwatch.h). The tests of room
 * journal alone are linked with it, by the linker's --wrap. */
#include "journal/journal_internal.h"
#include "rig/errorwatch.h"

bool __real_journal_survives(struct journal *j, enum err err, const struct error *e);
bool __wrap_journal_survives(struct journal *j, enum err err, const struct error *e);

bool __wrap_journal_survives(struct journal *j, enum err err, const struct error *e)
{
	if (err != ERR_OK)
		errorwatch_hear(e->text);
	return __real_journal_survives(j, err, e);
}
