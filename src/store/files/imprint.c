/*
 * What was written, kept small.
 *
 * Invariants:
 * 1. Where the header is known, frames[0, frame_count) are the frames that stand behind it, without a gap.
 * 2. A page is compared only when its own frame and the one before it are known: its checksum begins with that one's.
 * 3. sums[0, sum_count) are of the pages of a file at least so long.
 * 4. What has none of the shapes in which SQLite writes a log makes nothing known, and all behind it unknown.
 */
#include "store/files/imprint.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "store/files/wal_format.h"

enum {
	LOG_FIXED = 2,   /* pieces of a log: its last frame, its header */
	HEAD_PAGES = 16, /* of a database: the first pages of its tables, the ledger's among them */
	SAMPLES = 64,    /* frames or pages */
	PAGES_KNOWN = 65536,
};

struct imprint {
	enum imprint_of of;
	bool is_empty; /* the file has no byte */
	uint32_t page_bytes;
	/* a log */
	bool has_header;
	unsigned char header[WAL_HEADER_BYTES];
	struct wal_frame *frames;
	size_t frame_count, frame_capacity;
	size_t page_due; /* 1 + the frame whose header was written last; 0: its page was too */
	/* a database */
	uint32_t *sums; /* of its pages; 0: not known */
	size_t sum_count, sum_capacity;
	unsigned looks;
};

/* What a piece of a log is, by where it stands and how long it is. */
enum shape { SHAPE_OTHER, SHAPE_HEADER, SHAPE_FRAME_HEADER, SHAPE_PAGE, SHAPE_FRAME };

struct imprint *imprint_new(enum imprint_of of)
{
	struct imprint *p = mem_zero(sizeof *p);

	p->of = of;
	return p;
}

void imprint_free(struct imprint *p)
{
	if (!p)
		return;
	free(p->frames);
	free(p->sums);
	free(p);
}

static size_t frame_bytes(const struct imprint *p) { return WAL_FRAME_HEADER_BYTES + (size_t)p->page_bytes; }

static int64_t frame_offset(const struct imprint *p, size_t frame)
{
	return WAL_HEADER_BYTES + (int64_t)(frame * frame_bytes(p));
}

/* The frame in which a byte behind the header stands. */
static size_t frame_at(const struct imprint *p, int64_t offset)
{
	return (size_t)(offset - WAL_HEADER_BYTES) / frame_bytes(p);
}

static enum shape shape_of(const struct imprint *p, size_t count, int64_t offset, size_t *ret_frame)
{
	size_t within;

	if (offset == 0)
		return count == WAL_HEADER_BYTES ? SHAPE_HEADER : SHAPE_OTHER;
	if (!p->has_header || offset < WAL_HEADER_BYTES)
		return SHAPE_OTHER;
	*ret_frame = frame_at(p, offset);
	within = (size_t)(offset - frame_offset(p, *ret_frame));
	if (within == 0 && count == WAL_FRAME_HEADER_BYTES)
		return SHAPE_FRAME_HEADER;
	if (within == 0 && count == frame_bytes(p))
		return SHAPE_FRAME;
	return within == WAL_FRAME_HEADER_BYTES && count == p->page_bytes ? SHAPE_PAGE : SHAPE_OTHER;
}

static void note_header(struct imprint *p, const unsigned char *data)
{
	memcpy(p->header, data, sizeof p->header);
	p->has_header = wal_header_is_sound(data, &p->page_bytes);
	p->frame_count = 0;
}

/* As many as must be and more, so that it does not happen often. */
static void *grown(void *items, size_t *capacity, size_t least, size_t size)
{
	if (*capacity >= least)
		return items;
	*capacity = least > 128 ? least * 2 : 256;
	return mem_grow(items, *capacity, size);
}

