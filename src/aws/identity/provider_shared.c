/*
 * A profile of the shared files: its static keys, SSO login, process or web identity, and the roles it assumes from
 * another profile (source_profile, chained) or from a named source (credential_source).
 *
 * The profile is first turned into a plan without network: one leaf that yields keys, then roles from the innermost to
 * the profile's own. Order within a profile as in the SDKs: source_profile, static keys, credential_source, web
 * identity, SSO, process.
 *
 * Invariants:
 *  1. A plan has one leaf and at most CHAIN_MAX roles; roles are assumed from the last to the first.
 *  2. No profile is visited twice but its own keys, so planning ends.
 *  3. One child call is under way at most; the keys it is given (base) are those of the step before.
 */
#include "aws/identity/provider.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/num.h"

enum { CHAIN_MAX = 8 };

struct plan {
	const struct provider *leaf; /* null: static keys of leaf_profile */
	const char *leaf_profile;
	struct assumed_role leaf_role; /* web identity */
	struct assumed_role roles[CHAIN_MAX];
	size_t role_count;
	const char *visited[CHAIN_MAX + 1];
	size_t visited_count;
};

struct walking {
	struct plan plan;
	struct provider_call child;
	struct aws_keys base;
	char *name; /* copy: the profile's name outlives a new reading of the settings */
};

static const char *get(const struct provider_call *call, const char *profile, const char *key)
{
	return profiles_get(&call->context->settings->profiles, profile, key);
}

static bool has_static(const struct provider_call *call, const char *profile)
{
	return get(call, profile, "aws_access_key_id") || get(call, profile, "aws_secret_access_key");
}

static struct assumed_role role_of(const struct provider_call *call, const char *profile)
{
	const char *duration = get(call, profile, "duration_seconds");
	struct assumed_role r = {.arn = get(call, profile, "role_arn"),
	                         .external_id = get(call, profile, "external_id"),
	                         .session_name = get(call, profile, "role_session_name")};

	if (duration && (!num_parse_i64(duration, &r.duration_s) || r.duration_s < 0))
		r.duration_s = 0;
	return r;
}

static enum provider_verdict plan_source(struct provider_call *call, struct plan *p, const char *profile,
                                         const char *source)
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
			return PROVIDER_FOUND;
		}
	return provider_fail(call,
	                     "profile %s: credential_source %s is not Environment, Ec2InstanceMetadata or EcsContainer",
	                     profile, source);
}

/* A profile without a role of its own, or whose role is assumed with its own keys. */
static enum provider_verdict plan_leaf(struct provider_call *call, struct plan *p, const char *profile)
{
	p->leaf_profile = profile;
	if (has_static(call, profile))
		p->leaf = NULL;
	else if (get(call, profile, "sso_session") || get(call, profile, "sso_start_url") ||
	         get(call, profile, "sso_account_id"))
		p->leaf = &provider_sso;
	else if (get(call, profile, "credential_process"))
		p->leaf = &provider_process;
	else if (p->visited_count > 1 || p->role_count > 0)
		return provider_fail(call, "profile %s has no credentials", profile);
	else
		return provider_absent(call, "profile %s has no credentials", profile);
	return PROVIDER_FOUND;
}

static bool was_visited(const struct plan *p, const char *profile)
{
	for (size_t i = 0; i < p->visited_count; i++)
		if (strcmp(p->visited[i], profile) == 0)
			return true;
	return false;
}

/* One profile with a role_arn; *next is the profile its base comes from, or null when the plan is whole. */
static enum provider_verdict plan_role(struct provider_call *call, struct plan *p, const char *profile,
                                       const char **next)
{
	const char *source = get(call, profile, "source_profile");
	const char *named = get(call, profile, "credential_source");
	const char *token_file = get(call, profile, "web_identity_token_file");

	*next = NULL;
	if (get(call, profile, "mfa_serial"))
		return provider_fail(call, "profile %s asks for an MFA code, which a daemon cannot give", profile);
	if (source && named)
		return provider_fail(call, "profile %s has both source_profile and credential_source", profile);
	if (!source && !named && token_file && !has_static(call, profile)) {
		p->leaf = &provider_role;
		p->leaf_profile = profile;
		p->leaf_role = role_of(call, profile);
		p->leaf_role.token_file = token_file;
		return PROVIDER_FOUND;
	}
	if (p->role_count == CHAIN_MAX)
		return provider_fail(call, "more than %d roles in a chain of profiles", CHAIN_MAX);
	p->roles[p->role_count++] = role_of(call, profile);
	if (named)
		return plan_source(call, p, profile, named);
	if (!source || strcmp(source, profile) == 0) {
		if (has_static(call, profile))
			return plan_leaf(call, p, profile);
		return provider_fail(call, "profile %s has role_arn but nothing to assume it from", profile);
	}
	if (was_visited(p, source))
		return provider_fail(call, "profiles %s and %s are each other's source_profile", profile, source);
	*next = source;
	return PROVIDER_FOUND;
}

