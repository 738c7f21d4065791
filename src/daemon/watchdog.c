#include "daemon/watchdog.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "journal/journal_questions.h"
#include "delivery/delivery.h"
#include "doors/doors.h"

/* A slow disk is not helped by a restart, which begins with reading from it. */
enum { JOURNAL_S = 300, WORK_S = 60, WORK_TIMES = 8 /* of what a message may take: a run of processors has less */ };

static int64_t journal_ns(void) { return FAILPOINT_NUMBER("watchdog_s", JOURNAL_S) * NS_PER_S; }

/* Of one step of a worker: it is the processor's time that is bounded, and a loaded machine gives it slowly. */
static int64_t work_ns(const struct watchdog *w)
{
	return FAILPOINT_NUMBER("watchdog_s", WORK_S) * NS_PER_S + WORK_TIMES * w->process_time_ns;
}

static void on_proof(void *arg, const struct journal_answer *answer)
{
	struct watchdog *w = arg;

	(void)answer;
	w->journal_owes = false;
}

const char *watchdog_look(struct watchdog *w, const struct doors *doors)
{
	int64_t now_ns = clock_mono_ns();

	if (w->journal_owes && now_ns - w->journal_asked_ns > journal_ns())
		return "journal";
	if (delivery_proofs(w->delivery) < w->proofs_wanted)
		return "delivery";
	if (delivery_prepare_ns(w->delivery) > work_ns(w))
		return "prepare";
	if (doors && doors_work_ns(doors) > work_ns(w))
		return "processors";
	w->proofs_wanted = delivery_proofs(w->delivery) + 1;
	delivery_prove(w->delivery);
	if (!w->journal_owes && journal_ask_position(w->journal, "", on_proof, w)) {
		w->journal_owes = true;
		w->journal_asked_ns = now_ns;
	}
	return NULL;
}
