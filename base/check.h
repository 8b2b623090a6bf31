/* check.h - assertions that stay on. Three classes:
 *   AFT_ASSERT(c)          a bug of ours if false: aborts, in release too
 *   AFT_INVARIANT(In, c)   the same, for a numbered invariant of the file's opening comment
 *   AFT_DIAG(c)            too dear for release: only in builds with AFT_DIAGNOSTICS
 *   AFT_NEVER()            a branch that cannot be reached
 */
#ifndef AFT_BASE_CHECK_H
#define AFT_BASE_CHECK_H

_Noreturn void aft_check_failed(const char *file, int line, const char *kind, const char *what);

#define AFT_ASSERT(c) \
    (__builtin_expect(!!(c), 1) ? (void)0 : aft_check_failed(__FILE__, __LINE__, "assertion", #c))
#define AFT_INVARIANT(number, c)          \
    (__builtin_expect(!!(c), 1) ? (void)0 \
                                : aft_check_failed(__FILE__, __LINE__, "invariant " #number, #c))
#define AFT_NEVER() aft_check_failed(__FILE__, __LINE__, "never", "an impossible branch")
#ifdef AFT_DIAGNOSTICS
#define AFT_DIAG(c) AFT_ASSERT(c)
#else
#define AFT_DIAG(c) ((void)sizeof(c))
#endif

#endif
