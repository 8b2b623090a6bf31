/* pages_linux.h - memory for large tables: zeroed, and, where the system has them, in pages of 2 MB. One thread a block.
 *
 * A table that is read at random costs a walk through the page table for nearly every look, once it is larger than the processor's
 * translation cache reaches with pages of 4 KB (some 8 MB); hints to the cache wait for that walk as well. In pages of 2 MB there is none.
 */
#ifndef AFT_STATE_PAGES_LINUX_H
#define AFT_STATE_PAGES_LINUX_H

#include "base/base.h"

/* afti_pages_take: n bytes of zeros on a boundary of 64 bytes; never NULL (no memory: the process ends). n is a multiple of 64. */
void *afti_pages_take(size_t n);
/* afti_pages_give gives back what take gave for the same n. NULL is nothing. */
void afti_pages_give(void *p, size_t n);
/* afti_pages_present: the whole pages of these n bytes, of any memory of ours, are there when it returns, as if each had been written to;
 * what they hold stays. From any thread, whoever else writes to them. Where the system does not know how, nothing happens. */
void afti_pages_present(void *p, size_t n);

#endif
