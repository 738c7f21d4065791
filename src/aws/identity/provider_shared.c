/*
 * A profile of the shared files: its static keys, SSO login, process or web identity, and the roles it assumes from
 * another profile (source_profile, chained) or from a named source (credential_source).
 *
 * The profile is first turned into a plan without network: one leaf that yields keys, then roles from the innermost to
 * the profile's own. Order within a profile as in the SDKs: source_profile, static keys, credential_source, web
 * identity, SSO, process.
 */
#include "aws/identity/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/num.h"

enum { CHAIN_MAX = 8 };

struct plan {
	const struct provider *leaf; /* null: static keys of leaf_profile */
	const char *leaf_profile;
	struct fetch_role leaf_role; /* web identity */
	struct fetch_role roles[CHAIN_MAX];
	size_t role_count;
	const char *visited[CHAIN_MAX + 1];
	size_t visited_count;
};

struct walking {
	struct plan plan;
	struct fetch child;
	struct aws_keys base;
	char *name; /* copy: the profile's name outlives a new reading of the settings */
};

static const char *get(const struct fetch *f, const char *profile, const char *key)
{
	return profiles_get(&f->world->settings->profiles, profile, key);
}

static bool has_static(const struct fetch *f, const char *profile)
{
	return get(f, profile, "aws_access_key_id") || get(f, profile, "aws_secret_access_key");
}

static struct fetch_role role_of(const struct fetch *f, const char *profile)
{
	const char *duration = get(f, profile, "duration_seconds");
	struct fetch_role r = {.arn = get(f, profile, "role_arn"),
	                       .external_id = get(f, profile, "external_id"),
	                       .session_name = get(f, profile, "role_session_name")};

	if (duration && (!num_parse_i64(duration, &r.duration_s) || r.duration_s < 0))
		r.duration_s = 0;
	return r;
}

static enum fetch_verdict plan_source(struct fetch *f, struct plan *p, const char *profile, const char *source)
{
	static const struct {
		const char *name;
		const struct provider *provider;
	} rows[] = {{"Environment", &provider_environment},
	            {"Ec2InstanceMetadata", &provider_imds},
	            {"EcsContainer", &provider_container}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcasecmp(source, rows[i].name) == 0) {
			p->leaf = rows[i].provider;
			p->leaf_profile = profile;
			return FETCH_FOUND;
		}
	return fetch_fail(f,
	                  "profile %s: credential_source %.60s is not Environment, Ec2InstanceMetadata or EcsContainer",
	                  profile, source);
}

/* A profile without a role of its own, or whose role is assumed with its own keys. */
static enum fetch_verdict plan_leaf(struct fetch *f, struct plan *p, const char *profile)
{
	p->leaf_profile = profile;
	if (has_static(f, profile))
		p->leaf = NULL;
	else if (get(f, profile, "sso_session") || get(f, profile, "sso_start_url") ||
	         get(f, profile, "sso_account_id"))
		p->leaf = &provider_sso;
	else if (get(f, profile, "credential_process"))
		p->leaf = &provider_process;
	else if (p->visited_count > 1 || p->role_count > 0)
		return fetch_fail(f, "profile %s has no credentials", profile);
	else
		return fetch_absent(f, "profile %s has no credentials", profile);
	return FETCH_FOUND;
}

static bool was_visited(const struct plan *p, const char *profile)
{
	for (size_t i = 0; i < p->visited_count; i++)
		if (strcmp(p->visited[i], profile) == 0)
			return true;
	return false;
}

/* One profile with a role_arn; *next is the profile its base comes from, or null when the plan is whole. */
static enum fetch_verdict plan_role(struct fetch *f, struct plan *p, const char *profile, const char **next)
{
	const char *source = get(f, profile, "source_profile");
	const char *named = get(f, profile, "credential_source");
	const char *token_file = get(f, profile, "web_identity_token_file");

	*next = NULL;
	if (get(f, profile, "mfa_serial"))
		return fetch_fail(f, "profile %s asks for an MFA code, which a daemon cannot give", profile);
	if (source && named)
		return fetch_fail(f, "profile %s has both source_profile and credential_source", profile);
	if (!source && !named && token_file && !has_static(f, profile)) {
		p->leaf = &provider_role;
		p->leaf_profile = profile;
		p->leaf_role = role_of(f, profile);
		p->leaf_role.token_file = token_file;
		return FETCH_FOUND;
	}
	if (p->role_count == CHAIN_MAX)
		return fetch_fail(f, "more than %d roles in a chain of profiles", CHAIN_MAX);
	p->roles[p->role_count++] = role_of(f, profile);
	if (named)
		return plan_source(f, p, profile, named);
	if (!source || strcmp(source, profile) == 0)
		return has_static(f, profile)
		           ? plan_leaf(f, p, profile)
		           : fetch_fail(f, "profile %s has role_arn but nothing to assume it from", profile);
	if (was_visited(p, source))
		return fetch_fail(f, "profiles %s and %s are each other's source_profile", profile, source);
	*next = source;
	return FETCH_FOUND;
}

