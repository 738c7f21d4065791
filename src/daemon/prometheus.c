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

static void print_timing(struct buf *out, enum metric m, const char *name)
{
	static const double quantiles[] = {0.5, 0.9, 0.99};

	for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
		(void)buf_addf(out, "%s{quantile=\"%g\"} %" PRId64 "\n", name, quantiles[i],
		               metric_quantile_ns(m, quantiles[i]));
	(void)buf_addf(out, "%s_sum %" PRId64 "\n%s_count %" PRId64 "\n", name, metric_sum_ns(m), name, metric_get(m));
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

void prometheus_print(struct buf *out, bool with_process)
{
	const char *previous = "";
	int64_t all[METRIC_COUNT];

	metric_get_all(all);
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *info = metric_info((enum metric)m);

		if (strcmp(previous, info->name) != 0)
			print_head(out, info);
		previous = info->name;
		if (info->kind == METRIC_TIMING)
			print_timing(out, (enum metric)m, info->name);
		else if (info->labels[0])
			(void)buf_addf(out, "%s{%s} %" PRId64 "\n", info->name, info->labels, all[m]);
		else
			(void)buf_addf(out, "%s %" PRId64 "\n", info->name, all[m]);
	}
	series_print(out);
	if (with_process)
		print_process(out);
}
