/* base.h - the words all folders use: nouns, limits, errors, assertions, arena, hashes, counter-based random numbers,
 * own exp and log, bytes. No clock, no file, no socket, no thread is read here. Include this, not its parts. */
#ifndef AFT_BASE_BASE_H
#define AFT_BASE_BASE_H

#include "base/arena.h"
#include "base/bounds.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/event.h"
#include "base/fmath.h"
#include "base/hash.h"
#include "base/number.h"
#include "base/random.h"
#include "base/wide.h"

#endif
