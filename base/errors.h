/* errors.h - errors are values: a code, whose class says what the caller must do, and a sentence for a person.
 *
 * A function that can fail returns `enum aft_err` (0 = AFT_OK) and takes, last, a `struct aft_error *` (never NULL)
 * that it fills only on failure. No heap, no global: safe in any thread. The codes are errors.def.
 */
#ifndef AFT_BASE_ERRORS_H
#define AFT_BASE_ERRORS_H

enum aft_err {
    AFT_OK = 0,
#define X(name, class, exit, text) AFT_E_##name,
#include "base/errors.def"
#undef X
    AFT_ERR_COUNT
};

enum aft_err_class { AFT_CLASS_NONE, AFT_CLASS_DATA, AFT_CLASS_RETRY, AFT_CLASS_FATAL };

struct aft_error {
    enum aft_err code;
    int line;
    const char *file; /* static storage */
    char message[400];
};

#define AFT_MUST_CHECK __attribute__((warn_unused_result))

/* aft_err_class, aft_err_exit, aft_err_name, aft_err_text - the columns of errors.def. */
enum aft_err_class aft_err_class(enum aft_err code);
int aft_err_exit(enum aft_err code);
const char *aft_err_name(enum aft_err code);
const char *aft_err_text(enum aft_err code);

/* aft_error_set fills *e (printf-like message: what is wrong AND how to mend it). Use AFT_FAIL, which gives the code back. */
void aft_error_set(struct aft_error *e, enum aft_err code, const char *file, int line,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* AFT_FAIL is worth its code, in sight of the compiler: an analyzer then sees that a failure is not AFT_OK. */
static inline enum aft_err
aft_failed(enum aft_err code)
{
    return code;
}
#define AFT_FAIL(e, code, ...) \
    (aft_error_set((e), (code), __FILE__, __LINE__, __VA_ARGS__), aft_failed(code))

/* AFT_TRY forwards a failure. */
#define AFT_TRY(expression)                   \
    do {                                      \
        enum aft_err aft_try_ = (expression); \
        if (aft_try_ != AFT_OK)               \
            return aft_try_;                  \
    } while (0)

#endif
