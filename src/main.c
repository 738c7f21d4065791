/* kspool: argument zero of the command line, looked up in the table of commands. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h> /* mallopt */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include <event2/event.h>
#include <openssl/crypto.h>

#include "base/mem.h"
#include "cli/commands.h"

enum { MAPPED_FROM_BYTES = 1 << 20, TRIMMED_FROM_BYTES = 2 << 20, ARENAS_MAX = 1 };

static int wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return 1;
	return 0;
}

/*
 * A closed standard descriptor would be given to the next file opened: the log would go into a spool, or a spool would
 * be read as input. Each is taken by /dev/null, opened so that its use still fails.
 */
static int standard_descriptors_exist(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			return 0;
	return 1;
}

/* What could not be printed is a failure: a full disk or a closed descriptor at the other end. */
static int printed(const char *name, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	(void)fprintf(stderr, "kspool %s: cannot write to standard output: %s\n", name, strerror(errno));
	return status == EX_OK ? EX_IOERR : status;
}

static int help_with(const char *name)
{
	for (unsigned i = 0; i < command_count; i++)
		if (strcmp(name, commands[i].name) == 0) {
			command_print_help(&commands[i]);
			return EX_OK;
		}
	return command_unknown(name);
}

static int run(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "help") == 0)
		return help_with(argv[2]);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		command_print_overview();
		return argc < 2 ? EX_USAGE : EX_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("kspool " KSPOOL_VERSION "\n");
		return EX_OK;
	}
	for (unsigned i = 0; i < command_count; i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		if (wants_help(argc - 1, argv + 1)) {
			command_print_help(&commands[i]);
			return EX_OK;
		}
		return commands[i].run(argc - 1, argv + 1);
	}
	if (argv[1][0] == '-') { /* as older versions of Redpanda Connect are called */
		static char name[] = "run";

		argv[0] = name;
		return command_run(argc, argv);
	}
	return command_unknown(argv[1]);
}

static void *crypto_alloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size == 0 ? NULL : mem_alloc(size);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static void *crypto_resize(void *old, size_t size, const char *file, int line)
{
	if (size > 0)
		return mem_resize(old, size);
	crypto_free(old, file, line);
	return NULL;
}

/* A library without memory would go on with half of what it does, or crash. aws/transport does the same for libcurl. */
static void end_without_memory(void)
{
	event_set_mem_functions(mem_alloc, mem_resize, free);
	(void)CRYPTO_set_mem_functions(crypto_alloc, crypto_resize, crypto_free);
}

/*
 * What is large goes back to the system when it is freed, and what is small is in one heap. By itself glibc learns from
 * the first large block to keep such in its heaps, one for each thread, where what is small pins them: that was half as
 * much again as was ever in use (promise 6).
 */
static void keep_nothing_freed(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, TRIMMED_FROM_BYTES);
	(void)mallopt(M_ARENA_MAX, ARENAS_MAX);
#endif
}

int main(int argc, char **argv)
{
	keep_nothing_freed();
	end_without_memory();
	(void)umask(umask(0) & (S_IRWXG | S_IRWXO)); /* what is ours we can read ourselves, whoever starts us */
	(void)signal(SIGXFSZ, SIG_IGN);              /* past ulimit -f a write fails, as on a full disk */
	if (!standard_descriptors_exist())
		return EX_OSERR;
	return printed(argc < 2 ? "" : argv[1], run(argc, argv));
}
