#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/control_call.h"
#include "cli/remote_status.h"
#include "cli/spool_place.h"

enum { LOOK_EVERY_MS = 200, BAR_WIDTH = 40, STILL_MS = 5000, KICK_EVERY_MS = 2000 };

struct progress {
	double first;  /* pending when we began; grows when more comes in than leaves */
	double lowest; /* fewest seen */
	int64_t lowest_at_ms;
	int64_t said_at_ms;
	char state[512]; /* of the stream at the last look, with its reason */
};

static void draw(struct remote_status *p, const struct progress *g, double pending)
{
	int done = g->first > 0 ? (int)((g->first - pending) / g->first * BAR_WIDTH) : BAR_WIDTH;
	char left[NUM_DURATION_MAX] = "?";

	if (!isatty(STDERR_FILENO))
		return;
	if (remote_status_has(p, "backlog.time_to_drain_seconds"))
		(void)num_format_duration((int64_t)remote_status_number(p, "backlog.time_to_drain_seconds") * NS_PER_S,
		                          left);
	(void)fprintf(stderr, "\r[%.*s%.*s] %.0f left, %.0f/s, %s   ", done, "########################################",
	              BAR_WIDTH - done, "                                        ", pending,
	              remote_status_number(p, "rates.delivered_per_second"), left);
}

/* Nothing left for a while: say what holds it, at most every STILL_MS. */
static void say_what_holds(struct remote_status *p, struct progress *g)
{
	int64_t now_ms = clock_mono_ms();
	const char *reason = remote_status_text(p, "stream.reason");

	(void)snprintf(g->state, sizeof g->state, "%s%s%s", remote_status_text(p, "stream.state"),
	               reason[0] ? ": " : "", reason);
	if (now_ms - g->lowest_at_ms < STILL_MS || now_ms - g->said_at_ms < STILL_MS)
		return;
	g->said_at_ms = now_ms;
	(void)fprintf(stderr, "%sthe backlog does not move: %s\n", isatty(STDERR_FILENO) ? "\n" : "", g->state);
}

/* One look; *ret_done when nothing is left. */
static enum err look(const char *control, struct progress *g, bool *ret_done, struct error *e)
{
	struct remote_status p = {0};
	enum err err = remote_status_take(&p, control, e);

	if (err == ERR_OK) {
		double pending = remote_status_number(&p, "ledger.pending");

		if (pending > g->first)
			g->first = pending;
		if (g->lowest < 0 || pending < g->lowest) {
			g->lowest = pending;
			g->lowest_at_ms = clock_mono_ms();
		}
		draw(&p, g, pending);
		say_what_holds(&p, g);
		*ret_done = pending < 1;
		if (*ret_done)
			(void)printf("%sdrained: %.0f delivered, %.0f set aside, nothing waits\n",
			             isatty(STDERR_FILENO) ? "\n" : "", remote_status_number(&p, "ledger.delivered"),
			             remote_status_number(&p, "ledger.dead"));
	}
	remote_status_fini(&p);
	return err;
}

static enum err drain(const char *control, int64_t timeout_ns, struct error *e)
{
	const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * (long)NS_PER_MS};
	struct progress g = {.lowest = -1};
	int64_t start_ns = clock_mono_ns(), kicked_ms = 0;
	bool done = false;

	for (;;) {
		enum err err = ERR_OK;

		if (kicked_ms == 0 || clock_mono_ms() - kicked_ms >= KICK_EVERY_MS) {
			kicked_ms = clock_mono_ms();
			err = control_call(control, "POST", "/drain", NULL, e);
		}
		if (err == ERR_OK)
			err = look(control, &g, &done, e);
		if (err != ERR_OK || done)
			return err;
		if (timeout_ns > 0 && clock_mono_ns() - start_ns >= timeout_ns)
			return error_set(e, ERR_TIMEOUT, "%.0f messages still wait; the stream is %s", g.lowest,
			                 g.state);
		(void)nanosleep(&pause, NULL);
	}
}

int command_drain(int argc, char **argv)
{
	struct spool_place place = {0};
	struct error e = {.code = ERR_OK};
	const char *timeout = NULL;
	int64_t timeout_ns = 0;
	const struct command_option options[] = {
	    {"config", 'c', .text = &place.config_path},
	    {"spool", .text = &place.spool_path},
	    {"timeout", .text = &timeout},
	};
	enum err err;
	int status;

	status = command_read_options(argc, argv, options, sizeof options / sizeof *options);
	if (status != EX_OK)
		return status;
	if (timeout && (!num_parse_duration(timeout, &timeout_ns) || timeout_ns < 0))
		return command_misused("drain", "--timeout takes a duration like 10m or 30s");
	if (optind < argc)
		return command_misused("drain", "takes no argument");
	err = spool_place_find(&place, &e);
	if (err == ERR_OK)
		err = drain(place.control, timeout_ns, &e);
	spool_place_fini(&place);
	return err == ERR_OK ? EX_OK : command_fail("drain", &e);
}
