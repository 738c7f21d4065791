/* Any bytes as a copy that a small spool takes in: it is refused, or what is sound of it is here; the spool is sound.
 */
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/check.h"
#include "store/store.h"
#include "store/store_open.h"
#include "store/upkeep/store_copy.h"
#include "store/upkeep/store_upkeep.h"
#include "rig/fuzz.h"
#include "rig/fuzz_folder.h"

enum { SPOOL_BYTES = 16 << 20, MESSAGE_BYTES = 1 << 20 };

static void append(struct store *s)
{
	struct message *m = message_new(NULL, 0, "ours", 4, 1);
	struct error e;

	must(store_begin(s, &e) == ERR_OK && store_append(s, m, &e) == ERR_OK && store_commit(s, &e) == ERR_OK);
	message_free(m);
}

static void must_be_sound(const char *path)
{
	uint64_t problems = 0;
	struct error e;
	struct buf out;

	buf_init(&out, 1 << 20);
	must(store_check(path, &out, &problems, &e) == ERR_OK && problems == 0);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[80], copy[80];
	struct store_options o = {
	    .path = path, .create = true, .max_bytes = SPOOL_BYTES, .max_message_bytes = MESSAGE_BYTES};
	struct fuzz_folder dir;
	struct store *s = NULL;
	struct error e;
	uint64_t rows, again;

	if (size > 1 << 17)
		return 0;
	fuzz_folder_open(&dir);
	(void)snprintf(path, sizeof path, "%s/s", dir.path);
	(void)snprintf(copy, sizeof copy, "%s/copy", dir.path);
	fuzz_folder_write(copy, data, size);
	must(store_open(&o, &s, NULL, &e) == ERR_OK);
	append(s);
	if (store_import(s, copy, false, &rows, &e) == ERR_OK)
		must(store_import(s, copy, true, &again, &e) != ERR_OK || again >= rows);
	append(s);
	must(store_close(s, &e) == ERR_OK);
	must_be_sound(path);
	fuzz_folder_remove(&dir);
	return 0;
}