static enum fetch_verdict make_plan(struct fetch *f, struct plan *p, const char *profile)
{
	const struct settings *s = f->world->settings;

	while (profile) {
		const char *next = NULL;
		enum fetch_verdict verdict;

		if (!profiles_exists(&s->profiles, profile)) {
			if (p->visited_count > 0 || s->profile_named)
				return fetch_fail(f, "profile %s is in neither %.80s nor %.80s", profile,
				                  s->profiles.config_path, s->profiles.credentials_path);
			return fetch_absent(f, "there is no profile %s", profile);
		}
		p->visited[p->visited_count++] = profile;
		verdict = get(f, profile, "role_arn") ? plan_role(f, p, profile, &next) : plan_leaf(f, p, profile);
		if (verdict != FETCH_FOUND)
			return verdict;
		profile = next;
	}
	return FETCH_FOUND;
}

static enum fetch_verdict static_keys(struct fetch *f, const char *profile)
{
	const char *id = get(f, profile, "aws_access_key_id");
	const char *secret = get(f, profile, "aws_secret_access_key");

	if (!id || !secret)
		return fetch_fail(f, "profile %s has aws_%s but not aws_%s", profile,
		                  id ? "access_key_id" : "secret_access_key",
		                  id ? "secret_access_key" : "access_key_id");
	return fetch_found(f, id, secret, get(f, profile, "aws_session_token"), 0);
}

static void on_child(struct fetch *child, enum fetch_verdict verdict);

static enum fetch_verdict start_child(struct fetch *f, const struct provider *provider, const struct fetch_role *role)
{
	struct walking *w = f->state;

	memset(&w->child, 0, sizeof w->child);
	w->child.world = f->world;
	w->child.profile = w->plan.leaf_profile;
	w->child.role = *role;
	w->child.base = &w->base;
	w->child.done = on_child;
	w->child.arg = f;
	return fetch_start(&w->child, provider);
}

/* Goes on from a verdict of the child until one is pending or the last role is assumed. */
static enum fetch_verdict walk(struct fetch *f, enum fetch_verdict verdict)
{
	struct walking *w = f->state;

	while (verdict == FETCH_FOUND && w->plan.role_count > 0) {
		keys_move(&w->base, &w->child.keys);
		fetch_stop(&w->child);
		verdict = start_child(f, &provider_role, &w->plan.roles[--w->plan.role_count]);
	}
	if (verdict == FETCH_PENDING)
		return verdict;
	if (verdict == FETCH_FOUND)
		keys_move(&f->keys, &w->child.keys);
	else
		(void)fetch_fail(f, "%.60s: %.190s", w->child.source, w->child.reason);
	fetch_stop(&w->child);
	/* a leaf that is not configured is a broken profile, not a reason to look elsewhere */
	return verdict == FETCH_FOUND ? FETCH_FOUND : FETCH_FAILED;
}

static void on_child(struct fetch *child, enum fetch_verdict verdict)
{
	struct fetch *f = child->arg;

	verdict = walk(f, verdict);
	if (verdict != FETCH_PENDING)
		f->done(f, verdict);
}

static void name_source(struct fetch *f, const struct plan *p)
{
	const char *name = ((struct walking *)f->state)->name;

	if (p->role_count > 0 || p->leaf == &provider_role)
		(void)snprintf(f->source, sizeof f->source, "profile %.40s (role)", name);
	else
		(void)snprintf(f->source, sizeof f->source, "profile %.40s%s", name,
		               p->leaf == &provider_sso       ? " (SSO)"
		               : p->leaf == &provider_process ? " (process)"
		                                              : "");
}

static enum fetch_verdict start(struct fetch *f)
{
	const struct settings *s = f->world->settings;
	struct walking *w = mem_zero(sizeof *w);
	enum fetch_verdict verdict;

	f->state = w;
	w->name = mem_string(f->profile ? f->profile : s->profile);
	(void)snprintf(f->source, sizeof f->source, "profile %.40s", w->name);
	if (s->profiles.fault[0])
		return fetch_fail(f, "%s", s->profiles.fault);
	verdict = make_plan(f, &w->plan, w->name);
	if (verdict != FETCH_FOUND)
		return verdict;
	name_source(f, &w->plan);
	if (w->plan.leaf)
		return walk(f, start_child(f, w->plan.leaf, &w->plan.leaf_role));
	verdict = static_keys(f, w->plan.leaf_profile);
	if (verdict != FETCH_FOUND || w->plan.role_count == 0)
		return verdict;
	keys_move(&w->base, &f->keys);
	return walk(f, start_child(f, &provider_role, &w->plan.roles[--w->plan.role_count]));
}

static void stop(struct fetch *f)
{
	struct walking *w = f->state;

	fetch_stop(&w->child);
	keys_wipe(&w->base);
	free(w->name);
	free(w);
}

const struct provider provider_shared = {.name = "shared file", .start = start, .stop = stop};