/* The frames behind it are not part of the log any more, or are about to be written anew. */
static void note_frame(struct imprint *p, size_t frame, const unsigned char *data)
{
	if (frame > p->frame_count)
		return;
	p->frames = grown(p->frames, &p->frame_capacity, frame + 1, sizeof *p->frames);
	p->frames[frame] = wal_frame_of(data);
	p->frame_count = frame + 1;
}

static void wrote_log(struct imprint *p, const unsigned char *data, size_t count, int64_t offset)
{
	size_t frame;

	switch (shape_of(p, count, offset, &frame)) {
	case SHAPE_HEADER:
		note_header(p, data);
		break;
	case SHAPE_FRAME_HEADER:
		note_frame(p, frame, data);
		p->page_due = frame + 1;
		break;
	case SHAPE_PAGE:
		if (p->page_due !=
		    frame + 1) /* another page in its place: SQLite writes the headers from here on anew */
			imprint_forget(p, offset);
		p->page_due = 0;
		break;
	case SHAPE_FRAME:
	case SHAPE_OTHER:
		imprint_forget(p, offset);
		break;
	}
}

/* False: it is no page, or one too far behind. */
static bool is_page(const struct imprint *p, size_t count, int64_t offset, size_t *ret_page)
{
	if (!wal_is_page_size((uint32_t)count) || offset % (int64_t)count != 0 ||
	    (p->page_bytes != 0 && p->page_bytes != count))
		return false;
	*ret_page = (size_t)(offset / (int64_t)count);
	return *ret_page < PAGES_KNOWN;
}

static void wrote_database(struct imprint *p, const void *data, size_t count, int64_t offset)
{
	size_t page;

	if (!is_page(p, count, offset, &page)) {
		imprint_forget(p, offset);
		return;
	}
	p->page_bytes = (uint32_t)count;
	p->sums = grown(p->sums, &p->sum_capacity, page + 1, sizeof *p->sums);
	for (; p->sum_count <= page; p->sum_count++)
		p->sums[p->sum_count] = 0;
	p->sums[page] = crc32c(0, data, count);
}

void imprint_wrote(struct imprint *p, const void *data, size_t count, int64_t offset)
{
	p->is_empty = false;
	if (p->of == IMPRINT_OF_LOG)
		wrote_log(p, data, count, offset);
	else
		wrote_database(p, data, count, offset);
}

void imprint_forget(struct imprint *p, int64_t offset)
{
	p->is_empty = false;
	if (p->of == IMPRINT_OF_DATABASE) {
		if (p->page_bytes > 0 && (size_t)offset / p->page_bytes < p->sum_count)
			p->sum_count = (size_t)offset / p->page_bytes;
		return;
	}
	if (offset < WAL_HEADER_BYTES)
		p->has_header = false;
	else if (p->has_header && frame_at(p, offset) < p->frame_count)
		p->frame_count = frame_at(p, offset);
	p->page_due = 0;
}

void imprint_cut(struct imprint *p, int64_t size)
{
	imprint_forget(p, size);
	p->is_empty = size == 0;
}

static bool frame_fits(const struct imprint *p, size_t frame, const unsigned char *data)
{
	const struct wal_frame now = wal_frame_of(data);

	return frame >= p->frame_count ||
	       (wal_frame_is_live(data, p->header) && memcmp(&now, &p->frames[frame], sizeof now) == 0);
}

static bool page_fits(const struct imprint *p, size_t frame, const unsigned char *page)
{
	return frame >= p->frame_count || wal_page_follows(p->header, frame == 0 ? NULL : &p->frames[frame - 1],
	                                                   &p->frames[frame], page, p->page_bytes);
}

static bool fits_log(const struct imprint *p, const unsigned char *data, size_t count, int64_t offset)
{
	size_t frame;

	switch (shape_of(p, count, offset, &frame)) {
	case SHAPE_HEADER:
		return !p->has_header || memcmp(data, p->header, sizeof p->header) == 0;
	case SHAPE_FRAME_HEADER:
	case SHAPE_FRAME:
		return frame_fits(p, frame, data);
	case SHAPE_PAGE:
		return page_fits(p, frame, data);
	case SHAPE_OTHER:
		break;
	}
	return true;
}

