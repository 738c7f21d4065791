/*
 * Invariants:
 *  1. A region question is under way exactly in ASKING_REGION, the chain exactly in ASKING_CHAIN.
 *  2. There are keys exactly when the standing is not NO_KEYS.
 *  3. The generation goes up with every new set, so that a late refusal of older keys is told from one of these.
 *  4. An error is kept exactly while the newest refresh failed or the service refused the keys.
 */
#include "aws/identity/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "aws/identity/region.h"

enum {
	REFRESH_AHEAD_MS = 5 * 60 * MS_PER_S,
	REFRESH_JITTER_MS = 60 * MS_PER_S,
	/* Between refreshes that failed or brought keys that are already old: whoever asks is answered from memory. */
	FAILED_GAP_MS = 250,
	BACKGROUND_GAP_MS = 10 * MS_PER_S,
	STALE_GAP_MS = 1 * MS_PER_S,
};

enum phase { IDLE, ASKING_REGION, ASKING_CHAIN, PHASE_COUNT };

enum standing {
	NO_KEYS,
	GOOD_KEYS,
	OLD_KEYS, /* they looked expired when they came: used until the service says so, as our clock may be wrong */
	REFUSED_KEYS, /* the service said that they are no good */
	STANDING_COUNT,
};

struct credentials {
	struct identity_context *context;
	void (*on_change)(void *arg);
	void *arg;
	struct event *tell; /* on_change from the loop */
	enum phase phase;
	struct region_question region;
	struct error region_error; /* why the region is not known */
	struct chain chain;

	enum standing standing; /* of keys */
	struct aws_keys keys;
	char source[160];
	uint64_t generation;
	bool failed;             /* the newest refresh brought nothing */
	struct error error;      /* why it did not, or why the service refused the keys */
	int64_t refresh_at_ms;   /* wall, as the service sees it; 0: never */
	int64_t not_before_mono; /* no refresh before this */
	int64_t got_mono;
	int64_t asked_mono; /* when the refresh under way began */
};

static void set_phase(struct credentials *c, enum phase to)
{
	static const bool legal[PHASE_COUNT][PHASE_COUNT] = {
	    [IDLE] = {[IDLE] = true, [ASKING_REGION] = true, [ASKING_CHAIN] = true},
	    [ASKING_REGION] = {[IDLE] = true, [ASKING_CHAIN] = true},
	    [ASKING_CHAIN] = {[IDLE] = true},
	};

	must(legal[c->phase][to]);
	c->phase = to;
}

static void set_standing(struct credentials *c, enum standing to)
{
	static const bool legal[STANDING_COUNT][STANDING_COUNT] = {
	    [NO_KEYS] = {[NO_KEYS] = true, [GOOD_KEYS] = true, [OLD_KEYS] = true},
	    [GOOD_KEYS] = {[NO_KEYS] = true, [GOOD_KEYS] = true, [OLD_KEYS] = true, [REFUSED_KEYS] = true},
	    [OLD_KEYS] = {[NO_KEYS] = true, [GOOD_KEYS] = true, [OLD_KEYS] = true, [REFUSED_KEYS] = true},
	    [REFUSED_KEYS] = {[NO_KEYS] = true, [GOOD_KEYS] = true, [OLD_KEYS] = true},
	};

	must(legal[c->standing][to] && (to == NO_KEYS) == !c->keys.id);
	c->standing = to;
}

static int64_t now_ms(const struct credentials *c) { return clock_wall_ms() + c->context->clock_offset_ms; }

static void on_tell(evutil_socket_t fd, short events, void *arg)
{
	struct credentials *c = arg;

	(void)fd;
	(void)events;
	c->on_change(c->arg);
}

static void take_keys(struct credentials *c)
{
	int64_t now = now_ms(c);
	int64_t jitter = (int64_t)random_below(REFRESH_JITTER_MS);

	keys_move(&c->keys, &c->chain.keys);
	/* An expiry that our clock has passed already is the service's to judge: its answer will tell (its Date). */
	set_standing(c, c->keys.expires_ms != 0 && c->keys.expires_ms <= now ? OLD_KEYS : GOOD_KEYS);
	c->generation++;
	c->got_mono = clock_mono_ms();
	c->failed = false;
	c->error = (struct error){0};
	(void)snprintf(c->source, sizeof c->source, "%s", c->chain.source);
	c->refresh_at_ms = 0;
	c->not_before_mono = c->standing == OLD_KEYS ? c->got_mono + BACKGROUND_GAP_MS : 0;
	if (c->keys.expires_ms == 0)
		return;
	c->refresh_at_ms = c->keys.expires_ms - REFRESH_AHEAD_MS - jitter;
	if (c->refresh_at_ms <= now) /* short-lived ones are renewed at half of their life */
		c->refresh_at_ms = now + (c->keys.expires_ms - now) / 2;
}

static bool is_usable(const struct credentials *c)
{
	if (c->standing == GOOD_KEYS)
		return c->keys.expires_ms == 0 || now_ms(c) < c->keys.expires_ms;
	return c->standing == OLD_KEYS;
}

static void keep_failure(struct credentials *c, const struct error *error)
{
	c->failed = true;
	c->error = *error;
	c->not_before_mono = clock_mono_ms() + (is_usable(c) ? BACKGROUND_GAP_MS : FAILED_GAP_MS);
}

