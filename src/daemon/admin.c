#include "daemon/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonout.h"
#include "base/mem.h"
#include "daemon/prometheus.h"

enum { ANSWER_MAX_BYTES = 1 << 20, METRICS_MAX_BYTES = 8 << 20 };

static const char json[] = "application/json";

static void answer_buf(struct httpd_request *r, int status, const char *type, struct buf *body)
{
	httpd_answer(r, status, type, NULL, body->data ? body->data : "", body->len);
	buf_fini(body);
}

static void answer_ping(struct httpd_request *r, void *arg)
{
	(void)arg;
	httpd_answer(r, 200, "text/plain", NULL, "pong", 4);
}

static void answer_ready(struct httpd_request *r, void *arg)
{
	struct status_source *s = arg;
	char why[512];
	struct buf body;
	bool ready;

	status_look(s);
	ready = status_is_ready(s, why, sizeof why);
	buf_init(&body, ANSWER_MAX_BYTES);
	if (httpd_is_for_us(r))
		status_print_ready(s, &body, ready, why);
	answer_buf(r, ready ? 200 : 503, json, &body);
}

static void answer_version(struct httpd_request *r, void *arg)
{
	static const char text[] = "{\"version\":\"" KSPOOL_VERSION "\",\"built\":\"kspool\"}\n";

	(void)arg;
	httpd_answer(r, 200, json, NULL, text, sizeof text - 1);
}

static void answer_metrics(struct httpd_request *r, void *arg)
{
	struct status_source *s = arg;
	struct buf body;

	status_look(s);
	if (!s->config->metrics_prometheus) {
		httpd_answer(r, 404, "text/plain", NULL, "metrics are off\n", 16);
		return;
	}
	buf_init(&body, METRICS_MAX_BYTES);
	prometheus_print(&body, s->config);
	prometheus_print_shards(&body, s->delivery);
	while (body.overflow && body.len > 0 && body.data[body.len - 1] != '\n') /* whole lines only */
		body.len--;
	answer_buf(r, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static void answer_status(struct httpd_request *r, void *arg)
{
	struct buf body;

	status_look(arg);
	buf_init(&body, ANSWER_MAX_BYTES);
	status_print(arg, &body);
	answer_buf(r, 200, json, &body);
}

static void answer_endpoints(struct httpd_request *r, void *arg);

static const struct {
	const char *path;
	httpd_handler *handler;
	const char *text;
	bool is_probed;
} shown[] = {
    {"/ping", answer_ping, "Answers pong: the process is alive.", true},
    {"/ready", answer_ready, "200 while messages are accepted and delivered, 503 with the reason otherwise.", true},
    {"/version", answer_version, "The version.", false},
    {"/endpoints", answer_endpoints, "This list.", false},
    {"/metrics", answer_metrics, "Metrics for Prometheus.", false},
    {"/stats", answer_metrics, "The same as /metrics.", false},
    {"/status", answer_status, "Ledger, backlog, rates and the state of the stream, as json.", false},
};

static void answer_endpoints(struct httpd_request *r, void *arg)
{
	struct buf body;
	struct jsonout j;

	(void)arg;
	buf_init(&body, ANSWER_MAX_BYTES);
	jsonout_init(&j, &body);
	jsonout_object(&j, NULL);
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		jsonout_text(&j, shown[i].path, shown[i].text);
	jsonout_object_end(&j);
	(void)buf_add_char(&body, '\n');
	answer_buf(r, 200, json, &body);
}

void admin_show(struct httpd *server, struct status_source *source)
{
	const char *root = source->config->http.root_path;

	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		struct httpd_endpoint endpoint = {.methods = "GET",
		                                  .path = shown[i].path,
		                                  .handler = shown[i].handler,
		                                  .arg = source,
		                                  .is_probed = shown[i].is_probed};
		char path[512];

		httpd_serve(server, &endpoint);
		(void)snprintf(path, sizeof path, "%s%s", root ? root : "", shown[i].path);
		endpoint.path = path;
		if (root && root[0] == '/' && root[1])
			httpd_serve(server, &endpoint);
	}
}
