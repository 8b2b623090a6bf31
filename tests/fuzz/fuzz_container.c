/* fuzz_container.c - any bytes as a container file of outcomes, plain and enveloped: records, an error or an end, never a crash.
 * Files under a codec other than null go to avro-c, which is not safe on hostile bytes (container_read_avro.c): they are left out
 * here, as the header says which they are. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/wire_avro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
has(const uint8_t *data, size_t size, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(data + i, word, n) == 0)
            return true;
    return false;
}

static void
read_all(const char *path, bool enveloped)
{
    struct aft_file_reader *f;
    struct aft_file_record r;
    struct aft_error e;
    bool end = false;
    if (aft_file_open(path, AFT_RECORD_OUTCOME, enveloped, &f, &e))
        return;
    for (long n = 0; n < 100000 && !end; n++)
        if (aft_file_next(f, &r, &end, &e) && aft_err_class(e.code) != AFT_CLASS_DATA)
            break;
    aft_file_close(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/aft-fuzz-XXXXXX";
    if (has(data, size, "deflate") || has(data, size, "snappy") || has(data, size, "lzma"))
        return 0;
    int fd = mkstemp(path);
    AFT_ASSERT(fd >= 0);
    AFT_ASSERT(write(fd, data, size) == (ssize_t)size);
    close(fd);
    read_all(path, false);
    read_all(path, true);
    unlink(path);
    return 0;
}
