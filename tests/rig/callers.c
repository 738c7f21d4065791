#include "rig/callers.h"

#include <elf.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

static struct {
	const ElfW(Sym) * symbols;
	size_t count;
	const char *names;
	uintptr_t base; /* where this program was loaded */
} program;

void callers_note(struct callers *to) { to->count = backtrace(to->frames, CALLERS_MAX); }

static int take_base(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	*(uintptr_t *)arg = info->dlpi_addr;
	return 1; /* the first one is the program */
}

/* By the system's calls themselves: a rig may be armed. */
static const unsigned char *map_program(void)
{
	const int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *all;

	must(fd >= 0 && syscall(SYS_fstat, fd, &st) == 0);
	all = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	must(all != MAP_FAILED);
	(void)syscall(SYS_close, fd);
	return all;
}

static void load(void)
{
	const unsigned char *all = map_program();
	const ElfW(Ehdr) *head = (const void *)all;
	const ElfW(Shdr) *sections = (const void *)(all + head->e_shoff);

	(void)dl_iterate_phdr(take_base, &program.base);
	for (size_t i = 0; i < head->e_shnum; i++)
		if (sections[i].sh_type == SHT_SYMTAB) {
			program.symbols = (const void *)(all + sections[i].sh_offset);
			program.count = sections[i].sh_size / sizeof *program.symbols;
			program.names = (const char *)all + sections[sections[i].sh_link].sh_offset;
		}
	must(program.count > 0);
}

const char *callers_name(const struct callers *c, int i)
{
	/* A return address may be that of the next function. */
	const uintptr_t at = (uintptr_t)c->frames[i] - 1;

	if (!program.symbols)
		load();
	for (size_t k = 0; k < program.count; k++) {
		const ElfW(Sym) *s = &program.symbols[k];

		if ((s->st_info & 0xf) == STT_FUNC && at - program.base >= s->st_value &&
		    at - program.base < s->st_value + s->st_size)
			return program.names + s->st_name;
	}
	return NULL;
}
