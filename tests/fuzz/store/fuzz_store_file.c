/* Any bytes as the database file, with a tide mark that says it is ours: opening, reading and taking a message work. */
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"
#include "store/files/spool_files.h"
#include "store/store.h"
#include "rig/fuzz.h"
#include "rig/fuzz_folder.h"
#include "store/store_damage.h"
#include "store/store_dead.h"
#include "store/store_open.h"

static void write_files(const char *path, const uint8_t *data, size_t size)
{
	struct files f;
	struct error e;

	fuzz_folder_write(path, data, size);
	must(files_open(&f, path, &e) == ERR_OK);
	files_tide_open(&f);
	files_tide_write(&f, &(struct tide){.schema = 1, .id = 3});
	files_close(&f);
}

static void use(struct store *s)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m = message_new(NULL, 0, "new", 3, 1);
	struct store_report report;
	struct error e;
	uint32_t count;
	uint64_t last;
	enum err err = store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e);

	message_list_free(&list);
	if (err == ERR_DAMAGED)
		must(store_restart_damaged(s, &report, &e) == ERR_OK);
	err = store_begin(s, &e);
	if (err == ERR_OK)
		err = store_append(s, m, &e);
	if (err == ERR_OK)
		err = store_commit(s, &e);
	must(err == ERR_OK || err == ERR_DAMAGED);
	store_abandon(s);
	message_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[80];
	struct store_options o = {.path = path, .create = true};
	struct fuzz_folder dir;
	struct store *s = NULL;
	struct error e;
	enum err err;

	if (size > 1 << 16)
		return 0;
	fuzz_folder_open(&dir);
	(void)snprintf(path, sizeof path, "%s/s", dir.path);
	write_files(path, data, size);
	err = store_open(&o, &s, NULL, &e);
	must(err == ERR_OK || err == ERR_ENVIRONMENT || err == ERR_CONFIG);
	if (err == ERR_OK)
		use(s);
	fuzz_folder_remove(&dir);
	return 0;
}