bool imprint_fits(const struct imprint *p, const void *data, size_t count, int64_t offset)
{
	size_t page;

	if (p->of == IMPRINT_OF_LOG)
		return fits_log(p, data, count, offset);
	if (!is_page(p, count, offset, &page) || page >= p->sum_count || p->sums[page] == 0)
		return true;
	return p->sums[page] == crc32c(0, data, count);
}

/* As SQLite reads a log that it opens: the header, then frame by frame, until one is not of it. */
static void learn_log(struct imprint *p, const unsigned char *data, size_t count, int64_t offset)
{
	size_t frame;
	const enum shape shape = shape_of(p, count, offset, &frame);

	if (shape == SHAPE_HEADER && !p->has_header)
		note_header(p, data);
	if (shape == SHAPE_FRAME && frame == p->frame_count && wal_frame_is_live(data, p->header))
		note_frame(p, frame, data);
}

void imprint_learn(struct imprint *p, const void *data, size_t count, int64_t offset)
{
	size_t page;

	if (p->of == IMPRINT_OF_LOG)
		learn_log(p, data, count, offset);
	else if (is_page(p, count, offset, &page) && (page >= p->sum_count || p->sums[page] == 0))
		wrote_database(p, data, count, offset);
}

bool imprint_fits_size(const struct imprint *p, int64_t size)
{
	if (p->is_empty)
		return size == 0;
	if (p->of == IMPRINT_OF_LOG)
		return !p->has_header || size >= frame_offset(p, p->frame_count);
	return size >= (int64_t)p->sum_count * p->page_bytes;
}

/* Sample `number` of `count`, evenly; *ret is at or behind the end when there are no more. */
static size_t sampled(struct imprint *p, size_t count, unsigned number)
{
	const size_t stride = count / SAMPLES + 1;

	if (number == 0)
		p->looks++;
	return p->looks % stride + number * stride;
}

/* The last frame is read whole: of one that was cut there is less. */
static bool piece_of_log(struct imprint *p, bool glance, unsigned number, int64_t *ret_offset, size_t *ret_count)
{
	size_t frame = p->frame_count - 1;

	if (!p->has_header || (glance && number > 0))
		return false;
	if (number == 1 || p->frame_count == 0) {
		*ret_offset = 0;
		*ret_count = WAL_HEADER_BYTES;
		return number < LOG_FIXED;
	}
	if (number > 0)
		frame = sampled(p, p->frame_count, number - LOG_FIXED);
	*ret_offset = frame_offset(p, frame);
	*ret_count = number == 0 ? frame_bytes(p) : WAL_FRAME_HEADER_BYTES;
	return frame < p->frame_count;
}

bool imprint_piece(struct imprint *p, bool glance, unsigned number, int64_t *ret_offset, size_t *ret_count)
{
	size_t page;

	if (p->of == IMPRINT_OF_LOG)
		return piece_of_log(p, glance, number, ret_offset, ret_count);
	page = glance || number < HEAD_PAGES ? number : sampled(p, p->sum_count, number - HEAD_PAGES);
	*ret_offset = (int64_t)page * p->page_bytes;
	*ret_count = p->page_bytes;
	return page < p->sum_count && !(glance && page >= HEAD_PAGES);
}

bool imprint_piece_at(const struct imprint *p, int64_t at, unsigned number, int64_t *ret_offset, size_t *ret_count)
{
	const bool is_page = number == 1;
	size_t frame;

	if (!p->has_header || number > 2)
		return false;
	frame = (at < WAL_HEADER_BYTES ? 0 : frame_at(p, at)) + number / 2;
	*ret_offset = frame_offset(p, frame) + (is_page ? WAL_FRAME_HEADER_BYTES : 0);
	*ret_count = is_page ? p->page_bytes : WAL_FRAME_HEADER_BYTES;
	return frame < p->frame_count;
}
