/*
 * daemon_world: a folder, a configuration, a real journal and what the daemon says of them. Included by the tests of
 * the daemon.
 */
#ifndef KSPOOL_TESTS_DAEMON_WORLD_H
#define KSPOOL_TESTS_DAEMON_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/config.h"
#include "daemon/status.h"
#include "rig/journalrig.h"

/* Two inputs, and a tail for more sections. */
#define WORLD_CONFIG                                                                                             \
	"input:\n  broker:\n    inputs:\n      - label: first\n        stdin: {}\n      - file: {paths: [/f]}\n" \
	"buffer: {sqlite: {path: /s}}\noutput: {aws_kinesis: {stream: s, partition_key: k, region: eu-west-1}}\n"

struct world {
	struct spooldir dir;
	struct config *config;
	struct journal *journal;
	struct delivery_status delivery;
	struct rates rates;
	struct status_source source;
};

static inline struct config *world_config(const char *text)
{
	const struct config_load_options load = {0};
	struct config_faults faults = {0};
	struct config *config = NULL;
	struct error e = {.code = ERR_OK};

	if (config_parse("test", text, strlen(text), &load, &config, &faults, &e) != ERR_OK)
		fail_msg("%s: %s", text, faults.count ? faults.items[0].text : e.text);
	config_faults_fini(&faults);
	return config;
}

static inline void world_open(struct world *w, const char *config)
{
	struct journal_options options = {0};
	struct store_report report;

	memset(w, 0, sizeof *w);
	metric_set(M_BACKLOG_OLDEST_MS, 0); /* of the test before */
	spooldir_make(&w->dir);
	options.store = spooldir_options(&w->dir);
	w->config = world_config(config);
	w->journal = rig_start(&options, &report);
	w->delivery.state = DELIVERY_FLOWING;
	w->source = (struct status_source){
	    .config = w->config,
	    .opened = w->config,
	    .journal = w->journal,
	    .delivery = &w->delivery,
	    .rates = &w->rates,
	    .started_ms = clock_wall_ms(),
	    .started_mono_ns = clock_mono_ns(),
	};
}

static inline void world_close(struct world *w)
{
	rig_stop(w->journal);
	config_free(w->config);
	spooldir_remove(&w->dir);
}

/* Stores `count` messages, received in 2023, and waits until the metrics say so: the journal sets them at its leisure.
 */
static inline void world_store(struct world *w, uint32_t count)
{
	struct answers answers = {0};

	rig_offer_and_wait(w->journal, rig_offer(1, count, 100, &answers));
	assert_int_equal(answers.accepted, 1);
	for (int i = 0; i < 2000 && metric_get(M_BACKLOG_OLDEST_MS) <= 0; i++)
		(void)usleep(5000);
	assert_true(metric_get(M_BACKLOG_OLDEST_MS) > 0);
}

static inline void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
}

static inline void assert_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("%s is in %s", part, text);
}

#endif