static enum provider_verdict make_plan(struct provider_call *call, struct plan *p, const char *profile)
{
	const struct identity_settings *s = call->context->settings;

	while (profile) {
		const char *next = NULL;
		enum provider_verdict verdict;

		if (!profiles_exists(&s->profiles, profile)) {
			if (p->visited_count > 0 || s->profile_named)
				return provider_fail(call, "profile %s is in neither %s nor %s", profile,
				                     s->profiles.config_path, s->profiles.credentials_path);
			return provider_absent(call, "there is no profile %s", profile);
		}
		p->visited[p->visited_count++] = profile;
		verdict =
		    get(call, profile, "role_arn") ? plan_role(call, p, profile, &next) : plan_leaf(call, p, profile);
		if (verdict != PROVIDER_FOUND)
			return verdict;
		profile = next;
	}
	return PROVIDER_FOUND;
}

static enum provider_verdict static_keys(struct provider_call *call, const char *profile)
{
	const char *id = get(call, profile, "aws_access_key_id");
	const char *secret = get(call, profile, "aws_secret_access_key");

	if (!id || !secret)
		return provider_fail(call, "profile %s has aws_%s but not aws_%s", profile,
		                     id ? "access_key_id" : "secret_access_key",
		                     id ? "secret_access_key" : "access_key_id");
	return provider_found(call, id, secret, get(call, profile, "aws_session_token"), 0);
}

static void on_child(struct provider_call *child, enum provider_verdict verdict);

static enum provider_verdict start_child(struct provider_call *call, const struct provider *provider,
                                         const struct assumed_role *role)
{
	struct walking *w = call->state;

	memset(&w->child, 0, sizeof w->child);
	w->child.context = call->context;
	w->child.profile = w->plan.leaf_profile;
	w->child.role = *role;
	w->child.base = &w->base;
	w->child.done = on_child;
	w->child.arg = call;
	return provider_start(&w->child, provider);
}

/* Goes on from a verdict of the child until one is pending or the last role is assumed. */
static enum provider_verdict walk(struct provider_call *call, enum provider_verdict verdict)
{
	struct walking *w = call->state;

	while (verdict == PROVIDER_FOUND && w->plan.role_count > 0) {
		keys_move(&w->base, &w->child.keys);
		provider_stop(&w->child);
		verdict = start_child(call, &provider_role, &w->plan.roles[--w->plan.role_count]);
	}
	if (verdict == PROVIDER_PENDING)
		return verdict;
	if (verdict == PROVIDER_FOUND) {
		keys_move(&call->keys, &w->child.keys);
	} else {
		call->error = w->child.error;
		(void)error_wrap(&call->error, "%s", w->child.source);
	}
	provider_stop(&w->child);
	/* a leaf that is not configured is a broken profile, not a reason to look elsewhere */
	return verdict == PROVIDER_FOUND ? PROVIDER_FOUND : PROVIDER_FAILED;
}

static void on_child(struct provider_call *child, enum provider_verdict verdict)
{
	struct provider_call *call = child->arg;

	verdict = walk(call, verdict);
	if (verdict != PROVIDER_PENDING)
		call->done(call, verdict);
}

static void name_source(struct provider_call *call, const struct plan *p)
{
	const char *name = ((struct walking *)call->state)->name, *how = "";

	if (p->role_count > 0 || p->leaf == &provider_role)
		how = " (role)";
	else if (p->leaf == &provider_sso)
		how = " (SSO)";
	else if (p->leaf == &provider_process)
		how = " (process)";
	provider_name_source(call, "profile %s%s", name, how);
}

static enum provider_verdict start(struct provider_call *call)
{
	const struct identity_settings *s = call->context->settings;
	struct walking *w = mem_zero(sizeof *w);
	enum provider_verdict verdict;

	call->state = w;
	w->name = mem_string(call->profile ? call->profile : s->profile);
	provider_name_source(call, "profile %s", w->name);
	if (s->profiles.fault.code) {
		call->error = s->profiles.fault;
		return PROVIDER_FAILED;
	}
	verdict = make_plan(call, &w->plan, w->name);
	if (verdict != PROVIDER_FOUND)
		return verdict;
	name_source(call, &w->plan);
	if (w->plan.leaf)
		return walk(call, start_child(call, w->plan.leaf, &w->plan.leaf_role));
	verdict = static_keys(call, w->plan.leaf_profile);
	if (verdict != PROVIDER_FOUND || w->plan.role_count == 0)
		return verdict;
	keys_move(&w->base, &call->keys);
	return walk(call, start_child(call, &provider_role, &w->plan.roles[--w->plan.role_count]));
}

static void stop(struct provider_call *call)
{
	struct walking *w = call->state;

	provider_stop(&w->child);
	keys_wipe(&w->base);
	free(w->name);
	free(w);
}

const struct provider provider_shared = {.name = "shared file", .start = start, .stop = stop};
