/* wide.h - vectors of four doubles, and functions that are compiled twice; part of base.h.
 *
 * AFT_WIDE marks a function that is compiled for plain x86-64 and for AVX2, and chosen when the program is loaded. Neither has FMA
 * (-ffp-contract=off): both give the same bits. There is one version under a sanitizer, on other machines, and with clang (whose
 * version 14 gives clones names that other files do not find).
 */
#ifndef AFT_BASE_WIDE_H
#define AFT_BASE_WIDE_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__OPTIMIZE__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define AFT_WIDE __attribute__((target_clones("avx2", "default")))
#define AFT_WIDE_TWICE \
    1 /* there are two: who writes them by hand asks __builtin_cpu_supports("avx2") */
#else
#define AFT_WIDE
#define AFT_WIDE_TWICE 0
#endif

typedef double aft_wide __attribute__((vector_size(32)));
typedef int64_t aft_choice __attribute__((vector_size(32)));
typedef uint64_t aft_wide_bits __attribute__((vector_size(32)));

/* One number in every lane; a where `which` says so, else b. */
#define AFT_ALL(x) ((aft_wide){(x), (x), (x), (x)})
#define AFT_CHOOSE(which, a, b) \
    ((aft_wide)(((aft_choice)(a) & (which)) | ((aft_choice)(b) & ~(which))))
#define AFT_SMALLER(a, b) AFT_CHOOSE((a) < (b), (a), (b))
#define AFT_LARGER(a, b) AFT_CHOOSE((a) > (b), (a), (b))

/* The tree over four lanes. */
static inline double
aft_wide_sum(const aft_wide *v)
{
    return ((*v)[0] + (*v)[2]) + ((*v)[1] + (*v)[3]);
}

#endif