static void end_chain(struct credentials *c, enum provider_verdict verdict)
{
	set_phase(c, IDLE);
	if (verdict == PROVIDER_FOUND && !c->context->settings->region[0])
		keep_failure(c, &c->region_error);
	else if (verdict == PROVIDER_FOUND)
		take_keys(c);
	else
		keep_failure(c, &c->chain.error);
	chain_stop(&c->chain);
}

static void on_chain(struct chain *chain, enum provider_verdict verdict)
{
	struct credentials *c = chain->arg;

	end_chain(c, verdict);
	c->on_change(c->arg);
}

static void start_chain(struct credentials *c)
{
	enum provider_verdict verdict;

	set_phase(c, ASKING_CHAIN);
	verdict = chain_start(&c->chain);
	if (verdict != PROVIDER_PENDING)
		end_chain(c, verdict);
}

static void on_region(struct region_question *q, const char *region, const struct error *error)
{
	struct credentials *c = q->arg;

	if (region)
		identity_settings_set_region(c->context->settings, region, "IMDS");
	else
		c->region_error = *error;
	region_stop(q);
	start_chain(c);
	if (c->phase == IDLE)
		c->on_change(c->arg);
}

static void refresh(struct credentials *c)
{
	must(c->phase == IDLE);
	c->asked_mono = clock_mono_ms();
	identity_settings_read(c->context->settings);
	if (c->context->settings->region[0]) {
		start_chain(c);
		return;
	}
	set_phase(c, ASKING_REGION);
	c->region = (struct region_question){.context = c->context, .done = on_region, .arg = c};
	if (region_ask(&c->region, &c->region_error))
		start_chain(c);
}

enum err credentials_open(struct identity_context *context, void (*on_change)(void *arg), void *arg,
                          struct credentials **ret, struct error *e)
{
	struct credentials *c = mem_zero(sizeof *c);

	*ret = NULL;
	c->context = context;
	c->on_change = on_change;
	c->arg = arg;
	c->chain.context = context;
	c->chain.done = on_chain;
	c->chain.arg = c;
	c->tell = event_new(context->base, -1, 0, on_tell, c);
	if (!c->tell) {
		free(c);
		return error_set(e, ERR_MEMORY, "cannot make an event");
	}
	*ret = c;
	return ERR_OK;
}

static bool is_due(const struct credentials *c)
{
	if (c->phase != IDLE || clock_mono_ms() < c->not_before_mono)
		return false;
	return !is_usable(c) || (c->refresh_at_ms != 0 && now_ms(c) >= c->refresh_at_ms);
}

enum credentials_state credentials_get(struct credentials *c, const struct aws_keys **ret)
{
	*ret = NULL;
	if (is_due(c))
		refresh(c);
	/* Refused keys go on being shown until they may be asked for anew: the service's own words stay the reason. */
	if (is_usable(c) || (c->standing == REFUSED_KEYS && !c->failed && c->phase == IDLE)) {
		*ret = &c->keys;
		return CREDENTIALS_READY;
	}
	return c->phase == IDLE ? CREDENTIALS_NONE : CREDENTIALS_PENDING;
}

void credentials_stale(struct credentials *c, uint64_t generation)
{
	if (c->standing == NO_KEYS || c->standing == REFUSED_KEYS || (generation != 0 && generation != c->generation))
		return;
	/* An answer to a request signed with the keys before these arrives a little late. */
	if (generation == 0 && clock_mono_ms() - c->got_mono < STALE_GAP_MS)
		return;
	set_standing(c, REFUSED_KEYS);
	c->failed = false;
	c->not_before_mono = c->got_mono + FAILED_GAP_MS;
	(void)error_set(&c->error, ERR_CREDENTIALS, "%s: the service refused these credentials", c->source);
}

void credentials_look(struct credentials *c)
{
	if (c->phase != IDLE || (c->generation == 0 && !c->failed) ||
	    !profiles_changed(&c->context->settings->profiles))
		return;
	refresh(c);
	if (c->phase == IDLE)
		event_active(c->tell, 0, 0);
}

bool credentials_are_late(const struct credentials *c, int64_t after_ms, struct error *e)
{
	int64_t waited_ms = clock_mono_ms() - c->asked_mono;

	if (c->phase == IDLE || waited_ms < after_ms)
		return false;
	(void)error_set(e, ERR_CREDENTIALS, "waiting for %s, which has not answered for %d s",
	                c->phase == ASKING_REGION ? "IMDS to name the region" : c->chain.call.source,
	                (int)(waited_ms / MS_PER_S));
	return true;
}

uint64_t credentials_generation(const struct credentials *c) { return c->generation; }

void credentials_forget(struct credentials *c)
{
	bool was_pending = c->phase != IDLE;

	if (c->phase == ASKING_REGION)
		region_stop(&c->region);
	chain_stop(&c->chain);
	set_phase(c, IDLE);
	keys_wipe(&c->keys);
	set_standing(c, NO_KEYS);
	c->failed = false;
	c->not_before_mono = 0;
	c->source[0] = '\0';
	c->error = (struct error){0};
	if (was_pending)
		event_active(c->tell, 0, 0);
}

const struct error *credentials_error(const struct credentials *c) { return &c->error; }

const struct aws_keys *credentials_keys(const struct credentials *c)
{
	return c->standing == NO_KEYS ? NULL : &c->keys;
}

const char *credentials_source(const struct credentials *c) { return c->source; }

void credentials_close(struct credentials *c)
{
	if (!c)
		return;
	credentials_forget(c);
	event_free(c->tell);
	free(c);
}
