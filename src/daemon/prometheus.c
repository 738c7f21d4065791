#include "daemon/prometheus.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"
#include "base/series.h"

enum { LABELS_MAX_BYTES = 4096 };

static void print_head(struct buf *out, const struct metric_info *info)
{
	static const char *const types[] = {"counter", "gauge", "summary"};

	(void)buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->text, info->name, types[info->kind]);
}

/* Which component of Redpanda Connect's a metric is of, by the beginning of its name. */
static void add_component(struct buf *labels, const char *name, const struct config *config)
{
	static const struct {
		const char *begins, *path;
	} parts[] = {
	    {"input_", "root.input"},   {"processor_", "root.pipeline.processors"}, {"buffer_", "root.buffer"},
	    {"output_", "root.output"}, {"batch_created", "root.output.batching"},
	};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const char *label = "";

		if (strncmp(name, parts[i].begins, strlen(parts[i].begins)) != 0)
			continue;
		if (i == 0 && config->input_count == 1)
			label = config->inputs[0].label;
		else if (*parts[i].begins == 'o')
			label = config->output_label;
		series_add_label(labels, "label", label);
		series_add_label(labels, "path", parts[i].path);
		return;
	}
}

static void print_timing(struct buf *out, enum metric m, const char *name, const struct buf *labels)
{
	static const double quantiles[] = {0.5, 0.9, 0.99};

	const char *shown = labels->len ? labels->data : "", *comma = labels->len ? "," : "";
	const char *open = labels->len ? "{" : "", *close = labels->len ? "}" : "";

	for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
		(void)buf_addf(out, "%s{%s%squantile=\"%g\"} %" PRId64 "\n", name, shown, comma, quantiles[i],
		               metric_quantile_ns(m, quantiles[i]));
	(void)buf_addf(out, "%s_sum%s%s%s %" PRId64 "\n%s_count%s%s%s %" PRId64 "\n", name, open, shown, close,
	               metric_sum_ns(m), name, open, shown, close, metric_get(m));
}

static void print_process(struct buf *out)
{
	struct rusage usage;
	uint64_t open_files = 0, resident_pages = 0, total_pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");
	DIR *fds = opendir("/proc/self/fd");

	(void)getrusage(RUSAGE_SELF, &usage);
	if (statm) {
		if (fscanf(statm, "%" SCNu64 " %" SCNu64, &total_pages, &resident_pages) != 2)
			resident_pages = 0;
		(void)fclose(statm);
	}
	if (fds) {
		while (readdir(fds))
			open_files++;
		(void)closedir(fds);
	}
	(void)buf_addf(out,
	               "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
	               "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %" PRIu64 "\n"
	               "# TYPE process_open_fds gauge\nprocess_open_fds %" PRIu64 "\n",
	               (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
	               resident_pages * (uint64_t)sysconf(_SC_PAGESIZE), open_files > 3 ? open_files - 3 : 0);
}

static void print_shard(struct buf *out, const char *name, const struct delivery_shard *s, bool with_key,
                        uint64_t value)
{
	struct buf labels;

	buf_init(&labels, LABELS_MAX_BYTES);
	series_add_label(&labels, "shard", s->name);
	if (with_key)
		series_add_label(&labels, "key", s->key);
	(void)buf_addf(out, "%s{%.*s} %" PRIu64 "\n", name, (int)labels.len, labels.data, value);
	buf_fini(&labels);
}

void prometheus_print_shards(struct buf *out, const struct delivery_status *status)
{
	static const struct {
		const char *name, *text;
	} series[] = {
	    {"kspool_shard_records_per_second", "records that a shard that is full takes a second"},
	    {"kspool_shard_waiting", "messages that wait for a shard that is full"},
	    {"kspool_shard_key_percent", "part of a full shard's records that is its heaviest key's"},
	};

	for (size_t k = 0; k < sizeof series / sizeof *series && status->shard_count > 0; k++) {
		(void)buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", series[k].name, series[k].text, series[k].name);
		for (uint32_t i = 0; i < status->shard_count; i++) {
			const struct delivery_shard *s = &status->shards[i];
			const uint64_t values[] = {s->records_s, s->waiting + s->parked, s->key_percent};

			print_shard(out, series[k].name, s, k == 2, values[k]);
		}
	}
}

static void print_metric(struct buf *out, enum metric m, int64_t value, const struct config *config)
{
	const struct metric_info *info = metric_info(m);
	struct buf labels;

	buf_init(&labels, LABELS_MAX_BYTES);
	add_component(&labels, info->name, config);
	if (info->labels[0])
		(void)buf_addf(&labels, "%s%s", labels.len ? "," : "", info->labels);
	if (info->kind == METRIC_TIMING)
		print_timing(out, m, info->name, &labels);
	else if (labels.len)
		(void)buf_addf(out, "%s{%s} %" PRId64 "\n", info->name, labels.data, value);
	else
		(void)buf_addf(out, "%s %" PRId64 "\n", info->name, value);
	buf_fini(&labels);
}

void prometheus_print(struct buf *out, const struct config *config)
{
	const char *previous = "";
	int64_t all[METRIC_COUNT];

	metric_get_all(all);
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *info = metric_info((enum metric)m);

		if (strcmp(previous, info->name) != 0)
			print_head(out, info);
		previous = info->name;
		print_metric(out, (enum metric)m, all[m], config);
	}
	series_print(out);
	if (config->prometheus.add_process_metrics)
		print_process(out);
}
