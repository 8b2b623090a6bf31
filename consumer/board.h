/* board.h - the board from inside: metrics.c and page_http.c read it under its lock. Inner header of consumer/. */
#ifndef AFT_CONSUMER_BOARD_H
#define AFT_CONSUMER_BOARD_H

#include <pthread.h>

#include "consumer/consumer.h"

struct aft_board {
    pthread_mutex_t lock;
    struct aft_task_status *tasks; /* by partition */
    size_t tasks_n, tasks_cap;
    struct aft_historian_status *histories; /* in no order */
    size_t histories_n;
    bool ready, learns;
    struct aft_learning_status learning;
    int64_t started_ms;
    char trouble[400];
};

/* afti_status_page: the plain page for a person. */
void afti_status_page(struct aft_board *b, struct aft_buffer *out);

#endif
