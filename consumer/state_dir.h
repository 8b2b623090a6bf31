/* state_dir.h - where the state lies: <state.dir>/<app.id>/<partition>, and beside it what is asked of who holds it. Inner
 * header
 * of consumer/.
 *
 *   <p>                 the store of partition p (RocksDB)
 *   <p>.asked           a directory's name: who holds the store shall put a checkpoint there (checkpoint.c)
 *   <p>.answered        what became of it: "ok", or why not
 *   <p>.purged          how many users had been erased when the store was last purged, and when (service_chores.c)
 *   <p>.restoring       a checkpoint that is being put in place; what a crash leaves of it may be removed
 */
#ifndef AFT_CONSUMER_STATE_DIR_H
#define AFT_CONSUMER_STATE_DIR_H

#include "consumer/consumer.h"

#define AFTI_PATH_MAX 1024

/* afti_state_path: <state.dir>/<app.id>/<partition><suffix>; partition < 0: the directory of all of them. */
enum aft_err afti_state_path(const struct aft_config *c, int32_t partition, const char *suffix,
                             char out[AFTI_PATH_MAX], struct aft_error *e) AFT_MUST_CHECK;
/* afti_state_make: <state.dir>/<app.id>, with the directories above it. */
enum aft_err afti_state_make(const struct aft_config *c, struct aft_error *e) AFT_MUST_CHECK;
/* afti_state_partitions: the numbers that are directories in `directory`, ascending; *out is the caller's to free. A
 * directory that
 * does not exist holds none. */
enum aft_err afti_state_partitions(const char *directory, int32_t **out, size_t *n,
                                   struct aft_error *e) AFT_MUST_CHECK;
/* afti_directory_new makes a directory that must not be there yet. AFT_E_IO, with what is in the way. */
enum aft_err afti_directory_new(const char *path, struct aft_error *e) AFT_MUST_CHECK;
/* afti_state_held: another process has this store open. */
bool afti_state_held(const char *store_directory);

/* Small files of one line: written beside and renamed, so that they are seen whole; read: false when there is none. */
enum aft_err afti_note_write(const char *path, const char *text,
                             struct aft_error *e) AFT_MUST_CHECK;
bool afti_note_read(const char *path, char *out, size_t cap);

/* Directories without directories in them. copy: hard links for what RocksDB never changes (*.sst) where the file system can,
 * else bytes, synced. `to` must not exist. */
enum aft_err afti_flat_copy(const char *from, const char *to, struct aft_error *e) AFT_MUST_CHECK;
void afti_flat_remove(const char *directory);

/* afti_checkpoint_asked: a checkpoint that somebody asked for beside this store is made, and answered. The store's thread. */
void afti_checkpoint_asked(const struct aft_config *c, int32_t partition, struct aft_store *store);

#endif
