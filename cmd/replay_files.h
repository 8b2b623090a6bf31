/* replay_files.h - where `replay` reads from. Inner header of cmd/. */
#ifndef AFT_CMD_REPLAY_FILES_H
#define AFT_CMD_REPLAY_FILES_H

#include "cmd/cmd.h"

struct cmd_replay_log {
    struct aft_log *log, *kafka; /* log: what is read; it may be kafka itself */
    struct aft_log_file *files;  /* allocated; as many as the command line gives options */
    size_t files_n;
};

/* cmd_replay_log_open: the topics; with --impressions and --outcomes, files, over the topics where a broker is configured and
 * --examples is not given. Zeroed before; closed also after a failure. */
enum aft_err cmd_replay_log_open(const struct cmd_line *l, struct cmd_replay_log *r,
                                 struct aft_error *e) AFT_MUST_CHECK;
void cmd_replay_log_close(struct cmd_replay_log *r);

#endif
