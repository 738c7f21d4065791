/*
 * replay: runs a fuzz target over the files of its corpus, and over every prefix of each file up to 64 bytes, so that
 * the corpora are ordinary tests. A missing folder is a failure: a corpus nobody replays protects nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rig/fuzz.h"

static void run_exact(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* its own block, so that a sanitizer sees reads past the end */

	if (!copy)
		abort();
	memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f)
		return 0;
	n = fread(data, 1, sizeof data, f);
	(void)fclose(f);
	for (size_t prefix = 0; prefix < n && prefix < 64; prefix++)
		run_exact(data, prefix);
	run_exact(data, n);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long files = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		struct dirent *entry;

		if (!d) {
			(void)fprintf(stderr, "replay: no corpus at %s\n", argv[i]);
			return 1;
		}
		while ((entry = readdir(d))) {
			char path[4096];

			if (entry->d_name[0] == '.')
				continue;
			(void)snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			files += (unsigned long)run_file(path);
		}
		(void)closedir(d);
	}
	(void)printf("replayed %lu files\n", files);
	return files > 0 ? 0 : 1;
}
