/*
 * credential_process of a profile: a command whose standard output is the credentials.
 *
 * Started without a shell (shell_words.h), in its own process group, input and errors at /dev/null, its output read by
 * the loop. Killed after TIME_LIMIT or more than OUTPUT_MAX bytes. The end of the command ends the output: a child that
 * it left behind may hold the pipe for ever. Source: AWS SDKs and Tools Reference Guide, "Process credential provider".
 */
#include "aws/identity/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/wait.h>

#include <event2/event.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/secret_file.h"
#include "aws/identity/shell_words.h"

enum { OUTPUT_MAX = 64 * 1024, TIME_LIMIT_MS = 60 * MS_PER_S, POLL_MS = 20 };

struct running {
	pid_t pid;
	int fd;
	struct event *readable;
	struct event *timer; /* the next look whether the command has ended */
	struct buf output;
	int64_t deadline_ms;
};

static void arm(struct running *r, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / MS_PER_S, .tv_usec = ms % MS_PER_S * 1000};

	(void)evtimer_add(r->timer, &tv);
}

static void end(struct provider_call *call, enum provider_verdict verdict)
{
	struct running *r = call->state;

	(void)event_del(r->readable);
	(void)event_del(r->timer);
	call->done(call, verdict);
}

static void judge(struct provider_call *call, int status)
{
	struct running *r = call->state;
	enum err err;

	if (WIFSIGNALED(status)) {
		end(call, provider_fail(call, "the command was killed by signal %d", WTERMSIG(status)));
		return;
	}
	if (WEXITSTATUS(status) != 0) {
		end(call, provider_fail(call, "the command failed with status %d", WEXITSTATUS(status)));
		return;
	}
	err = credential_reply_process(r->output.data ? r->output.data : (char[]){""}, r->output.len, &call->keys,
	                               &call->error);
	end(call, provider_judge(err));
}

/* Takes what there is; false when the provider has ended. */
static bool take_output(struct provider_call *call)
{
	struct running *r = call->state;

	for (;;) {
		char *room;
		ssize_t n;

		if (r->output.len == r->output.max || buf_reserve(&r->output, r->output.max - r->output.len, &room)) {
			end(call, provider_fail(call, "the command's output is larger than %d bytes", OUTPUT_MAX));
			return false;
		}
		n = read(r->fd, room, r->output.max - r->output.len);
		if (n > 0) {
			buf_advance(&r->output, (size_t)n);
		} else if (n == 0) {
			(void)event_del(r->readable); /* it may go on without output */
			return true;
		} else if (errno == EAGAIN) {
			return true;
		} else if (errno != EINTR) {
			end(call, provider_fail(call, "the command's output cannot be read"));
			return false;
		}
	}
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct provider_call *call = arg;
	struct running *r = call->state;
	int status;
	pid_t got;

	(void)fd;
	(void)events;
	if (clock_mono_ms() >= r->deadline_ms) {
		end(call, provider_fail(call, "the command ran for more than %d s", TIME_LIMIT_MS / MS_PER_S));
		return;
	}
	got = waitpid(r->pid, &status, WNOHANG);
	if (got == 0 || (got < 0 && errno == EINTR)) {
		arm(r, POLL_MS);
	} else if (got < 0) {
		r->pid = 0; /* somebody else waited for it */
		end(call, provider_fail(call, "the command's end cannot be learned"));
	} else {
		r->pid = 0;
		if (take_output(call))
			judge(call, status);
	}
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)take_output(arg);
}

static int spawn(char **words, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, usual;
	int fault;

	if (posix_spawn_file_actions_init(&files))
		return ENOMEM;
	if (posix_spawnattr_init(&attributes)) {
		(void)posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	(void)sigemptyset(&none);
	(void)sigemptyset(&usual);
	(void)sigaddset(&usual, SIGPIPE);
	(void)sigaddset(&usual, SIGCHLD);
	(void)sigaddset(&usual, SIGXFSZ);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &usual);
	(void)posix_spawnattr_setpgroup(&attributes, 0);
	(void)posix_spawnattr_setflags(&attributes,
	                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	(void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	fault = posix_spawnp(ret, words[0], &files, &attributes, words, environ);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&files);
	return fault;
}

static enum provider_verdict run(struct provider_call *call, char **words)
{
	struct running *r = call->state;
	int pipes[2], fault;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return provider_fail(call, "no pipe for the command: %s", strerror(errno));
	r->fd = pipes[0];
	/* the write end is the command's: it must not inherit our O_NONBLOCK */
	(void)fcntl(pipes[1], F_SETFL, 0);
	fault = spawn(words, pipes[1], &r->pid);
	(void)close(pipes[1]);
	if (fault) {
		r->pid = 0;
		return provider_fail(call, "the command %s cannot be started: %s", words[0], strerror(fault));
	}
	r->deadline_ms = clock_mono_ms() + TIME_LIMIT_MS;
	r->readable = event_new(call->context->base, r->fd, EV_READ | EV_PERSIST, on_readable, call);
	r->timer = evtimer_new(call->context->base, on_timer, call);
	if (!r->readable || !r->timer || event_add(r->readable, NULL))
		return provider_fail(call, "no event for the command");
	arm(r, POLL_MS);
	return PROVIDER_PENDING;
}

static enum provider_verdict start(struct provider_call *call)
{
	const char *command = profiles_get(&call->context->settings->profiles, call->profile, "credential_process");
	char **words = command ? shell_words_split(command) : NULL;
	struct running *r;
	enum provider_verdict verdict;

	if (!words)
		return provider_fail(call, "credential_process is not a command (an open quote?)");
	r = mem_zero(sizeof *r);
	r->fd = -1;
	call->state = r;
	buf_init(&r->output, OUTPUT_MAX);
	verdict = run(call, words);
	shell_words_free(words);
	return verdict;
}

static void stop(struct provider_call *call)
{
	struct running *r = call->state;

	if (r->readable)
		event_free(r->readable);
	if (r->timer)
		event_free(r->timer);
	if (r->fd >= 0)
		(void)close(r->fd);
	if (r->pid > 0) {
		(void)kill(-r->pid, SIGKILL);
		while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR) {
		}
	}
	secret_file_wipe(&r->output);
	free(r);
}

const struct provider provider_process = {.name = "process", .start = start, .stop = stop, .network = true};
